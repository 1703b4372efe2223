"""The dispatcher between a real catalog and the stand-in of the Kubernetes API."""

from __future__ import annotations

from pathlib import Path

import pytest
from kube_api import KubeApi, role_rules
from rayjob_worlds import TEMPLATE, World

from hcs.catalog import (
    ask_again,
    cancel_run,
    claim_run,
    delete_run,
    dispatches,
    fail_claimed,
    open_catalog,
    release_claim,
)
from schemas.work import DispatchState, RunState
from services.dispatcher.k8s.decide import Patience

ROLE = Path(__file__).parents[4] / "k8s" / "base" / "dispatcher-role.yaml"
IMAGE = [{"type": "HeadPodReady", "status": "False", "reason": "ImagePullBackOff", "message": "hcs/worker:none"}]


def test_a_submitted_run_gets_one_rayjob(any_world: World) -> None:
    world = any_world
    run_id = world.submit()
    world.round(4)
    assert world.names() == [world.name(run_id)]
    (made,) = world.rayjobs()
    assert made["spec"]["suspend"] is False
    assert "hcs work --run" in made["spec"]["entrypoint"]
    assert (
        made["metadata"]["labels"] | {"hcs/catalog": world.id, "hcs/run": str(run_id), "hcs/attempt": "1"}
        == (made["metadata"]["labels"])
    )
    assert world.last(run_id).state is DispatchState.WAITING
    assert world.kube.count("create") == 1


def test_what_kuberay_says_is_noted(any_world: World) -> None:
    world = any_world
    run_id = world.submit()
    world.round(2)
    for said, status, state, words in [
        ("Initializing", {"rayClusterStatus": {"conditions": IMAGE}}, DispatchState.WAITING, "hcs/worker:none"),
        ("Running", {"jobStatus": "RUNNING", "rayClusterStatus": {}}, DispatchState.WORKING, "the driver works"),
        ("Retrying", {"jobStatus": "FAILED"}, DispatchState.WAITING, "another one"),
    ]:
        world.say(world.name(run_id), said, **status)
        world.round()
        last = world.last(run_id)
        assert (last.state, words in (last.message or "")) == (state, True), last.message
    assert world.names() == [world.name(run_id)]


def test_two_dispatchers_start_nothing_twice(any_world: World) -> None:
    world = any_world
    runs = [world.submit() for _ in range(3)]
    both = [world.make_dispatcher(), world.make_dispatcher()]
    for _ in range(3):
        for one in both:
            one.round()
    assert sorted(world.names()) == sorted(world.name(run_id) for run_id in runs)
    assert len(dispatches(world.catalog)) == 3
    world.say(world.name(runs[0]), "Failed", reason="AppFailed")
    for _ in range(3):
        for one in both:
            one.round()
    assert sorted(world.alive()) == sorted([world.name(runs[0], 2), world.name(runs[1]), world.name(runs[2])])


def test_a_watch_that_is_behind_ends_nothing(world: World) -> None:
    """One dispatcher has made and noted what the watch of another does not tell yet."""
    late = world.make_dispatcher()
    late.round()
    world.kube.behind_at = world.kube.store.version
    run_id = world.submit()
    world.round(3)
    assert world.last(run_id).state is DispatchState.WAITING
    late.round()
    assert world.kube.count("get", 200) >= 2  # the API was asked before anything ended
    assert world.last(run_id).ended_at is None
    late.round()
    assert world.names() == [world.name(run_id)]
    assert len(dispatches(world.catalog)) == 1


@pytest.mark.parametrize("kind", ["unheard", "mute", "torn", "garbage", "lost", "silent"])
def test_a_create_without_an_answer_makes_one_rayjob(world: World, kind: str) -> None:
    fault = world.kube.break_next("create", kind)
    run_id = world.submit()
    world.round()
    assert fault.hits == 1
    assert "did not answer" in (world.last(run_id).message or "") or "no JSON" in (world.last(run_id).message or "")
    assert world.last(run_id).state is DispatchState.ASKED
    world.round(3)
    assert world.names() == [world.name(run_id)]
    assert world.last(run_id).state is DispatchState.WAITING
    assert "has not looked at its RayJob" in (world.last(run_id).message or "")
    assert len(dispatches(world.catalog)) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, "RoleBinding"), (404, "KubeRay"), (422, "hcs k8s check"), (429, "later"), (500, "later"), (504, "later")],
)
def test_a_create_that_is_refused_is_said_with_the_run_and_no_attempt(world: World, status: int, words: str) -> None:
    world.kube.break_next("create", status=status, times=4)
    run_id = world.submit()
    world.round(4)
    last = world.last(run_id)
    assert (last.attempt, last.ended_at) == (1, None)
    assert f"answered {status}" in (last.message or "")
    assert words in (last.message or "")
    assert world.names() == []
    world.round(2)
    assert world.names() == [world.name(run_id)]
    assert world.state(run_id) is RunState.SUBMITTED


