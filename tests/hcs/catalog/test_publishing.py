from __future__ import annotations

import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.catalog import (
    EVERY_CALL,
    HitLimits,
    complete,
    fail,
    find_hits,
    get_run,
    lease,
    neighbours_of,
    plan,
    profiles_of,
    publish,
    retry,
    site_rows,
    stored_flags,
)
from hcs.catalog.publishing import labels_of
from hcs.errors import CatalogError, UsageError
from schemas.results import PublishedCalls
from schemas.work import RunState

OWNER = "somewhere else/1/2/abcd"


@pytest.fixture
def results(make):
    return {
        "calls": make.calls([{"perturbation": "CPD1"}, {"perturbation": "CPD2", "q_value": 0.5}]),
        "neighbours": make.neighbours([("CPD1@1", 1, "CPD2@1", 0.5)]),
        "profiles": [make.profile("named"), make.profile()],
        "state": RunState.COMPLETE,
    }


def test_what_is_published_is_found_and_the_run_is_finished(catalog, make, results):
    run_id = make.run(catalog).id

    assert publish(catalog, run_id, **results, notes=["few controls"])

    record = get_run(catalog)
    assert (record.id, record.state, record.notes) == (run_id, RunState.COMPLETE, ("few controls",))
    found = find_hits(catalog, EVERY_CALL)
    assert PublishedCalls.validate(found.select(*PublishedCalls.columns())).height == 2
    assert found.drop("treatment").equals(PublishedCalls.cast(results["calls"]).select(*PublishedCalls.columns()))
    assert neighbours_of(catalog, "CPD1")["similarity"].to_list() == [0.5]
    assert profiles_of(catalog, run_id) == (make.profile(), make.profile("named"))


def test_the_same_results_again_change_nothing_and_others_are_refused(catalog, make, results):
    run_id = make.run(catalog).id
    publish(catalog, run_id, **results)
    finished_at = get_run(catalog).finished_at

    again = {**results, "calls": results["calls"].reverse(), "profiles": results["profiles"][::-1]}
    assert not publish(catalog, run_id, **again)
    for change in (
        {"calls": results["calls"].with_columns(q_value=pl.lit(0.02))},
        {"neighbours": results["neighbours"].clear()},
        {"profiles": results["profiles"][:1]},
    ):
        with pytest.raises(CatalogError, match="results stand"):
            publish(catalog, run_id, **{**results, **change})

    assert get_run(catalog).finished_at == finished_at
    assert find_hits(catalog, EVERY_CALL)["q_value"].to_list() == [0.01, 0.5]


def test_a_run_with_holes_is_published_anew_after_a_retry_and_is_seen_as_it_was_until_then(catalog, make, results):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])
    for _ in range(3):
        (unit,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
        fail(catalog, run_id, unit.spec.key, fence=unit.fence, reason="out of memory")
    with_holes = {**results, "calls": results["calls"][:1], "state": RunState.COMPLETE_WITH_HOLES}
    publish(catalog, run_id, **with_holes)

    assert retry(catalog, run_id) == 1
    assert get_run(catalog, run_id).state is RunState.RUNNING
    assert find_hits(catalog, EVERY_CALL, run=run_id).height == 1
    (unit,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
    complete(**make.done(catalog, run_id, unit))
    assert publish(catalog, run_id, **results)

    assert find_hits(catalog, EVERY_CALL, run=run_id).height == 2
    assert get_run(catalog).state is RunState.COMPLETE


def test_flags_are_kept_with_results_and_do_not_hold_while_a_run_goes_on(catalog, make, results):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1), make.unit(2)])
    first, *_ = lease(catalog, run_id, OWNER, limit=1, seconds=60)
    complete(**make.done(catalog, run_id, first))
    for _ in range(3):
        (second,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
        fail(catalog, run_id, second.spec.key, fence=second.fence, reason="out of memory")
    sites = site_rows(catalog, run_id).select("plate", "well", "site")
    flags = sites.head(1).with_columns(flags=pl.lit("blurred:DNA|saturated:ER"))
    assert stored_flags(catalog, run_id, "P1") is None, "nobody has looked"

    publish(catalog, run_id, **{**results, "state": RunState.COMPLETE_WITH_HOLES}, flags=flags)

    assert stored_flags(catalog, run_id, "P1").rows() == flags.rows()
    assert stored_flags(catalog, run_id, "another").is_empty()
    retry(catalog, run_id)
    assert stored_flags(catalog, run_id, "P1") is None, "there will be more sites"
    (again,) = lease(catalog, run_id, OWNER, limit=1, seconds=60)
    complete(**make.done(catalog, run_id, again))
    publish(catalog, run_id, **results, flags=flags.clear())
    assert stored_flags(catalog, run_id, "P1").is_empty()


def test_a_run_with_work_left_cannot_finish(catalog, make, results):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1), make.unit(2)])

    with pytest.raises(CatalogError, match="2 ready"):
        publish(catalog, run_id, **{**results, "state": RunState.COMPLETE_WITH_HOLES})
    for _ in range(3):
        for unit in lease(catalog, run_id, OWNER, limit=2, seconds=60):
            fail(catalog, run_id, unit.spec.key, fence=unit.fence, reason="?")
    with pytest.raises(CatalogError, match="cannot be complete while it has units that are 2 failed"):
        publish(catalog, run_id, **results)

    assert publish(catalog, run_id, **{**results, "state": RunState.COMPLETE_WITH_HOLES})


