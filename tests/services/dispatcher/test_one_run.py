"""`hcs work --run`: one process that sees to one run, as a pod does, whoever else is at it."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from commands import export_digests, start
from typer.testing import CliRunner

from hcs.catalog import (
    ask_again,
    cancel_run,
    claim_run,
    count_units,
    delete_run,
    get_run,
    is_run_waiting,
    release_claim,
    run_state,
    submission_of,
    submit_run,
)
from hcs.cli.main import app
from hcs.distributed.performers import ExecutorName, Performers
from hcs.embedding.engine import pin_for
from hcs.errors import UsageError
from hcs.io.screen import load_screen
from hcs.pipeline.registering import register
from hcs.pipeline.submission import prepare_run
from hcs.settings import Settings
from schemas.work import RunState, UnitState
from services.dispatcher.__main__ import main
from services.dispatcher.loop import Dispatcher
from services.dispatcher.performing import Became, Ended, perform_claim

ELSEWHERE = "somewhere else/1/2/abcd"
HERE = Performers(ExecutorName.LOCAL, threads=1)


def submit(catalog, config, **options):
    return submit_run(catalog, config, code_version="0.1.0", new=True, **options).run


def unperformable(config, place):
    """The same screen, of a plate that is not there."""
    return config.model_copy(update={"plates": (config.plates[0].model_copy(update={"uri": str(place)}),)})


def drive(catalog, run, *, performers=HERE, meanwhile=lambda: None):
    """The exit code of who sees to a run, what was said, and what was reported; `meanwhile` is done once it waits."""
    said, reported = [], []

    def say(text):
        said.append(text)
        if "waiting" in text:
            threading.Thread(target=meanwhile).start()

    def perform(claim, owner):
        return perform_claim(catalog, claim, owner, performers=performers, settings=Settings(offline=True), say=say)

    code = Dispatcher(catalog, perform, say=say, report=lambda ended: reported.append(str(ended))).see_to(run)
    return code, said, reported


def test_one_run_is_claimed_and_the_others_are_left_alone(catalog, config):
    first, second, third = [submit(catalog, config).id for _ in range(3)]

    assert is_run_waiting(catalog, only=second)
    assert claim_run(catalog, ELSEWHERE, seconds=60, only=second).run.id == second
    assert claim_run(catalog, ELSEWHERE, seconds=60, only=second) is None
    assert not is_run_waiting(catalog, only=second)
    assert claim_run(catalog, ELSEWHERE, seconds=60, only=second, besides=[first]) is None
    cancel_run(catalog, third)
    assert claim_run(catalog, ELSEWHERE, seconds=60, only=third) is None
    assert claim_run(catalog, ELSEWHERE, seconds=60, only=999) is None
    assert [submission_of(catalog, run_id).is_claimed for run_id in (first, second, third)] == [False, True, False]


def test_the_run_is_performed_and_an_older_one_waits_on(catalog, config):
    older, run = submit(catalog, config), submit(catalog, config)

    code, said, reported = drive(catalog, run)

    assert (code, reported) == (0, [f"{run.name}: complete"])
    assert said[0] == f"{run.name} of screen {run.screen} is taken up"
    assert run_state(catalog, older.id) is RunState.SUBMITTED
    assert not submission_of(catalog, run.id).is_claimed


def test_a_run_that_had_ended_is_reported_and_nothing_is_done(catalog, config, tmp_path):
    cancelled, failed = submit(catalog, config), submit(catalog, unperformable(config, tmp_path / "nowhere"))
    cancel_run(catalog, cancelled.id)

    code, _, reported = drive(catalog, failed)
    assert (code, len(reported)) == (0, 1)
    assert reported[0].startswith(f"{failed.name}: failed: ")
    assert str(tmp_path / "nowhere") in reported[0]

    assert drive(catalog, failed) == (0, [], reported)  # the same again, from what the catalog says
    assert drive(catalog, cancelled) == (0, [], [f"{cancelled.name}: cancelled"])
    assert all(not any(count_units(catalog, run.id).values()) for run in (cancelled, failed))


def test_a_run_whose_dispatcher_is_not_heard_of_any_more_is_waited_for_and_taken_up(catalog, config):
    run = submit(catalog, config)
    claim_run(catalog, ELSEWHERE, seconds=2)
    began = time.monotonic()

    code, said, reported = drive(catalog, run)

    assert (code, reported) == (0, ["run-1: complete"])
    assert "claimed by another" in said[0]
    assert "attempt 2" in said[1]
    assert time.monotonic() - began > 1.5, "it did not wait until the claim ran out"


@pytest.mark.parametrize("fate", ["cancelled", "deleted", "handed back"])
def test_what_becomes_of_a_run_that_is_waited_for_is_noticed(catalog, config, fate):
    run = submit(catalog, config)
    claim_run(catalog, ELSEWHERE, seconds=600)

    def meanwhile():
        if fate == "handed back":
            release_claim(catalog, run.id, ELSEWHERE)
        else:
            cancel_run(catalog, run.id)
            if fate == "deleted":
                release_claim(catalog, run.id, ELSEWHERE)
                delete_run(catalog, run.id)

    code, said, reported = drive(catalog, run, meanwhile=meanwhile)

    assert code == 0
    if fate == "deleted":
        assert "was deleted" in said[-1] or reported == ["run-1: cancelled"]  # it may have looked between the two
    else:
        assert reported == [f"run-1: {'cancelled' if fate == 'cancelled' else 'complete'}"]


def test_a_run_that_is_handed_back_is_code_1_and_still_waits(catalog, config):
    run = submit(catalog, config)

    code, _, reported = drive(catalog, run, performers=Performers(ExecutorName.RAY, address="127.0.0.1:1", workers=1))

    assert code == 1
    assert reported[0].startswith("run-1: handed back: ")
    assert is_run_waiting(catalog, only=run.id)


def test_a_run_that_was_lost_to_another_is_code_1_while_that_goes_on_with_it(catalog, config):
    run = submit(catalog, config)

    def perform(claim, owner):
        release_claim(catalog, run.id, owner)
        claim_run(catalog, ELSEWHERE, seconds=60)
        return perform_claim(
            catalog,
            claim,
            owner,
            performers=HERE,
            settings=Settings(offline=True),
            say=lambda text: None,
            claim_seconds=0.3,
        )

    reported = []
    dispatcher = Dispatcher(catalog, perform, say=lambda text: None, report=reported.append)

    assert dispatcher.see_to(run) == 1
    assert reported[0].became.value == "gone to another dispatcher"
    assert submission_of(catalog, run.id).is_claimed


def test_a_run_that_was_asked_for_again_as_it_ended_is_not_taken_for_ended(catalog, config):
    run = submit(catalog, config)

    def perform(claim, owner):
        cancel_run(catalog, run.id)
        ended = perform_claim(
            catalog, claim, owner, performers=HERE, settings=Settings(offline=True), say=lambda text: None
        )
        ask_again(catalog, run.id)
        return ended

    assert Dispatcher(catalog, perform, say=lambda text: None, report=lambda ended: None).see_to(run) == 1


@pytest.fixture
def catalog_named(catalog, monkeypatch):
    """The catalog, as the environment names it for a process of its own."""
    monkeypatch.setenv("HCS_CATALOG", catalog.location)
    monkeypatch.delenv("HCS_PARTS", raising=False)
    return catalog


@pytest.mark.parametrize("reference", ["run-9", "nonsense", "run-1"])
def test_a_run_that_is_not_there_or_was_never_submitted_is_refused(screen_file, catalog_named, capsys, reference):
    register(catalog_named, prepare_run(load_screen(str(screen_file)), settings=Settings(offline=True), pin=pin_for))

    code = main(["--run", reference, "--threads=1"])

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert ("never was (it is submitted)" if reference == "run-1" else "does not hold the run") in err
    assert err.count("\n") == 1


def test_options_that_contradict_one_another_are_refused_and_no_catalog_is_made(tmp_path, monkeypatch, capsys):
    place = tmp_path / "none" / "catalog.sqlite"
    monkeypatch.setenv("HCS_CATALOG", str(place))

    both = CliRunner().invoke(app, ["work", "--run", "run-1", "--once"])

    assert isinstance(both.exception, UsageError)
    assert "leave one of them out" in str(both.exception)
    assert main(["--run", "run-1", "--threads=1"]) == 2
    assert "there is no catalog" in capsys.readouterr().err
    assert not place.parent.exists()


def test_two_at_once_perform_every_unit_once_to_the_same_bytes(catalog, config, exported, tmp_path):
    run = submit(catalog, config)
    others = submit(catalog, config)
    arguments = ("work", "--run", run.name, "--threads", 1, "--catalog", catalog.location)

    processes = [start(*arguments) for _ in range(2)]
    answers = [process.communicate(timeout=200) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], answers
    assert [out for out, _ in answers] == ["run-1: complete\n"] * 2
    assert sum("is taken up" in err for _, err in answers) == 1
    with catalog.reading() as connection:
        tried = connection.exec_driver_sql("select max(attempt), min(attempt) from units where run_id = 1").one()
    assert tuple(tried) == (1, 1)
    assert run_state(catalog, others.id) is RunState.SUBMITTED
    cancel_run(catalog, others.id)
    assert export_digests(catalog.location, tmp_path / "export") == exported


def test_a_request_to_end_hands_the_run_back_within_seconds(catalog, config):
    run = submit(catalog, config)
    process = start("work", "--run", run.name, "--threads", 1, "--catalog", catalog.location)
    try:
        give_up = time.monotonic() + 100
        while not submission_of(catalog, run.id).is_claimed:
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.01)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()

    assert time.monotonic() - began < 10
    assert (process.returncode, out) == (1, ""), err
    assert "asked to end" in err
    record = submission_of(catalog, run.id)
    assert (record.is_claimed, record.attempts) == (False, 0)
    assert count_units(catalog, run.id)[UnitState.LEASED] == 0
    assert get_run(catalog, run.id, finished=False).state in (RunState.SUBMITTED, RunState.RUNNING)


def test_a_request_to_end_that_comes_when_the_run_has_ended_is_code_0(catalog, config):
    run = submit(catalog, config)

    def perform(claim, owner):
        cancel_run(catalog, run.id)
        dispatcher.request.has_come = True
        return Ended(claim.run.name, Became.CANCELLED)

    dispatcher = Dispatcher(catalog, perform, say=lambda text: None, report=lambda ended: None)
    with pytest.raises(KeyboardInterrupt):
        dispatcher.see_to(run)

    assert dispatcher.code_of(run) == 0
