from __future__ import annotations

import time

import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hcs.catalog import (
    MAX_ATTEMPTS,
    cancel_run,
    complete,
    count_units,
    fail,
    hand_back,
    hand_back_all,
    keep_leases,
    lease,
    owner_of_this_process,
    plan,
    release_dead_owners,
    retry,
    set_run_state,
    site_rows,
    units_of,
    visible_parts,
)
from hcs.errors import CatalogError, LeaseLostError, NotFoundError
from schemas.work import RunState, UnitState

OWNER = "somewhere else/1/2/abcd"


def state_of(catalog, run_id, key):
    return UnitState(units_of(catalog, run_id).row(by_predicate=pl.col("key") == key, named=True)["state"])


def test_the_ledger_behaves_as_a_dictionary_of_units_does(catalog, place, make):
    class Ledger(RuleBasedStateMachine):
        """`model` holds per unit: state, fence, attempt. `held` holds every lease ever given: (unit, fence)."""

        def __init__(self):
            super().__init__()
            self.run_id = make.run(catalog).id
            self.units = [make.unit(number) for number in range(3)]
            plan(catalog, self.run_id, self.units)
            self.model = {u.key: {"state": "ready", "fence": 0, "attempt": 0, "expired": False} for u in self.units}
            self.held: list[tuple[str, int]] = []

        def current(self, key, fence):
            return self.model[key]["state"] == "leased" and self.model[key]["fence"] == fence

        def end_attempt(self, key):
            unit = self.model[key]
            unit.update(state="ready" if unit["attempt"] < MAX_ATTEMPTS else "failed", expired=False)

        def attempt_or_refusal(self, key, fence, action):
            """Do what only the present owner may; return whether it was."""
            if self.current(key, fence):
                action()
                return True
            with pytest.raises(LeaseLostError):
                action()
            return False

        @rule(limit=st.integers(1, 3))
        def lease(self, limit):
            for key, unit in self.model.items():
                if unit["state"] == "leased" and unit["expired"]:
                    self.end_attempt(key)
            expected = [key for key, unit in self.model.items() if unit["state"] == "ready"][:limit]

            leased = lease(catalog, self.run_id, OWNER, limit=limit, seconds=3600)

            assert [unit.spec.key for unit in leased] == expected
            for unit in leased:
                known = self.model[unit.spec.key]
                known.update(state="leased", fence=known["fence"] + 1, attempt=known["attempt"] + 1, expired=False)
                assert (unit.fence, unit.attempt) == (known["fence"], known["attempt"])
                self.held.append((unit.spec.key, unit.fence))

        @rule(data=st.data())
        def expire(self, data):
            if self.held:
                key, fence = data.draw(st.sampled_from(self.held))
                self.keep(key, fence, seconds=0)

        @rule(data=st.data())
        def hold_on_with_any_fence_ever_given(self, data):
            if self.held:
                self.keep(*data.draw(st.sampled_from(self.held)), seconds=600)

        def keep(self, key, fence, *, seconds):
            """A lease changes only for the fence that is the present one; who holds what is told in any case."""
            held = keep_leases(catalog, self.run_id, OWNER, fences={key: fence}, seconds=seconds)

            unit = self.model[key]
            if unit["state"] == "leased" and unit["fence"] == fence:
                unit["expired"] = seconds == 0
            leased = {key: unit for key, unit in self.model.items() if unit["state"] == "leased"}
            assert {key: lease.fence for key, lease in held.items()} == {k: u["fence"] for k, u in leased.items()}
            assert {key for key, lease in held.items() if lease.seconds_left <= 0} == {
                key for key, unit in leased.items() if unit["expired"]
            }

        @rule()
        def somebody_looks_for_dead_owners(self):
            expired = [key for key, unit in self.model.items() if unit["state"] == "leased" and unit["expired"]]

            assert release_dead_owners(catalog, self.run_id) == len(expired)

            for key in expired:
                self.end_attempt(key)

        @rule(data=st.data())
        def complete_with_any_fence_ever_given(self, data):
            if self.held:
                key, fence = data.draw(st.sampled_from(self.held))
                spec = next(unit for unit in self.units if unit.key == key)
                if self.attempt_or_refusal(
                    key, fence, lambda: complete(catalog, self.run_id, fence=fence, **make.result(spec))
                ):
                    self.model[key].update(state="done", expired=False)

        @rule(data=st.data())
        def fail_with_any_fence_ever_given(self, data):
            if self.held:
                key, fence = data.draw(st.sampled_from(self.held))
                if self.attempt_or_refusal(
                    key, fence, lambda: fail(catalog, self.run_id, key, fence=fence, reason="no luck")
                ):
                    self.end_attempt(key)

        @precondition(lambda self: any(unit["state"] == "leased" for unit in self.model.values()))
        @rule(data=st.data(), vanishes=st.booleans())
        def the_present_owner_fails_or_vanishes(self, data, vanishes):
            key = data.draw(st.sampled_from([key for key, unit in self.model.items() if unit["state"] == "leased"]))
            fence = self.model[key]["fence"]
            if vanishes:
                self.keep(key, fence, seconds=0)
            else:
                fail(catalog, self.run_id, key, fence=fence, reason="no luck")
                self.end_attempt(key)

        @rule(data=st.data())
        def hand_back_with_any_fence_ever_given(self, data):
            if self.held:
                key, fence = data.draw(st.sampled_from(self.held))
                if self.attempt_or_refusal(key, fence, lambda: hand_back(catalog, self.run_id, key, fence=fence)):
                    self.model[key].update(state="ready", attempt=self.model[key]["attempt"] - 1, expired=False)

        @rule()
        def retry(self):
            failed = [key for key, unit in self.model.items() if unit["state"] == "failed"]

            assert retry(catalog, self.run_id) == len(failed)

            for key in failed:
                self.model[key].update(state="ready", attempt=0)

        @rule()
        def plan_again(self):
            assert plan(catalog, self.run_id, reversed(self.units)) == 0

        @invariant()
        def the_ledger_is_the_model(self):
            rows = units_of(catalog, self.run_id).select("key", "state", "attempt").rows()
            assert rows == [(key, unit["state"], unit["attempt"]) for key, unit in self.model.items()]

        @invariant()
        def rows_are_visible_of_done_units_and_of_no_others(self):
            done = sorted(key for key, unit in self.model.items() if unit["state"] == "done")
            assert sorted(visible_parts(catalog, self.run_id)["unit_key"]) == done
            assert len(site_rows(catalog, self.run_id)) == len(done)

    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=25 if place.is_sqlite else 10,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_units_are_handed_out_in_the_order_they_were_planned(catalog, make):
    run_id = make.run(catalog).id
    units = [make.unit(number) for number in (3, 1, 2)]

    plan(catalog, run_id, units[:2])
    plan(catalog, run_id, units)

    leased = lease(catalog, run_id, OWNER, limit=9, seconds=60)
    assert [unit.spec for unit in leased] == units


