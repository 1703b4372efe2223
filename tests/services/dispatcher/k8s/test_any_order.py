"""Whatever happens in whatever order: one living RayJob for every open run, and none else, once things calm down."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from kube_api import KubeApi
from rayjob_worlds import TEMPLATE, World

from hcs.catalog import (
    ask_again,
    cancel_run,
    claim_run,
    delete_run,
    dispatches,
    fail_claimed,
    open_catalog,
    open_runs,
    release_claim,
)
from hcs.catalog.claims import OPEN
from services.dispatcher.k8s.decide import Patience

FINALIZER = "ray.io/rayjob-finalizer"
STATES = ["Initializing", "Running", "Retrying", "Suspended", "Complete", "Failed", "ValidationFailed"]
FAULTS = ["lost", "unheard", "torn", "garbage", "gone", "late", "status"]
NUMBERS = st.integers(0, 10)
IMPATIENT = Patience(pause_seconds=0.0, max_fruitless=3, seconds_to_end=0.0)


def machine_of(empty: Path) -> type[RuleBasedStateMachine]:
    class AnyOrder(RuleBasedStateMachine):
        """Users, KubeRay, an operator, a network, and two dispatchers."""

        def __init__(self) -> None:
            super().__init__()
            self.folder = Path(tempfile.mkdtemp())
            self.catalog = open_catalog(str(shutil.copy(empty, self.folder / "catalog.sqlite")))
            self.kube = KubeApi()
            self.kube.longest_watch_seconds = 0.0
            self.kube.start()
            self.world = World(self.kube, self.catalog, self.folder, patience=IMPATIENT)
            self.both = [self.world.make_dispatcher() for _ in range(2)]
            theirs = {"app.kubernetes.io/component": "run", "hcs/catalog": "f" * 32}
            other = {**TEMPLATE, "metadata": {"name": "hcs-ffffffff-run-1-1", "labels": theirs}}
            self.other = self.kube.store.create("hcs", other)
            self.runs: list[int] = []
            self.claimed: dict[int, str] = {}

        def teardown(self) -> None:
            try:
                self.calm_down()
            finally:
                self.world.close()
                self.catalog.engine.dispose()
                self.kube.stop()
                shutil.rmtree(self.folder)

        def ours(self) -> list[dict[str, Any]]:
            found = self.kube.store.list("hcs", f"hcs/catalog={self.world.id}")["items"]
            return [dict(item) for item in found]

        def one_of(self, number: int) -> str | None:
            names = [item["metadata"]["name"] for item in self.ours()]
            return names[number % len(names)] if names else None

        @rule()
        def submit(self) -> None:
            if len(self.runs) < 4:
                self.runs.append(self.world.submit())

        @rule(which=st.integers(0, 1))
        def look(self, which: int) -> None:
            self.both[which].round()

        @rule(which=st.integers(0, 1))
        def restart(self, which: int) -> None:
            self.both[which] = self.world.make_dispatcher()

        @rule(number=NUMBERS, said=st.sampled_from(STATES))
        def kuberay_says(self, number: int, said: str) -> None:
            name = self.one_of(number)
            if name is None:
                return
            before = self.kube.store.get("hcs", name).get("status", {}).get("jobDeploymentStatus")
            if before not in {"Complete", "Failed", "ValidationFailed"}:  # those are the end
                self.world.say(name, said, reason="AppFailed" if said == "Failed" else "")

        @rule(number=NUMBERS, is_held=st.booleans())
        def somebody_deletes(self, number: int, is_held: bool) -> None:
            name = self.one_of(number)
            if name is not None:
                if is_held and "deletionTimestamp" not in self.kube.store.get("hcs", name)["metadata"]:
                    self.kube.store.hold("hcs", name, FINALIZER)
                self.kube.store.delete("hcs", name)

        @rule()
        def finalizers_are_done(self) -> None:
            for item in self.ours():
                if "deletionTimestamp" in item["metadata"]:
                    self.kube.store.let_go("hcs", item["metadata"]["name"])

        @precondition(lambda self: self.runs)
        @rule(number=NUMBERS)
        def cancel(self, number: int) -> None:
            run_id = self.runs[number % len(self.runs)]
            if self.world.state(run_id) in OPEN:
                cancel_run(self.catalog, run_id)

        @precondition(lambda self: self.runs)
        @rule(number=NUMBERS)
        def ask_again(self, number: int) -> None:
            ask_again(self.catalog, self.runs[number % len(self.runs)])

        @precondition(lambda self: self.runs)
        @rule(number=NUMBERS)
        def delete(self, number: int) -> None:
            run_id = self.runs[number % len(self.runs)]
            if self.world.state(run_id) not in OPEN:
                delete_run(self.catalog, run_id)
                self.runs.remove(run_id)

        @rule()
        def claim(self) -> None:
            claim = claim_run(self.catalog, "a driver", seconds=1000)
            if claim is not None:
                self.claimed[claim.run.id] = "a driver"

        @precondition(lambda self: self.claimed)
        @rule(number=NUMBERS, is_over=st.booleans())
        def let_go(self, number: int, is_over: bool) -> None:
            run_id = sorted(self.claimed)[number % len(self.claimed)]
            owner = self.claimed.pop(run_id)
            if is_over:
                fail_claimed(self.catalog, run_id, owner, reason="no plate was accepted")
            else:
                release_claim(self.catalog, run_id, owner)

        @rule(verb=st.sampled_from(["list", "watch", "get", "create", "delete"]), kind=st.sampled_from(FAULTS))
        def something_breaks(self, verb: str, kind: str) -> None:
            self.kube.break_next(verb, kind, status=500)

        @rule()
        def history_is_forgotten(self) -> None:
            self.kube.store.compact()

        @rule(is_behind=st.booleans())
        def watches_are_behind(self, is_behind: bool) -> None:
            self.kube.behind_at = self.kube.store.version if is_behind else None

        @rule(is_full=st.booleans())
        def quota_changes(self, is_full: bool) -> None:
            self.kube.store.quotas = {"hcs": 3} if is_full else {}

        @invariant()
        def no_run_has_two_living_rayjobs(self) -> None:
            alive = Counter(
                item["metadata"]["labels"]["hcs/run"]
                for item in self.ours()
                if item.get("status", {}).get("jobDeploymentStatus") not in {"Complete", "Failed", "ValidationFailed"}
            )
            assert not [run for run, number in alive.items() if number > 1], alive

        @invariant()
        def what_is_not_ours_is_untouched(self) -> None:
            assert self.kube.store.get("hcs", self.other["metadata"]["name"]) == self.other
            assert self.kube.store.get("hcs", "hcs-run")["spec"]["suspend"] is True

        def calm_down(self) -> None:
            """Nothing breaks any more, and what was deleted leaves: then every open run has its RayJob."""
            self.kube.heal()
            self.kube.store.quotas, self.kube.behind_at = {}, None
            for run_id, owner in self.claimed.items():
                release_claim(self.catalog, run_id, owner)
            for _ in range(8):
                self.finalizers_are_done()
                for one in self.both:
                    one.round()
                self.no_run_has_two_living_rayjobs()
            wanted = sorted(str(run.run.id) for run in open_runs(self.catalog))
            assert (
                sorted(
                    item["metadata"]["labels"]["hcs/run"]
                    for item in self.ours()
                    if item.get("status", {}).get("jobDeploymentStatus")
                    not in {"Complete", "Failed", "ValidationFailed"}
                )
                == wanted
            )
            rows = {one.name: one for one in dispatches(self.catalog)}
            for item in self.ours():
                assert item["metadata"]["name"] in rows, "a RayJob that no dispatch knows"
            assert sorted(str(one.run_id) for one in rows.values() if one.ended_at is None) == wanted
            self.what_is_not_ours_is_untouched()

    return AnyOrder


@pytest.mark.slow
def test_any_order_of_events_ends_with_one_rayjob_for_every_open_run(empty_file: Path) -> None:
    run_state_machine_as_test(
        machine_of(empty_file),
        settings=settings(
            max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
