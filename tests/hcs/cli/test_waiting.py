from __future__ import annotations

import json
from threading import Timer

import pytest
import typer
from typer.testing import CliRunner

from hcs.catalog import (
    ask_again,
    begin_dispatch,
    claim_run,
    end_dispatch,
    note_dispatch,
    release_claim,
    set_run_state,
    submit_run,
)
from hcs.cli import export, run, runs, submit
from hcs.errors import ConflictError, HcsError
from schemas.screen import ScreenConfig
from schemas.work import DispatchState, RunState

OWNER = "somewhere else/1/2/abcd"


@pytest.fixture
def give(catalog):
    """Return a function that gives a command on the catalog, and returns how it ended."""
    app = typer.Typer()
    for group in (export, run, runs, submit):
        group.register(app)

    def command(*arguments):
        ended = CliRunner().invoke(app, [*map(str, arguments), "--catalog", catalog.location])
        if isinstance(ended.exception, HcsError):
            raise ended.exception
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        return ended

    return command


@pytest.fixture
def submitted(catalog):
    """A run that nobody has looked at."""
    config = ScreenConfig(screen="pilot", plates=[{"uri": "/delivered/P1"}])
    return submit_run(catalog, config, code_version="0.1.0").run


def test_a_submitted_run_says_that_it_waits(give, submitted):
    told = give("status", submitted.name)

    assert told.exit_code == 0
    assert told.stdout.startswith(f"{submitted.name}: submitted; units: none planned")
    assert f"{submitted.name}: it waits for a dispatcher: `hcs work`" in told.stderr
    assert "submitted" in give("runs").stdout


def test_a_submitted_run_says_who_is_at_it_and_who_was(catalog, give, submitted):
    claim_run(catalog, OWNER, seconds=60, besides=range(submitted.id))
    assert "a dispatcher looks at its plates" in give("status", submitted.name).stderr

    release_claim(catalog, submitted.id, OWNER, is_counted=True)
    assert "`hcs work`; 1 took it up before and did not come back" in give("status", submitted.name).stderr


def test_a_run_on_kubernetes_says_what_it_waits_for_until_somebody_performs_it(catalog, give, submitted):
    number, name = submitted.id, f"hcs-0-run-{submitted.id}-1"

    def told():
        dispatch = json.loads(give("status", submitted.name, "--format", "json").stdout)["dispatch"]
        line = give("status", submitted.name).stderr.strip().removeprefix(f"{submitted.name}: ")
        return line, dispatch and (dispatch["attempt"], dispatch["name"], dispatch["state"], dispatch["message"])

    assert told() == ("it waits for a dispatcher: `hcs work`", None)
    begin_dispatch(catalog, number, prefix="hcs-0")
    assert told() == (f"waits: RayJob {name} is asked for", (1, name, "asked", None))
    missing = "image registry.example/x\ndoes not exist (ImagePullBackOff)"
    note_dispatch(catalog, number, 1, state=DispatchState.WAITING, message=missing)
    line, dispatch = told()
    assert line == f"waits: RayJob {name}: image registry.example/x does not exist (ImagePullBackOff)"
    assert dispatch == (1, name, "waiting", missing)
    note_dispatch(catalog, number, 1, state=DispatchState.WORKING, message=None)
    claim_run(catalog, OWNER, seconds=60, only=number)
    assert told()[0] == f"works: RayJob {name}"
    end_dispatch(catalog, number, 1, message="the head was lost")
    assert told() == ("a dispatcher looks at its plates", None)
    release_claim(catalog, number, OWNER)
    assert told()[0] == f"waits again: RayJob {name} ended: the head was lost"
    ask_again(catalog, number)
    assert told() == ("it waits for a dispatcher: `hcs work`", None)
    begin_dispatch(catalog, number, prefix="hcs-0")
    set_run_state(catalog, number, RunState.CANCELLED)
    assert told() == ("", None)


def test_a_submitted_run_has_no_plates_in_any_form(give, submitted):
    told = json.loads(give("status", submitted.name, "--format", "json").stdout)
    assert (told["state"], told["plates"], told["sites"]) == ("submitted", [], 0)

    (header,) = give("status", submitted.name, "--format", "csv").stdout.splitlines()
    assert header.startswith("plate,units,")


def test_nothing_is_exported_or_repeated_of_a_run_that_nobody_has_looked_at(give, submitted, tmp_path):
    for command in (("export", "parquet", submitted.name, tmp_path / "out"), ("retry", submitted.name)):
        with pytest.raises(ConflictError, match=f"{submitted.name} .*nobody has looked at its plates.*`hcs work`"):
            give(*command)
    assert not (tmp_path / "out").exists()


def test_a_cancelled_submission_says_what_takes_it_up(give, submitted):
    told = give("cancel", submitted.name).stdout

    assert f"{submitted.name} is cancelled; it was submitted" in told
    assert "`hcs submit` of the same file makes a new run" in told
    assert "dispatcher" not in give("status", submitted.name).stderr


def test_a_run_that_failed_says_why(catalog, give, submitted):
    set_run_state(catalog, submitted.id, RunState.FAILED, notes=["no plate can be worked with"])

    told = give("status", submitted.name)

    assert f"{submitted.name}: failed" in told.stdout
    assert "note: no plate can be worked with" in told.stdout


@pytest.mark.parametrize(("state", "code"), [(RunState.FAILED, 1), (RunState.CANCELLED, 130)])
def test_who_waits_for_a_run_is_told_how_it_ended_and_gets_its_exit_code(catalog, give, tmp_path, state, code):
    screen = tmp_path / "SCREEN.yaml"
    screen.write_text("screen: pilot\nplates: [{uri: nowhere}]\n")
    name = give("submit", screen).stdout.strip()
    # Late enough: a run that has ended before it is waited for would be submitted anew, and waited for in vain.
    ender = Timer(3.0, set_run_state, (catalog, 1, state), {"notes": ["because"]})
    ender.start()

    waited = give("submit", screen, "--wait")
    ender.join()

    assert (waited.exit_code, waited.stdout) == (code, f"{name}\n")
    assert "is there already (submitted)" in waited.stderr
    assert f"run-1 is {state.value}" in waited.stderr
    assert "note: because" in waited.stderr
    assert give("submit", screen).stdout == "run-2\n"
