from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass, replace

import pytest
from commands import digests_of

from hcs.catalog import (
    ask_again,
    cancel_run,
    claim_run,
    count_units,
    get_run,
    is_run_waiting,
    keep_claim,
    open_catalog,
    run_state,
    submission_of,
    submit_run,
)
from hcs.distributed.performers import ExecutorName, Performers
from hcs.embedding.engine import pin_for
from hcs.errors import LeaseLostError
from hcs.pipeline.export import export_run
from hcs.pipeline.local import LocalExecutor
from hcs.pipeline.registering import register
from hcs.pipeline.submission import prepare_run
from hcs.settings import Settings
from schemas.work import RunState, UnitState
from services.dispatcher.keeping import KeptClaim
from services.dispatcher.loop import Dispatcher
from services.dispatcher.performing import Became, perform_claim

ONE, TWO = "somewhere else/1/2/abcd", "somewhere else/3/4/abcd"
HERE = Performers(ExecutorName.LOCAL, threads=1)
SETTINGS = Settings(offline=True)


def submit(catalog, config, **options):
    return submit_run(catalog, config, code_version="0.1.0", **options).run


def claimed(catalog, **options):
    claim = claim_run(catalog, ONE, seconds=60, **options)
    assert claim is not None
    return claim


def perform(catalog, claim, *, performers=HERE, say=lambda text: None, **options):
    return perform_claim(catalog, claim, ONE, performers=performers, settings=SETTINGS, say=say, **options)


def exported_of(catalog, folder):
    export_run(catalog, get_run(catalog), str(folder), ending="parquet")
    return digests_of(folder)


def test_a_submitted_run_exports_the_bytes_of_one_that_was_not_submitted(catalog, config, exported, tmp_path):
    submit(catalog, config)
    said = []

    ended = perform(catalog, claimed(catalog), say=said.append)

    assert str(ended) == "run-1: complete"
    assert said == ["run-1 of screen simulated-11: 1 plate, 24 sites"]
    assert len(exported) >= 10
    assert exported_of(catalog, tmp_path / "export") == exported
    assert not submission_of(catalog, 1).is_claimed
    assert not submit_run(catalog, config, code_version="0.1.0").is_new


def test_a_second_run_of_the_same_takes_over_every_unit_and_exports_the_same(catalog, config, exported, tmp_path):
    for _ in range(2):
        submit(catalog, config, new=True)
        assert perform(catalog, claimed(catalog)).became is Became.COMPLETE

    assert count_units(catalog, 2)[UnitState.DONE] > 0
    with catalog.reading() as connection:
        assert connection.exec_driver_sql("select count(*) from units where run_id = 2 and attempt > 0").scalar() == 0
    assert exported_of(catalog, tmp_path / "export") == exported


def test_a_delivery_that_cannot_be_worked_with_fails_with_its_reason_and_can_be_asked_for_again(
    catalog, config, tmp_path
):
    missing = tmp_path / "not there yet"
    submit(catalog, config.model_copy(update={"plates": (config.plates[0].model_copy(update={"uri": str(missing)}),)}))

    ended = perform(catalog, claimed(catalog))

    run = get_run(catalog, 1)
    assert (ended.became, run.state) == (Became.FAILED, RunState.FAILED)
    assert run.notes == (ended.why,)
    assert str(missing) in ended.why
    assert not is_run_waiting(catalog)
    missing.symlink_to(config.plates[0].uri)
    ask_again(catalog, 1)
    assert perform(catalog, claimed(catalog)).became is Became.COMPLETE
    assert not [note for note in get_run(catalog, 1).notes if str(missing) in note]


def test_an_encoder_that_nobody_knows_fails_the_run(catalog, config):
    unknown = config.encoders[0].model_copy(update={"name": "no_such_encoder"})
    submit(catalog, config.model_copy(update={"encoders": (unknown,)}))

    assert perform(catalog, claimed(catalog)).became is Became.FAILED

    assert "no_such_encoder" in get_run(catalog, 1).notes[0]