def test_a_quota_is_said_with_the_run_until_there_is_room(world: World) -> None:
    world.kube.store.quotas["hcs"] = 2  # the template is one
    first, second = world.submit(), world.submit()
    world.round(3)
    assert world.names() == [world.name(first)]
    assert "exceeded quota" in (world.last(second).message or "")
    cancel_run(world.catalog, first)
    world.round(6)
    assert world.names() == [world.name(second)]
    assert (world.last(second).attempt, world.last(second).state) == (1, DispatchState.WAITING)


def test_a_run_that_does_not_fit_keeps_no_other_from_starting(world: World) -> None:
    world.kube.store.validate = lambda found: ["too large"] if found["metadata"]["name"].endswith("run-1-1") else []
    first, second = world.submit(), world.submit()
    world.round(3)
    assert world.names() == [world.name(second)]
    assert "too large" in (world.last(first).message or "")


def test_the_role_of_the_dispatcher_suffices(world: World) -> None:
    """What the manifests allow it is what it asks for, no more and no less."""
    world.kube.rules = role_rules(ROLE)
    verbs = {"get", "list", "watch", "create", "delete"}
    assert [set(rule["verbs"]) for rule in world.kube.rules] == [verbs]
    run_id = world.submit()
    world.round(3)
    world.say(world.name(run_id), "Failed", reason="AppFailed")
    world.round(3)
    cancel_run(world.catalog, run_id)
    world.round(4)
    assert {request.verb for request in world.kube.requests} == verbs
    assert not [request for request in world.kube.requests if request.status in {401, 403}]


@pytest.mark.parametrize("verb", ["get", "list", "create"])
def test_a_verb_that_is_missing_is_said_with_the_run(world: World, verb: str) -> None:
    verbs = {"get", "list", "watch", "create", "delete"} - {verb}
    world.kube.rules = [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": sorted(verbs)}]
    run_id = world.submit()
    world.round(3)
    message = world.last(run_id).message or ""
    assert f"cannot {verb} resource" in message
    assert "RoleBinding" in message
    assert len(dispatches(world.catalog)) == 1
    world.kube.rules = [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["*"]}]
    world.round(3)
    assert world.names() == [world.name(run_id)]


def test_a_template_that_is_missing_is_said_with_the_run(world: World) -> None:
    world.kube.store.delete("hcs", "hcs-run")
    run_id = world.submit()
    world.round(2)
    assert "no RayJob 'hcs-run', which is the template" in (world.last(run_id).message or "")
    world.kube.store.create("hcs", TEMPLATE)
    world.round(2)
    assert world.names() == [world.name(run_id)]


def test_an_object_of_somebody_else_is_left_alone(world: World) -> None:
    theirs = {**TEMPLATE, "metadata": {"name": world.name(1), "labels": {"app.kubernetes.io/component": "run"}}}
    uid = world.kube.store.create("hcs", theirs)["metadata"]["uid"]
    run_id = world.submit()
    world.round(5)
    first = dispatches(world.catalog)[0]
    assert "not of this run: whose is it" in (first.message or "")
    assert world.kube.store.get("hcs", world.name(run_id))["metadata"]["uid"] == uid
    assert sorted(world.names()) == [world.name(run_id, 1), world.name(run_id, 2)]


def test_rayjobs_of_another_catalog_are_never_touched(world: World, tmp_path: Path) -> None:
    with open_catalog(str(tmp_path / "other" / "catalog.sqlite")) as catalog:
        other = World.__new__(World)
        other.__dict__.update(world.__dict__, catalog=catalog, _first=None, _clients=[])
        from hcs.catalog import catalog_id

        other.id = catalog_id(catalog)
        mine, theirs = world.submit(), other.submit()
        assert mine == theirs
        for _ in range(3):
            world.round()
            other.round()
        assert sorted(world.names()) == sorted([world.name(mine), other.name(theirs)])
        cancel_run(world.catalog, mine)
        world.round(4)
        assert world.names() == [other.name(theirs)]
        other.close()


