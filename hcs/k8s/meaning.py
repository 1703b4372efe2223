"""What KubeRay says of a RayJob, in words for those who wait for the run.

The values are those of KubeRay 1.7 (`ray-operator/apis/ray/v1`), filled as its controllers fill them. What is missing,
or of another kind than it should be, is taken as not said: an object of a newer KubeRay raises nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.work import DispatchState

LONGEST_QUOTE = 400
LONGEST_WORDS = 1200
"""Of a whole meaning: a RayJob is written to by others, and what it says is logged and shown as it is."""

IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    | {"RegistryUnavailable", "SignatureValidationFailed"}
)
CRASH_REASONS = frozenset({"CrashLoopBackOff", "Error", "Completed", "ContainerCannotRun", "StartError"})
CONFIGURATION_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
BEGINNING_REASONS = frozenset({"ContainerCreating", "PodInitializing", "ContainersNotReady"})

_FAILED = {
    "AppFailed": "the driver ended before the run did{message}",
    "SubmissionFailed": "the driver could not be started on the cluster{message}",
    "DeadlineExceeded": (
        "the RayJob took longer than its template allows{message}; the next one goes on from there. If the run is as "
        "large as that, raise activeDeadlineSeconds of the template"
    ),
    "PreRunningDeadlineExceeded": (
        "the cluster was not ready within the time that its template allows{waited}{message}. Is there room for it in "
        "the cluster and in the quota, and does its image exist?"
    ),
    "JobDeploymentStatusTransitionGracePeriodExceeded": "KubeRay lost sight of the driver{message}",
    "JobStatusCheckTimeoutExceeded": (
        "KubeRay could not reach the head pod any more{message}: was its node lost, or does a NetworkPolicy keep the "
        "operator from port 8265?"
    ),
}


_HEADS = (
    (
        IMAGE_REASONS,
        "the image of its head cannot be fetched ({reason}){said}. Does it exist, and may the cluster read it?",
    ),
    ({"OOMKilled"}, "its head ran out of memory{said}. Raise the memory of the head in the template"),
    (CRASH_REASONS, "its head ends as soon as it starts ({reason}){said}. Look at the log of the head pod"),
    (
        CONFIGURATION_REASONS,
        "its head cannot be started ({reason}){said}. Is a Secret or ConfigMap missing that the template names?",
    ),
    # a pod without a node has no condition Ready, and KubeRay calls that Unknown
    (
        {"Unknown"},
        "no node has taken its head yet{said}: is there one with room, and of the kind that the template wants?",
    ),
    ({"HeadPodNotFound"}, "its head is not there (yet)"),
)


@dataclass(frozen=True)
class Meaning:
    """How far a RayJob is, and in words why."""

    state: DispatchState
    words: str


def meaning_of(rayjob: Mapping[str, Any]) -> Meaning:
    """Return what the status of a RayJob means.

    Args:
        rayjob: The object as the API returns it; anything in it may be missing.
    """
    meaning = _meaning(rayjob, mapping_in(rayjob, "status"))
    return Meaning(meaning.state, one_line(meaning.words, longest=LONGEST_WORDS))


def _meaning(rayjob: Mapping[str, Any], status: Mapping[str, Any]) -> Meaning:
    said = text_in(status, "jobDeploymentStatus")
    if said in {"Complete", "Failed", "ValidationFailed"}:
        return Meaning(DispatchState.ENDED, _ended(said, status))
    if text_in(mapping_in(rayjob, "metadata"), "deletionTimestamp"):
        return _waits("its RayJob was deleted, and is not gone yet: KubeRay stops what it had started")
    if said == "Initializing":
        return _waits(_trouble(status) or _arriving(status))
    if said == "Running":
        return _running(status)
    if said == "" and mapping_in(rayjob, "spec").get("suspend") is not True:
        return _waits(_new(status))
    return _waits(_held_back(said, status))


def _held_back(said: str, status: Mapping[str, Any]) -> str:
    """Return why nothing goes on though nothing has ended."""
    if said == "Retrying":
        return f"its cluster was lost{_quoted(status)}; KubeRay starts another one"
    if said == "Waiting":
        return "KubeRay waits for somebody to start the driver: the template's submissionMode is to be K8sJobMode"
    if said in {"", "Suspending", "Suspended"}:
        return "it is held back: a queue lets it start when there is room, or whoever suspended it"
    return f"KubeRay says {said!r} of it, which this version does not know"


def mapping_in(values: Mapping[str, Any] | None, key: str) -> Mapping[str, Any]:
    """Return what stands under a key if that is a mapping, and else an empty one."""
    found = values.get(key) if isinstance(values, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def text_in(values: Mapping[str, Any] | None, key: str) -> str:
    """Return what stands under a key if that is text, and else none."""
    found = values.get(key) if isinstance(values, Mapping) else None
    return found if isinstance(found, str) else ""


def number_in(values: Mapping[str, Any] | None, key: str) -> int:
    """Return what stands under a key if that is a whole number, and else 0."""
    found = values.get(key) if isinstance(values, Mapping) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def quoted(text: str) -> str:
    """Return what somebody else said on one line, cut where it is long."""
    return one_line(text, longest=LONGEST_QUOTE)


def one_line(text: str, *, longest: int) -> str:
    """Return a text that a terminal shows as it stands: without what moves its cursor or turns its letters around.

    Args:
        text: What somebody said.
        longest: How many letters are kept.
    """
    begin = text[: 8 * longest]  # enough, whatever spaces are in it; all of megabytes every second would be much
    shown = "".join(
        letter if letter.isprintable() or letter.isspace() else "\N{REPLACEMENT CHARACTER}" for letter in begin
    )
    line = " ".join(shown.split())
    is_whole = len(line) <= longest and len(begin) == len(text)
    return line if is_whole else line[: longest - 4].rstrip() + " ..."


def _waits(words: str) -> Meaning:
    return Meaning(DispatchState.WAITING, words)


def _new(status: Mapping[str, Any]) -> str:
    if number_in(status, "failed"):
        return f"its cluster was lost {number_in(status, 'failed')} times; KubeRay starts another one"
    return "KubeRay has not looked at its RayJob yet; if that lasts: does the operator run, and see this namespace?"


def _ended(said: str, status: Mapping[str, Any]) -> str:
    if said == "ValidationFailed":
        return f"KubeRay refuses the RayJob{_quoted(status)}. Correct the template of runs in the namespace"
    job = text_in(status, "jobStatus")
    if said == "Complete":
        if job == "STOPPED":
            return f"somebody stopped the driver through Ray{_quoted(status)}"
        return "the driver ended"
    reason = text_in(status, "reason")
    template = _FAILED.get(reason)
    if template is None:
        return f"the RayJob failed{f' ({reason})' if reason else ''}{_quoted(status)}"
    trouble = _trouble(status)
    return template.format(message=_quoted(status), waited=f": {trouble}" if trouble else "")


def _running(status: Mapping[str, Any]) -> Meaning:
    job = text_in(status, "jobStatus")
    if job in {"", "PENDING"}:
        return _waits(_trouble(status) or "its cluster is ready, and the driver is being started")
    if job in {"SUCCEEDED", "FAILED", "STOPPED"}:
        return Meaning(DispatchState.WORKING, "the driver has ended, and KubeRay notes how")
    if job != "RUNNING":
        return Meaning(DispatchState.WORKING, f"Ray says {job!r} of the driver, which this version does not know")
    trouble = _trouble(status)
    if since := text_in(status, "jobStatusCheckFailureStartTime"):
        trouble = trouble or f"KubeRay has not reached the head pod since {since}"
    return Meaning(DispatchState.WORKING, f"the driver works{_workers(status)}{f'; {trouble}' if trouble else ''}")


def _workers(status: Mapping[str, Any]) -> str:
    cluster = mapping_in(status, "rayClusterStatus")
    wanted = number_in(cluster, "desiredWorkerReplicas")
    return f", {number_in(cluster, 'readyWorkerReplicas')} of {wanted} workers ready" if wanted else ""


def _arriving(status: Mapping[str, Any]) -> str:
    if _condition(status, "HeadPodReady").get("status") == "True":
        return f"its cluster starts: the head is ready{_workers(status)}"
    return "its cluster starts"


def _trouble(status: Mapping[str, Any]) -> str:
    """Return why a cluster does not come up, or does not grow; empty where nothing is wrong."""
    failure = _condition(status, "ReplicaFailure")
    if failure.get("status") == "True":
        return _refused(text_in(failure, "reason"), text_in(failure, "message"))
    head = _condition(status, "HeadPodReady")
    return "" if head.get("status") in {"True", None} else _head(text_in(head, "reason"), text_in(head, "message"))


def _refused(reason: str, message: str) -> str:
    said = f": {quoted(message)}" if message else ""
    if "exceeded quota" in message:
        return (
            f"its pods do not fit into the quota of the namespace{said}. They start when others end; one that can "
            "never fit needs a larger quota or smaller pods"
        )
    if reason.startswith("FailedDelete"):
        return f"pods of its cluster cannot be removed{said}"
    return f"pods of its cluster cannot be made{said}"


def _head(reason: str, message: str) -> str:
    """Return why a head is not ready; empty where it is only on its way."""
    said = f": {quoted(message)}" if message else ""
    if not reason or reason in BEGINNING_REASONS:
        return ""
    for reasons, words in _HEADS:
        if reason in reasons:
            return words.format(reason=reason, said=said)
    return f"its head is not ready ({reason}){said}"


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    conditions = mapping_in(status, "rayClusterStatus").get("conditions")
    found = conditions if isinstance(conditions, list) else []
    return next((entry for entry in found if isinstance(entry, Mapping) and entry.get("type") == kind), {})


def _quoted(status: Mapping[str, Any]) -> str:
    message = text_in(status, "message")
    return f": {quoted(message)}" if message else ""