def test_where_ray_does_not_answer_the_run_is_handed_back_and_no_attempt_is_counted(catalog, config):
    submit(catalog, config)

    for _ in range(4):
        ended = perform(
            catalog, claimed(catalog), performers=Performers(ExecutorName.RAY, address="127.0.0.1:1", workers=1)
        )
        assert ended.became is Became.HANDED_BACK
        assert "127.0.0.1:1" in ended.why

    assert (run_state(catalog, 1), get_run(catalog, 1).notes) == (RunState.SUBMITTED, ())
    assert perform(catalog, claimed(catalog)).became is Became.COMPLETE


def test_where_parts_cannot_be_written_the_run_is_handed_back(catalog, config, tmp_path):
    submit(catalog, config)
    (tmp_path / "file").write_text("no folder")
    with open_catalog(catalog.location, parts_uri=str(tmp_path / "file")) as astray:
        ended = perform(astray, claimed(catalog))

    assert ended.became is Became.HANDED_BACK
    assert "file" in ended.why
    assert get_run(catalog, 1).state is RunState.SUBMITTED
    assert perform(catalog, claimed(catalog)).became is Became.COMPLETE


def test_a_run_that_was_begun_with_another_pin_is_left_to_others(catalog, config):
    submit(catalog, config)

    def pin(n_planes):
        return pin_for(n_planes).model_copy(update={"instruction_set": "of another machine"})

    register(catalog, prepare_run(config, settings=SETTINGS, pin=pin), submitted=1)

    ended = perform(catalog, claimed(catalog))

    assert ended.became is Became.HANDED_BACK
    assert "of another machine" in ended.why
    assert is_run_waiting(catalog)
    assert submission_of(catalog, 1).attempts == 0


def test_a_run_that_is_cancelled_while_its_plates_are_looked_at_stays_cancelled(catalog, config):
    submit(catalog, config)
    claim = claimed(catalog)
    cancel_run(catalog, 1)

    assert perform(catalog, claim).became is Became.CANCELLED

    assert run_state(catalog, 1) is RunState.CANCELLED
    assert not is_run_waiting(catalog)


def test_a_run_that_is_cancelled_half_way_stays_so_until_it_is_asked_for_again(catalog, config, exported, tmp_path):
    submit(catalog, config)
    claim = claimed(catalog)
    canceller = threading.Thread(target=cancel_when_under_way, args=(catalog,))
    canceller.start()

    ended = perform(catalog, claim)
    canceller.join()

    counts = count_units(catalog, 1)
    assert counts[UnitState.DONE] >= 1, "it was cancelled before it was under way"
    assert counts[UnitState.READY] >= 1, "it was cancelled too late"
    assert counts[UnitState.LEASED] == 0
    assert (ended.became, run_state(catalog, 1)) == (Became.CANCELLED, RunState.CANCELLED)
    assert not is_run_waiting(catalog)
    ask_again(catalog, 1)
    assert perform(catalog, claimed(catalog)).became is Became.COMPLETE
    assert exported_of(catalog, tmp_path / "export") == exported


def cancel_when_under_way(catalog):
    while count_units(catalog, 1)[UnitState.DONE] < 1:
        time.sleep(0.01)
    cancel_run(catalog, 1)


def test_a_claim_is_kept_through_all_of_a_run_however_short_it_is(catalog, config):
    submit(catalog, config)
    claim = claim_run(catalog, ONE, seconds=0.6)
    looks, is_over = [], threading.Event()

    def look():
        while not is_over.wait(0.02):
            looks.append(is_run_waiting(catalog))

    looker = threading.Thread(target=look)
    looker.start()
    began = time.monotonic()
    ended = perform(catalog, claim, claim_seconds=0.6)
    took = time.monotonic() - began
    is_over.set()
    looker.join()

    assert ended.became is Became.COMPLETE
    assert took > 0.9, "it was over before the first claim was"
    assert looks
    assert not any(looks)


def test_a_claim_ends_with_its_context(catalog, config):
    submit(catalog, config)
    claimed(catalog)
    with KeptClaim(catalog, 1, ONE, seconds=0.3) as kept:
        time.sleep(0.7)
        kept.check()
        assert submission_of(catalog, 1).is_claimed

    time.sleep(0.4)
    assert not submission_of(catalog, 1).is_claimed


