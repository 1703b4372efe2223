"""What a RayJob's status means, for every value of KubeRay 1.7 and for anything else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hcs.k8s.meaning import LONGEST_QUOTE, LONGEST_WORDS, Meaning, meaning_of, one_line
from schemas.work import DispatchState

WAITING, WORKING, ENDED = DispatchState.WAITING, DispatchState.WORKING, DispatchState.ENDED

DEPLOYMENT_STATES = {
    "": WAITING,
    "Initializing": WAITING,
    "Running": WAITING,
    "Complete": ENDED,
    "Failed": ENDED,
    "ValidationFailed": ENDED,
    "Suspending": WAITING,
    "Suspended": WAITING,
    "Retrying": WAITING,
    "Waiting": WAITING,
}
"""JobDeploymentStatus, of ray-operator/apis/ray/v1/rayjob_types.go, with no JobStatus yet."""

JOB_STATES = ["", "PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]
REASONS = [
    "SubmissionFailed",
    "DeadlineExceeded",
    "PreRunningDeadlineExceeded",
    "AppFailed",
    "JobDeploymentStatusTransitionGracePeriodExceeded",
    "JobStatusCheckTimeoutExceeded",
    "ValidationFailed",
]


def of(said: str = "", *, spec: dict[str, Any] | None = None, **status: Any) -> Meaning:
    return meaning_of({"metadata": {}, "spec": spec or {}, "status": {"jobDeploymentStatus": said, **status}})


def cluster(*conditions: tuple[str, str, str, str], **status: Any) -> dict[str, Any]:
    keys = ("type", "status", "reason", "message")
    return {"conditions": [dict(zip(keys, condition, strict=True)) for condition in conditions], **status}


@pytest.mark.parametrize(("said", "state"), DEPLOYMENT_STATES.items())
def test_every_state_of_a_deployment_means_something(said: str, state: DispatchState) -> None:
    meaning = of(said)
    assert meaning.state is state
    assert meaning.words
    assert "does not know" not in meaning.words


@pytest.mark.parametrize("job", JOB_STATES)
def test_every_state_of_a_job_means_something_while_it_runs(job: str) -> None:
    meaning = of("Running", jobStatus=job)
    assert meaning.state is (WAITING if job in {"", "PENDING"} else WORKING)
    assert "does not know" not in meaning.words


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_to_fail_is_told_in_words(reason: str) -> None:
    meaning = of("Failed", reason=reason, message="because of\n the  rain")
    assert meaning.state is ENDED
    assert "because of the rain" in meaning.words
    if reason != "ValidationFailed":  # a deployment state of its own
        assert reason not in meaning.words


def test_what_a_newer_kuberay_says_is_repeated() -> None:
    assert of("Dreaming") == Meaning(WAITING, "KubeRay says 'Dreaming' of it, which this version does not know")
    assert "'DREAMING'" in of("Running", jobStatus="DREAMING").words
    assert "(Rained)" in of("Failed", reason="Rained").words


def test_an_image_that_does_not_exist_is_named() -> None:
    message = 'containers with unready status: [ray-head]; ray-head: Back-off pulling image "hcs/worker:none"'
    meaning = of("Initializing", rayClusterStatus=cluster(("HeadPodReady", "False", "ImagePullBackOff", message)))
    assert meaning.state is WAITING
    assert "image" in meaning.words
    assert '"hcs/worker:none"' in meaning.words
    assert "exist" in meaning.words


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_every_reason_of_an_image_is_one(reason: str) -> None:
    words = of("Initializing", rayClusterStatus=cluster(("HeadPodReady", "False", reason, ""))).words
    assert "the image of its head cannot be fetched" in words


def test_a_quota_that_is_exceeded_is_named() -> None:
    message = 'pods "hcs-head" is forbidden: exceeded quota: runs, requested: cpu=8, used: cpu=60, limited: cpu=64'
    status = cluster(
        ("ReplicaFailure", "True", "FailedCreateHeadPod", message),
        ("HeadPodReady", "False", "HeadPodNotFound", "Head Pod not found"),
    )
    words = of("Initializing", rayClusterStatus=status).words
    assert "do not fit into the quota" in words
    assert "limited: cpu=64" in words


def test_a_quota_that_stops_workers_is_named_while_the_driver_works() -> None:
    status = cluster(
        ("ReplicaFailure", "True", "FailedCreateWorkerPod", "exceeded quota: runs"), desiredWorkerReplicas=4,
        readyWorkerReplicas=1,
    )  # fmt: skip
    meaning = of("Running", jobStatus="RUNNING", rayClusterStatus=status)
    assert meaning.state is WORKING
    assert "1 of 4 workers ready" in meaning.words
    assert "quota" in meaning.words


def test_a_head_that_no_node_takes_is_told_from_one_that_starts() -> None:
    """FindHeadPodReadyCondition: the reason is Unknown where a pod has no condition Ready, as before it has a node."""
    unscheduled = of("Initializing", rayClusterStatus=cluster(("HeadPodReady", "False", "Unknown", "")))
    starting = of(
        "Initializing", rayClusterStatus=cluster(("HeadPodReady", "False", "ContainerCreating", "ray-head: "))
    )
    assert "no node has taken its head" in unscheduled.words
    assert starting.words == "its cluster starts"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("CrashLoopBackOff", "ends as soon as it starts"),
        ("OOMKilled", "ran out of memory"),
        ("CreateContainerConfigError", "Secret or ConfigMap"),
        ("HeadPodNotFound", "not there (yet)"),
        ("SomethingElse", "not ready (SomethingElse)"),
    ],
)
def test_a_head_that_does_not_come_up_says_why(reason: str, words: str) -> None:
    assert words in of("Initializing", rayClusterStatus=cluster(("HeadPodReady", "False", reason, ""))).words


def test_a_deadline_before_the_start_says_what_was_waited_for() -> None:
    status = cluster(("HeadPodReady", "False", "ErrImagePull", "no such image"))
    words = of("Failed", reason="PreRunningDeadlineExceeded", message="passed 900", rayClusterStatus=status).words
    assert "not ready within the time" in words
    assert "no such image" in words


def test_a_new_cluster_after_a_lost_one_is_told() -> None:
    assert "another one" in of("Retrying").words
    assert "1 times" in of("", failed=1).words


@pytest.mark.parametrize("spec", [{"suspend": True}, {"suspend": False}])
def test_a_suspended_one_is_held_back(spec: dict[str, Any]) -> None:
    assert ("held back" in of("", spec=spec).words) == spec["suspend"]


def test_one_that_was_deleted_leaves_unless_it_has_ended() -> None:
    gone = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert "was deleted" in meaning_of({**gone, "status": {"jobDeploymentStatus": "Running"}}).words
    assert meaning_of({**gone, "status": {"jobDeploymentStatus": "Failed"}}).state is ENDED


def test_long_words_of_others_are_cut() -> None:
    words = of("Failed", reason="AppFailed", message="x" * 10_000).words
    assert LONGEST_QUOTE < len(words) < LONGEST_QUOTE + 100


def test_workers_that_have_no_pods_yet_do_not_keep_a_head_from_being_ready() -> None:
    status = cluster(("HeadPodReady", "True", "HeadPodRunningAndReady", ""), desiredWorkerReplicas=3)
    assert (
        of("Initializing", rayClusterStatus=status).words
        == "its cluster starts: the head is ready, 0 of 3 workers ready"
    )


KEYS = [
    "metadata", "spec", "status", "suspend", "deletionTimestamp", "jobDeploymentStatus", "jobStatus", "reason",
    "message", "rayClusterStatus", "conditions", "type", "failed", "readyWorkerReplicas", "desiredWorkerReplicas",
    "jobStatusCheckFailureStartTime",
]  # fmt: skip
VALUES = ["", "HeadPodReady", "ReplicaFailure", "True", "False", *DEPLOYMENT_STATES, *JOB_STATES, *REASONS]
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(VALUES)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING))
def test_whatever_is_missing_or_odd_raises_nothing(rayjob: dict[str, Any]) -> None:
    meaning = meaning_of(rayjob)
    assert isinstance(meaning.state, DispatchState)
    assert meaning.words
    assert "\n" not in meaning.words


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {"jobDeploymentStatus": st.sampled_from(list(DEPLOYMENT_STATES))},
        optional=dict.fromkeys(KEYS[6:], ANYTHING),
    )
)
def test_only_three_states_are_the_end(status: dict[str, Any]) -> None:
    ended = status["jobDeploymentStatus"] in {"Complete", "Failed", "ValidationFailed"}
    assert (meaning_of({"status": status}).state is ENDED) == ended


HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202eemosdnah\u202c\x9b31m\ud800\0"


@pytest.mark.parametrize("field", ["jobDeploymentStatus", "jobStatus", "reason", "message"])
def test_what_others_say_neither_moves_a_terminal_nor_fills_a_log(field: str) -> None:
    status = {"jobDeploymentStatus": "Failed", "reason": "new", field: HOSTILE + "long " * 1_000_000}
    words = meaning_of({"status": status}).words
    assert words.isprintable()
    assert len(words) <= LONGEST_WORDS


@given(st.text(max_size=60))
def test_what_can_be_shown_is_left_as_it_is(text: str) -> None:
    shown = " ".join(text.split())
    assert (one_line(text, longest=100) == shown) is shown.isprintable()