def test_planning_again_brings_new_addresses_to_units_that_are_not_done(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1), make.unit(2)])
    (first,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
    complete(**make.done(catalog, run_id, first))

    plan(catalog, run_id, [make.unit(1, root="/moved"), make.unit(2, root="/moved")])

    (second,) = lease(catalog, run_id, OWNER, limit=9, seconds=60)
    assert second.spec.root == "/moved"
    assert state_of(catalog, run_id, first.spec.key) is UnitState.DONE


def test_a_unit_fails_with_its_last_reason_at_the_third_attempt(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])

    states = []
    for attempt in range(1, 4):
        (leased,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
        assert leased.attempt == attempt
        states.append(fail(catalog, run_id, leased.spec.key, fence=leased.fence, reason=f"reason {attempt}"))

    assert states == [UnitState.READY, UnitState.READY, UnitState.FAILED]
    assert lease(catalog, run_id, OWNER, limit=1, seconds=60) == []
    assert units_of(catalog, run_id)["reason"].to_list() == ["reason 3"]


def test_a_unit_whose_worker_vanishes_three_times_fails(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])

    for _ in range(3):
        assert len(lease(catalog, run_id, OWNER, limit=1, seconds=0)) == 1

    assert lease(catalog, run_id, OWNER, limit=1, seconds=60) == []
    row = units_of(catalog, run_id).row(0, named=True)
    assert (row["state"], row["attempt"]) == ("failed", 3)
    assert "lease ran out" in row["reason"]


def test_work_that_was_interrupted_on_purpose_is_no_attempt(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])

    for _ in range(5):
        (leased,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
        hand_back(catalog, run_id, leased.spec.key, fence=leased.fence)

    assert leased.attempt == 1
    assert leased.fence == 5


def test_retry_takes_the_units_whose_reason_fits_and_takes_the_run_up_again(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1), make.unit(2)])
    for leased, reason in zip(
        lease(catalog, run_id, OWNER, limit=2, seconds=60), ["Out of Memory", "torn file"], strict=True
    ):
        for attempt in range(3):
            fail(catalog, run_id, leased.spec.key, fence=leased.fence, reason=reason)
            if attempt < 2:
                (leased,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)  # noqa: PLW2901
    set_run_state(catalog, run_id, RunState.FAILED)

    assert retry(catalog, run_id, only="memory") == 1

    assert count_units(catalog, run_id)[UnitState.FAILED] == 1
    (again,) = lease(catalog, run_id, OWNER, limit=9, seconds=60)
    assert (again.attempt, again.fence) == (1, 4)