def test_a_rayjob_that_fails_at_once_is_tried_three_times_and_the_run_says_why(any_world: World) -> None:
    world = any_world
    run_id = world.submit()
    for attempt in (1, 2, 3):
        world.round(3)
        assert world.alive() == [world.name(run_id, attempt)]
        world.say(world.name(run_id, attempt), "Failed", reason="AppFailed", message="ModuleNotFoundError: hcs")
    world.round(4)
    assert world.state(run_id) is RunState.FAILED
    assert "3 RayJobs one after another" in world.notes(run_id)
    assert "ModuleNotFoundError: hcs" in world.notes(run_id)
    assert f"hcs retry run-{run_id}" in world.notes(run_id)
    assert world.alive() == []
    assert len(dispatches(world.catalog)) == 3

    ask_again(world.catalog, run_id)
    world.round(3)
    assert world.alive() == [world.name(run_id, 4)]


def test_the_next_one_waits_longer_each_time(world: World) -> None:
    patient = world.make_dispatcher(patience=Patience(pause_seconds=10.0))
    run_id = world.submit()
    for _ in range(3):
        patient.round()
    world.say(world.name(run_id), "Failed", reason="AppFailed")
    for _ in range(4):
        patient.round()
    assert world.alive() == []
    assert len(dispatches(world.catalog)) == 1
    assert world.last(run_id).ended_at is not None


def test_a_rayjob_that_stays_pending_ends_by_its_deadline_and_says_so(world: World) -> None:
    run_id = world.submit()
    world.round(2)
    assert world.rayjobs()[0]["spec"]["preRunningDeadlineSeconds"] == 900
    world.say(world.name(run_id), "Failed", reason="PreRunningDeadlineExceeded", rayClusterStatus={"conditions": IMAGE})
    world.round()
    assert "not ready within the time" in (world.last(run_id).message or "")
    assert "hcs/worker:none" in (world.last(run_id).message or "")


def test_a_rayjob_that_somebody_deletes_is_made_anew_once_it_is_gone(world: World) -> None:
    run_id = world.submit()
    world.round(2)
    world.kube.store.hold("hcs", world.name(run_id), "ray.io/rayjob-finalizer")
    world.kube.store.delete("hcs", world.name(run_id))
    world.round(3)
    assert "was deleted, and is not gone yet" in (world.last(run_id).message or "")
    assert world.names() == [world.name(run_id)]
    world.kube.store.let_go("hcs", world.name(run_id))
    world.round(3)
    assert world.alive() == [world.name(run_id, 2)]
    assert "somebody deleted it" in (dispatches(world.catalog)[0].message or "")


def test_the_rayjob_of_a_cancelled_run_is_deleted_when_its_driver_had_time(any_world: World) -> None:
    world = any_world
    run_id = world.submit()
    slow = world.make_dispatcher(patience=Patience(seconds_to_end=60))
    slow.round()
    slow.round()
    world.say(world.name(run_id), "Running", jobStatus="RUNNING")
    cancel_run(world.catalog, run_id)
    for _ in range(3):
        slow.round()
    assert world.alive() == [world.name(run_id)]
    world.round(4)  # one that waits for nothing
    assert world.names() == []
    assert world.last(run_id).ended_at is not None


def test_the_rayjob_of_a_deleted_run_is_deleted(any_world: World) -> None:
    world = any_world
    run_id, other = world.submit(), world.submit()
    world.round(3)
    cancel_run(world.catalog, run_id)
    delete_run(world.catalog, run_id)
    world.round(3)
    assert world.names() == [world.name(other)]


def test_a_rayjob_whose_run_ended_well_is_kept_for_a_while(world: World) -> None:
    run_id = world.submit()
    world.round(2)
    claim_run(world.catalog, "its driver", seconds=60)
    world.say(world.name(run_id), "Running", jobStatus="RUNNING")
    world.round()
    fail_claimed(world.catalog, run_id, "its driver", reason="no plate was accepted")
    world.say(world.name(run_id), "Complete", jobStatus="SUCCEEDED")
    world.round(3)
    assert world.last(run_id).message == "the driver ended"
    assert world.names() == [world.name(run_id)]  # for 600 s, as its template says
    spec = world.kube.store.get("hcs", world.name(run_id))
    spec["spec"]["ttlSecondsAfterFinished"] = 0
    world.kube.store.replace("hcs", world.name(run_id), spec)
    world.round(2)
    assert world.names() == []