def test_a_dispatcher_that_was_away_too_long_leaves_the_run_to_who_has_it(catalog, config):
    submit(catalog, config)
    claim = claimed(catalog)
    keep_claim(catalog, 1, ONE, seconds=0)
    assert claim_run(catalog, TWO, seconds=60).attempt == 2

    with KeptClaim(catalog, 1, ONE, seconds=0.06) as kept:
        time.sleep(0.5)
        with pytest.raises(LeaseLostError, match="another dispatcher"):
            kept.check()
    ended = perform(catalog, claim, claim_seconds=0.06)

    assert ended.became in (Became.LOST, Became.COMPLETE)  # a short run may be over before it is noticed
    assert keep_claim(catalog, 1, TWO, seconds=60)


@dataclass(frozen=True)
class Breaking(Performers):
    """Who performs units until something happens that nobody has thought of."""

    def make(self, settings, *, on_one_machine=False):
        class Broken(LocalExecutor):
            def submit(self, spec):
                raise RuntimeError("the unthinkable")

        return Broken(threads=1)


def test_what_nobody_can_explain_is_tried_three_times_and_noted(catalog, config):
    submit(catalog, config)
    submit(catalog, config.model_copy(update={"quality": "drop"}))
    for _ in range(3):
        ended = perform(catalog, claimed(catalog, besides=[2]), performers=Breaking(ExecutorName.LOCAL))
        assert ended.became is Became.HANDED_BACK

    assert claimed(catalog).run.id == 2

    run = get_run(catalog, 1)
    assert run.state is RunState.FAILED
    assert "the unthinkable" in run.notes[0]
    assert "3 dispatchers" in run.notes[1]


def dispatcher(catalog, *, performers=HERE):
    said, reported = [], []

    def perform_it(claim, owner):
        return perform_claim(catalog, claim, owner, performers=performers, settings=SETTINGS, say=said.append)

    return Dispatcher(catalog, perform_it, say=said.append, report=reported.append), said, reported


def without(config, *wells):
    """The screen without some wells, as if a person had taken them out."""
    plate = config.plates[0]
    taken = [{"plate": plate.barcode or plate.uri.rsplit("/", 1)[-1], "well": well, "reason": "-"} for well in wells]
    return config.__class__.model_validate({**config.model_dump(), "exclude_wells": taken})


def test_what_is_submitted_is_worked_off_in_its_order_whatever_becomes_of_one(catalog, config):
    broken = config.model_copy(update={"plates": (config.plates[0].model_copy(update={"uri": "/nowhere"}),)})
    for screen in (config, broken, without(config, "A01")):
        submit(catalog, screen)
    submit(catalog, config.model_copy(update={"quality": "drop"}))
    cancel_run(catalog, 4)
    worker, _, reported = dispatcher(catalog)

    assert worker.work_off() == 1

    assert [(ended.name, ended.became.value) for ended in reported] == [
        ("run-1", "complete"),
        ("run-2", "failed"),
        ("run-3", "complete"),
    ]
    assert run_state(catalog, 4) is RunState.CANCELLED
    assert worker.work_off() == 0


def test_a_run_with_holes_is_code_3(catalog, config, tmp_path):
    plate = config.plates[0]
    copy = tmp_path / "delivered" / plate.uri.rsplit("/", 1)[-1]
    shutil.copytree(plate.uri, copy)
    image = next(path for path in sorted(copy.rglob("*.tif*")))
    image.write_bytes(image.read_bytes()[:-100])
    submit(catalog, config.model_copy(update={"plates": (plate.model_copy(update={"uri": str(copy)}),)}))
    worker, _, reported = dispatcher(catalog)

    assert worker.work_off() == 3
    assert reported[0].became is Became.WITH_HOLES


def test_what_is_no_fault_of_a_run_ends_the_working_off_and_leaves_the_others_alone(catalog, config):
    submit(catalog, config)
    submit(catalog, config, new=True)
    worker, _, reported = dispatcher(
        catalog, performers=replace(HERE, executor=ExecutorName.RAY, threads=None, address="127.0.0.1:1")
    )

    assert worker.work_off() == 1

    assert [ended.name for ended in reported] == ["run-1"]
    assert {run_state(catalog, run_id) for run_id in (1, 2)} == {RunState.SUBMITTED}
    other, _, reported = dispatcher(catalog)
    assert other.work_off() == 0
    assert [ended.name for ended in reported] == ["run-1", "run-2"]
