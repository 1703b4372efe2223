from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from hcs.catalog import add_notes, cancel_run, get_run, publish, set_run_state
from hcs.catalog.runs import FINISHED, NEXT_STATES
from hcs.errors import CatalogError, NotFoundError
from schemas.work import RunState


def finish(catalog, make, run_id, state=RunState.COMPLETE):
    publish(
        catalog, run_id, calls=make.calls([]), neighbours=make.neighbours([]), profiles=[make.profile()], state=state
    )


def test_a_run_is_found_by_number_name_and_as_the_latest(catalog, make):
    for _ in range(3):
        make.run(catalog)
    finish(catalog, make, 2)
    finish(catalog, make, 1)

    assert [get_run(catalog, reference).id for reference in (3, "3", "run-3", " run-3 ")] == [3] * 4
    assert get_run(catalog).id == 1  # the one that finished last
    assert get_run(catalog, "latest", finished=False).id == 3


@pytest.mark.parametrize(
    "reference", ["run-4", 4, "4", "", "run-", "RUN-1", "1; DROP TABLE runs", "x" * 10_000, -1, "²"]
)
def test_an_unknown_run_is_answered_with_those_there_are(catalog, make, reference):
    for _ in range(3):
        make.run(catalog)

    with pytest.raises(NotFoundError, match=r"run-3 \(running\), run-2 \(running\), run-1 \(running\)") as error:
        get_run(catalog, reference)

    assert len(str(error.value)) < 300


def test_without_a_finished_run_there_is_no_latest(catalog, make):
    with pytest.raises(NotFoundError, match="none yet"):
        get_run(catalog)
    make.run(catalog)
    with pytest.raises(NotFoundError, match=r"a finished run.*run-1 \(running\)"):
        get_run(catalog)


def test_the_times_of_a_run_are_those_of_the_database_in_utc(catalog, make):
    record = make.run(catalog)
    assert record.finished_at is None
    finish(catalog, make, record.id)

    record = get_run(catalog, record.id)

    assert record.created_at <= record.started_at <= record.finished_at
    assert abs(datetime.now(UTC) - record.finished_at) < timedelta(minutes=1)


@pytest.mark.parametrize(("present", "wanted"), list(itertools.product(RunState, RunState)))
def test_a_run_moves_only_where_it_may(catalog, make, present, wanted):
    run_id = make.run(catalog, running=present is not RunState.SUBMITTED).id
    if present in FINISHED:
        finish(catalog, make, run_id, present)
    else:
        set_run_state(catalog, run_id, present)

    if wanted in FINISHED:
        with pytest.raises(CatalogError, match="publishing"):
            set_run_state(catalog, run_id, wanted)
    elif wanted == present or wanted in NEXT_STATES[present]:
        assert set_run_state(catalog, run_id, wanted).state is wanted
    else:
        with pytest.raises(CatalogError, match=f"is {present.value} and cannot become {wanted.value}"):
            set_run_state(catalog, run_id, wanted)


def test_a_run_taken_up_again_is_not_finished_and_keeps_its_start(catalog, make):
    record = make.run(catalog)
    cancelled = cancel_run(catalog, record.id)
    assert cancelled.finished_at is not None

    again = set_run_state(catalog, record.id, RunState.RUNNING)

    assert (again.started_at, again.finished_at) == (record.started_at, None)


def test_notes_are_kept_once_and_in_order(catalog, make):
    run_id = make.run(catalog).id

    add_notes(catalog, run_id, ["few controls", "no nuclei: 'DNA' is missing"])
    set_run_state(catalog, run_id, RunState.FAILED, notes=["few controls", "disk \0 full"])

    assert get_run(catalog, run_id).notes == ("few controls", "no nuclei: 'DNA' is missing", "disk \\x00 full")


def test_the_number_of_a_run_is_never_given_again(catalog, make):
    from sqlalchemy import text

    run_id = make.run(catalog, running=False).id
    with catalog.writing() as connection:
        for table in ("run_wells", "run_plates", "runs"):
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608

    assert make.run(catalog).id == run_id + 1


def test_states_of_runs_that_do_not_exist_cannot_change(catalog):
    with pytest.raises(NotFoundError):
        set_run_state(catalog, 1, RunState.RUNNING)
    with pytest.raises(NotFoundError):
        add_notes(catalog, 1, ["?"])