def test_a_driver_that_ends_before_its_run_is_followed_by_another(world: World) -> None:
    run_id = world.submit()
    world.round(2)
    world.say(world.name(run_id), "Complete", jobStatus="SUCCEEDED")
    world.round(3)
    assert "its run is not at its end" in (dispatches(world.catalog)[0].message or "")
    assert world.alive() == [world.name(run_id, 2)]
    assert world.names() == [world.name(run_id, 2)]


def test_a_run_that_somebody_performs_gets_no_rayjob_until_it_is_free(world: World) -> None:
    run_id = world.submit()
    claim_run(world.catalog, "hcs work elsewhere", seconds=60)
    world.round(3)
    assert world.names() == []
    release_claim(world.catalog, run_id, "hcs work elsewhere")
    world.round(2)
    assert world.names() == [world.name(run_id)]


def test_an_api_that_is_away_is_said_with_every_run_and_nothing_is_lost(world: World) -> None:
    going_on = world.submit()
    world.round(2)
    port = world.kube.stop()
    waiting = world.submit()
    world.round(3)
    for run_id in (going_on, waiting):
        assert "did not answer" in (world.last(run_id).message or "")
        assert world.last(run_id).attempt == 1
    assert world.last(going_on).state is DispatchState.WAITING
    world.kube.start(port)
    world.round(3)
    assert sorted(world.names()) == sorted([world.name(going_on), world.name(waiting)])
    assert "has not looked" in (world.last(going_on).message or "")


@pytest.mark.parametrize("fault", ["gone", "torn", "lost", "garbage", "status"])
def test_a_watch_that_breaks_is_followed_by_a_list(world: World, fault: str) -> None:
    run_id = world.submit()
    world.round(2)
    lists = world.kube.count("list")
    broken = world.kube.break_next("watch", fault)
    world.say(world.name(run_id), "Failed", reason="AppFailed")
    world.round()
    assert broken.hits == 1
    assert world.kube.count("list") == lists + 1
    assert world.last(run_id).ended_at is not None
    world.round(2)
    assert world.alive() == [world.name(run_id, 2)]


@pytest.mark.parametrize("by_status", [True, False])
def test_changes_that_were_forgotten_are_listed(world: World, by_status: bool) -> None:
    world.kube.gone_by_status = by_status
    first = world.submit()
    world.round(2)
    world.kube.store.delete("hcs", world.name(first))
    world.kube.store.compact()
    world.round(3)
    assert world.alive() == [world.name(first, 2)]


def test_a_watch_is_what_is_asked_while_nothing_happens(world: World) -> None:
    world.submit()
    world.round(2)
    before = {verb: world.kube.count(verb) for verb in ("list", "get", "create")}
    world.round(5)
    assert {verb: world.kube.count(verb) for verb in before} == before
    assert world.last(1).message  # and no row is written


def test_nothing_is_written_while_nothing_happens(world: World) -> None:
    run_id = world.submit()
    world.round(2)
    changed_at = world.last(run_id).changed_at
    world.round(3)
    assert world.last(run_id).changed_at == changed_at


def test_a_deletion_that_is_refused_is_tried_again(world: World) -> None:
    run_id = world.submit()
    world.round(2)
    cancel_run(world.catalog, run_id)
    refused = world.kube.break_next("delete", status=500, times=2)
    world.round(3)
    assert refused.hits == 2
    world.round(3)
    assert world.names() == []


def test_a_crowd_of_runs_is_started_a_few_at_a_time(kube: KubeApi, world: World) -> None:
    for _ in range(25):
        world.submit()
    world.round()
    assert len(world.names()) == 10
    world.round(2)
    assert len(world.names()) == 25


def test_an_api_that_is_slow_does_not_make_a_round_as_long_as_one_that_hangs(kube: KubeApi, world: World) -> None:
    for _ in range(6):
        world.submit()
    world.dispatcher.seconds_of_acting = 0.3
    kube.break_next("create", "late", seconds=0.2, times=6)
    world.round()
    assert 1 <= len(world.names()) <= 3
    world.round(8)
    assert len(world.names()) == 6