def test_only_a_running_run_finishes_and_only_as_finished(catalog, make, results):
    run_id = make.run(catalog, running=False).id

    with pytest.raises(CatalogError, match="submitted"):
        publish(catalog, run_id, **results)
    running = make.run(catalog).id
    with pytest.raises(CatalogError, match="become failed"):
        publish(catalog, running, **{**results, "state": RunState.FAILED})


def test_results_that_break_their_contract_leave_nothing(catalog, make, results):
    run_id = make.run(catalog).id
    one = results["calls"]
    spoiled = [
        ({"calls": one.with_columns(q_value=pl.lit(2.0))}, CatalogError, "PublishedCalls"),
        ({"calls": one.with_columns(mechanism_source=pl.lit("annotated"))}, CatalogError, "PublishedCalls"),
        ({"calls": one.with_columns(perturbation=pl.lit("CPD1"))}, CatalogError, "'CPD1@1' comes 2 times"),
        ({"calls": one.drop("call")}, CatalogError, "without call"),
        ({"calls": one.with_columns(smiles=pl.lit("C" * 1_000_000))}, UsageError, "smiles"),
        ({"calls": one.with_columns(perturbation=pl.lit("a\0b"))}, UsageError, "NUL"),
        ({"neighbours": pl.concat([results["neighbours"]] * 2)}, CatalogError, "TreatmentNeighbours"),
        ({"profiles": [make.profile(), make.profile()]}, CatalogError, "contradict"),
    ]
    for change, kind, said in spoiled:
        with pytest.raises(kind, match=said):
            publish(catalog, run_id, **{**results, **change})

    assert get_run(catalog, run_id).state is RunState.RUNNING
    assert profiles_of(catalog, run_id) == ()
    assert publish(catalog, run_id, **results)


def test_a_compound_may_be_a_treatment_and_a_positive_control(catalog, make, results):
    run_id = make.run(catalog).id
    both = make.calls([{"perturbation": "CPD1", "control_type": kind} for kind in ("treatment", "poscon")])

    publish(catalog, run_id, **{**results, "calls": both})

    assert find_hits(catalog)["control_type"].to_list() == ["treatment", "poscon"]
    assert find_hits(catalog, HitLimits(control_types=["poscon"])).height == 1


def test_a_run_whose_calls_were_refused_finishes_without_any(catalog, make, results):
    run_id = make.run(catalog).id
    nothing = {"calls": PublishedCalls.create_empty(), "neighbours": make.neighbours([]), "profiles": []}

    publish(catalog, run_id, **nothing, state=RunState.COMPLETE_WITH_HOLES, notes=["plate P1 has no controls"])

    assert find_hits(catalog).height == 0


@given(st.lists(st.sampled_from(["a", "B b", "c"]), unique=True))
@settings(deadline=None)
def test_labels_are_what_stands_between_bars(labels):
    assert labels_of(" | ".join(labels)) == labels
    assert labels_of("||" + "|".join(labels * 2) + "|") == labels


def test_nothing_has_no_labels():
    assert labels_of(None) == labels_of("") == labels_of(" | ") == []


def test_names_as_long_as_they_may_be_fit_into_every_index(catalog, make):
    some = random.Random(0)  # noqa: S311 - no secret: text that cannot be compressed
    name, label, profile = ("".join(chr(some.randrange(0x4E00, 0x9FFF)) for _ in range(266)) for _ in range(3))
    wells = make.wells([{"well": "A01", "perturbation": name}])
    run_id = make.run(catalog, wells=wells).id
    call = {"perturbation": name, "mechanism": label, "mechanism_source": "annotated", "profile": profile}

    publish(
        catalog,
        run_id,
        calls=make.calls([call]),
        neighbours=make.neighbours([(name, 1, name, 0.5)], profile=profile),
        profiles=[make.profile()],
        state=RunState.COMPLETE,
    )

    assert find_hits(catalog, HitLimits(mechanism=label), profile=profile)["perturbation"].to_list() == [name]