def test_a_cancelled_run_hands_out_nothing_and_keeps_what_was_finished(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1), make.unit(2), make.unit(3)])
    first, second = lease(catalog, run_id, OWNER, limit=2, seconds=60)
    complete(**make.done(catalog, run_id, first))

    cancel_run(catalog, run_id)

    assert lease(catalog, run_id, OWNER, limit=9, seconds=60) == []
    complete(**make.done(catalog, run_id, second))  # it was under way, and its result is good
    assert len(site_rows(catalog, run_id)) == 2


def test_work_of_a_run_that_is_not_running_is_refused(catalog, make):
    run_id = make.run(catalog, running=False).id
    plan(catalog, run_id, [make.unit(1)])

    with pytest.raises(CatalogError, match="submitted"):
        lease(catalog, run_id, OWNER, limit=1, seconds=60)
    with pytest.raises(NotFoundError, match="run-99"):
        lease(catalog, 99, OWNER, limit=1, seconds=60)
    with pytest.raises(NotFoundError, match="run-99"):
        plan(catalog, 99, [make.unit(1)])


def test_a_unit_of_a_plate_that_the_run_does_not_have_is_refused(catalog, make):
    run_id = make.run(catalog).id

    with pytest.raises(CatalogError, match="contradict"):
        plan(catalog, run_id, [make.unit(1), make.unit(2, barcode="P9")])

    assert len(units_of(catalog, run_id)) == 0


def test_a_write_for_an_unknown_unit_is_refused(catalog, make):
    run_id = make.run(catalog).id

    with pytest.raises(LeaseLostError, match="no unit of this run"):
        fail(catalog, run_id, make.sha("?"), fence=1, reason="?")


def test_leases_follow_the_clock_of_the_database(catalog, make, monkeypatch):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])
    lease(catalog, run_id, OWNER, limit=1, seconds=60)

    monkeypatch.setattr(time, "time", lambda: 4e9)

    assert lease(catalog, run_id, OWNER, limit=1, seconds=60) == []


def test_a_lease_runs_out_by_itself(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])
    lease(catalog, run_id, OWNER, limit=1, seconds=0.2)
    assert release_dead_owners(catalog, run_id) == 0

    time.sleep(0.3)

    assert release_dead_owners(catalog, run_id) == 1


def test_leases_of_this_process_and_of_other_machines_are_left_alone(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1), make.unit(2)])
    lease(catalog, run_id, owner_of_this_process(), limit=1, seconds=60)
    lease(catalog, run_id, OWNER, limit=1, seconds=60)

    assert release_dead_owners(catalog, run_id) == 0


@pytest.mark.parametrize("reason", ["", "'; DROP TABLE units; --", "nul \0 inside", "bytes \udcff", "é" * 1_000_000])
def test_any_reason_can_be_kept(catalog, make, reason):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])
    (leased,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)

    fail(catalog, run_id, leased.spec.key, fence=leased.fence, reason=reason)

    kept = units_of(catalog, run_id)["reason"][0]
    assert len(kept) <= 4000
    assert kept[:20] == reason[:20].replace("\0", "\\x00").replace("\udcff", "\\udcff")[:20]


def test_all_that_an_owner_holds_goes_back_and_nothing_else(catalog, make):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(number) for number in range(5)])
    mine = lease(catalog, run_id, OWNER, limit=3, seconds=60)
    (theirs,) = lease(catalog, run_id, "somewhere else/3/4/abcd", limit=1, seconds=60)
    complete(**make.done(catalog, run_id, mine[0]))

    assert hand_back_all(catalog, run_id, OWNER) == 2

    assert units_of(catalog, run_id).select("state", "attempt").rows() == [
        ("done", 1),
        ("ready", 0),
        ("ready", 0),
        ("leased", 1),
        ("ready", 0),
    ]
    complete(**make.done(catalog, run_id, theirs))
    with pytest.raises(LeaseLostError):
        complete(**make.done(catalog, run_id, mine[1]))
    assert hand_back_all(catalog, run_id, OWNER) == 0
