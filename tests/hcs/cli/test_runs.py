from __future__ import annotations

import codecs
import fcntl
import io
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hcs.catalog import (
    adopt_finished,
    cancel_run,
    fail,
    publish,
    run_status,
    set_run_state,
    units_of,
    visible_parts,
)
from hcs.cli import runs as module
from hcs.errors import ConflictError, NotFoundError, UsageError
from schemas.work import RunState, UnitState

COMMANDS = "import typer; from hcs.cli import runs; app = typer.Typer(); runs.register(app); app()"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


@pytest.fixture
def command(catalog):
    """Return a function that gives one of the commands on the catalog, and returns how it ended."""
    app = typer.Typer()
    module.register(app)

    def give(*arguments):
        ended = CliRunner().invoke(app, [*arguments, "--catalog", catalog.location])
        if isinstance(ended.exception, Exception):
            raise ended.exception
        return ended

    return give


@pytest.fixture
def impatient(monkeypatch):
    """Give up at once where nobody works."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LOOKS", 0.05)


class Terminal:
    """A command on a terminal of its own, and all that it wrote there."""

    def __init__(self, code, *arguments, columns=80, lines=24):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment, "TERM": "xterm"},
        )
        os.close(slave)
        self.written = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")()  # a piece may end in the middle of a character
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            try:
                chunk = os.read(self.master, 65536)
            except OSError:  # the other end is closed
                return
            self.written += self.decoder.decode(chunk)

    def wait_for(self, text, seconds=60):
        deadline = time.monotonic() + seconds
        while text not in self.written:
            assert time.monotonic() < deadline, self.written
            assert self.process.poll() is None, self.written
            time.sleep(0.05)

    def end(self, seconds=60):
        code = self.process.wait(seconds)
        self._reader.join(seconds)
        os.close(self.master)
        return code


def finish_run(worker, make, *, notes=()):
    publish(
        worker.catalog,
        worker.run_id,
        calls=make.calls([]),
        neighbours=make.neighbours([]),
        profiles=[],
        state=RunState.COMPLETE,
        notes=notes,
    )


def test_a_finished_run_says_what_was_done_to_its_profiles(start_run, make, command):
    worker = start_run([make.unit(1)])
    worker.finish()
    finish_run(worker, make, notes=["2 batches; an audit chooses", "named: batches are not corrected"])

    told = command("status", "run-1").stdout

    assert "  note: 2 batches; an audit chooses\n  note: named: batches are not corrected\n" in told


def test_the_numbers_for_scripts_are_those_of_the_ledger(start_run, make, command, catalog):
    worker = start_run([make.unit(number, n_sites=number) for number in range(1, 8)], barcodes=["P1", "P2"])
    worker.finish(limit=3, failed=[1])
    worker.fail("no such file")
    worker.lease()

    told = json.loads(command("status", "--format", "json").stdout)

    units = units_of(catalog, worker.run_id)
    by_state = dict(units.group_by("state").len().iter_rows())
    assert told["run"] == "run-1"
    assert told["state"] == "running"
    assert told["units"] == {state.value: by_state.get(state.value, 0) for state in UnitState}
    done = units.filter(pl.col("state") == "done")
    assert told["sites_done"] == done["n_sites"].sum() - done["n_failed_sites"].sum()
    assert told["sites"] == units["n_sites"].sum() + 4
    assert (told["sites_failed"], told["drivers"]) == (3, 1)
    left = told["sites"] - told["sites_done"] - told["sites_failed"]
    assert told["eta_seconds"] == pytest.approx(left / told["sites_per_second"])
    assert told["plates"] == [vars(plate) for plate in run_status(catalog, 1).plates]
    assert [(row["well"], row["site"], row["reason"]) for row in told["failures"]] == [
        ("A02", 1, "the file ends early"),
        ("A03", 1, "the file ends early"),
        ("A04", 1, "the file ends early"),
    ]
    assert [one["reason"] for one in told["failed_attempts"]] == ["no such file"]


def test_runs_are_listed_without_a_further_word(start_run, make, command):
    start_run([make.unit(1)])
    start_run([make.unit(2)])

    assert [row["run"] for row in json.loads(command("runs", "--format", "json").stdout)] == ["run-1", "run-2"]
    assert "run-2" in command("runs").stdout


def test_a_run_is_deleted_with_its_files_and_what_was_taken_over_from_it_is_kept(start_run, make, command, catalog):
    first = start_run([make.unit(1), make.unit(2)])
    done = first.finish(limit=2)
    finish_run(first, make)
    second = start_run([make.unit(2)])
    adopt_finished(catalog, second.run_id)
    paths = [Path(catalog.parts_uri, part.relative_path) for _, outcome in done for part in outcome.receipt.parts]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("vectors")
    kept = [Path(catalog.parts_uri, path) for path in visible_parts(catalog, second.run_id)["relative_path"]]

    ended = command("runs", "delete", "run-1")

    assert ended.stdout.splitlines() == [
        "run-1 is deleted: 2 units, 0 calls",
        f"1 file removed from {catalog.parts_uri}",
        "1 file kept, as other runs took over the units that wrote them",
    ]
    assert [path for path in paths if path.exists()] == kept
    assert [row["run"] for row in json.loads(command("runs", "--format", "json").stdout)] == ["run-2"]
    with pytest.raises(NotFoundError):
        command("runs", "delete", "run-1")


def test_a_file_that_cannot_be_removed_is_told_and_the_run_is_gone_all_the_same(start_run, make, command, catalog):
    worker = start_run([make.unit(1), make.unit(2)])
    done = worker.finish(limit=2)
    stuck = Path(catalog.parts_uri, done[0][1].receipt.parts[0].relative_path)
    (stuck / "full").mkdir(parents=True)  # nobody can remove a folder as a file

    ended = command("runs", "delete", "run-1")

    assert ended.exit_code == 0
    assert f"1 file removed from {catalog.parts_uri}" in ended.stdout
    assert "1 file could not be removed" in ended.stderr
    assert str(stuck) in ended.stderr
    assert json.loads(command("runs", "--format", "json").stdout) == []


def test_a_run_at_work_and_a_folder_of_another_catalog_are_left_alone(start_run, make, command, catalog):
    worker = start_run([make.unit(1)])
    worker.lease()
    with pytest.raises(ConflictError, match="hcs cancel run-1"):
        command("runs", "delete", "run-1")
    marker = Path(catalog.parts_uri, "CATALOG")
    marker.parent.mkdir(exist_ok=True)
    marker.write_text("somebody else's")
    fail(catalog, 1, make.unit(1).key, fence=1, reason="?")

    with pytest.raises(ConflictError, match="another catalog"):
        command("runs", "delete", "run-1")

    assert [row["run"] for row in json.loads(command("runs", "--format", "json").stdout)] == ["run-1"]


def test_what_is_deleted_is_called_by_its_name_and_options_stand_behind(start_run, make, catalog, command):
    start_run([make.unit(1)])

    with pytest.raises(UsageError, match="its name"):
        command("runs", "delete", "latest")
    with pytest.raises(UsageError, match="stand behind"):
        command("runs", "--format", "json", "delete", "run-1")

    assert run_status(catalog, 1).name == "run-1"


def test_a_status_as_csv_is_one_table(start_run, make, command, catalog):
    start_run([make.unit(1)], barcodes=["P1", "[red]P2[/red]"]).fail("?")

    ended = command("status", "--format", "csv")

    assert pl.read_csv(io.BytesIO(ended.stdout_bytes))["plate"].to_list() == ["P1", "[red]P2[/red]"]


def test_a_person_reads_what_is_left_what_failed_and_that_nobody_works(start_run, make, command):
    worker = start_run([make.unit(number) for number in range(3)])
    worker.finish()
    worker.fail("no such\nfile")

    ended = command("status")

    assert ended.stdout.startswith("run-1: running; units: 2 ready, 1 done\nsites: 1 done, 0 failed, of 3\n")
    assert (
        "1 unit failed once or more and will be tried again; the first, attempt 1, of P1: no such file\n"
        in ended.stdout
    )
    assert "nobody works on run-1 now" in ended.stderr


def test_runs_are_listed(start_run, command):
    start_run([])

    assert json.loads(command("runs", "--format", "json").stdout)[0]["run"] == "run-1"


@pytest.mark.parametrize("state", [RunState.SUBMITTED, RunState.RUNNING, RunState.FAILED])
def test_an_unfinished_run_is_cancelled_and_keeps_what_it_has(start_run, make, command, catalog, state):
    is_begun = state is not RunState.SUBMITTED
    worker = start_run([make.unit(number) for number in range(4)], running=is_begun)
    if is_begun:
        worker.finish()
        ((held),) = worker.lease()
    if state is RunState.FAILED:
        set_run_state(catalog, 1, RunState.FAILED)

    ended = command("cancel", "run-1")

    assert ended.exit_code == 0
    assert ended.stdout.startswith(f"run-1 is cancelled; it was {state.value}\n")
    assert run_status(catalog, 1).state is RunState.CANCELLED
    if is_begun:
        assert "1 of 4 units are done, and kept\n1 unit in work" in ended.stdout
        assert worker.lease() == []
        fail(catalog, 1, held.spec.key, fence=held.fence, reason="stopped")
        assert run_status(catalog, 1).units[UnitState.DONE] == 1


def test_a_run_is_cancelled_once_and_a_finished_one_never(start_run, make, command, catalog):
    start_run([])
    cancel_run(catalog, 1)
    worker = start_run([make.unit(1)])
    worker.finish()
    finish_run(worker, make)

    again = command("cancel", "run-1")
    with pytest.raises(UsageError, match="run-2 is complete: its results stand"):
        command("cancel", "run-2")

    assert again.exit_code == 0
    assert again.stdout.startswith("run-1 was cancelled before\n")
    assert run_status(catalog, 2).state is RunState.COMPLETE


def test_a_watcher_leaves_a_run_that_nobody_works_on(start_run, make, command, impatient):
    start_run([make.unit(number) for number in range(3)]).finish()

    ended = command("status", "--watch")

    assert ended.exit_code == 0
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("units 1 of 3, 1 of 3 sites, ")
    assert "run-1: running; units: 2 ready, 1 done" in lines
    assert "nobody works on run-1 now" in ended.stderr


def test_a_watched_run_for_a_script_is_one_value_on_stdout(start_run, make, command, impatient):
    start_run([make.unit(number) for number in range(3)]).finish()

    ended = command("status", "--watch", "--format", "json")

    assert json.loads(ended.stdout)["sites_done"] == 1
    assert "units 1 of 3" in ended.stderr


def test_who_watches_a_file_sees_plates_end_and_the_run_too(start_run, make, catalog):
    worker = start_run([make.unit(1, n_sites=3), make.unit(2, barcode="P2")], barcodes=["P1", "P2"])
    held = worker.lease()
    watcher = subprocess.Popen(
        [sys.executable, "-c", COMMANDS, "status", "--watch", "--catalog", catalog.location],
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [watcher.stdout.readline()]
    worker.fail("no such file")
    lines.append(watcher.stdout.readline())
    worker.finish()
    lines.append(watcher.stdout.readline())
    fail(catalog, 1, held[0].spec.key, fence=held[0].fence, reason="?")
    worker.finish()
    finish_run(worker, make)
    rest, _ = watcher.communicate(timeout=60)

    assert lines == [
        "units 0 of 2, 0 of 4 sites\n",
        "P2: a unit failed (attempt 1 of 3): no such file\n",
        "P2: 1 site done\n",
    ]
    assert "P1: 3 sites done\n" in rest
    assert "run-1: complete; units: 2 done\n" in rest
    assert watcher.returncode == 0


def test_a_person_sees_a_bar_a_plate_and_ctrl_c_ends_the_watching_only(start_run, make, catalog):
    worker = start_run(
        [make.unit(1, n_sites=8), make.unit(2, barcode="[red]x[/red]", n_sites=8), make.unit(3, n_sites=8)],
        barcodes=["P1", "[red]x[/red]"],
    )
    worker.finish()
    worker.lease()
    terminal = Terminal(COMMANDS, "status", "--watch", "--catalog", catalog.location)

    terminal.wait_for("8 of 16 sites")
    worker.finish()
    terminal.wait_for("16 of 16 sites")
    terminal.process.send_signal(signal.SIGINT)
    code = terminal.end()

    assert code == 130
    assert "[red]x[/red]  " in terminal.written
    assert "━━━━━" in terminal.written
    assert terminal.written.count(HIDE_CURSOR) == 1
    assert terminal.written.rindex(SHOW_CURSOR) > terminal.written.rindex("sites")
    assert terminal.written.rstrip("\r").endswith("\r\n" + SHOW_CURSOR)
    assert "interrupted" not in terminal.written.lower()
    assert run_status(catalog, 1).state is RunState.RUNNING


def test_bars_of_two_hundred_plates_stay_within_the_terminal(start_run, make, catalog):
    barcodes = [f"SIM{number:08d}" for number in range(200)]
    worker = start_run([make.unit(1, barcode=barcode, n_sites=4) for barcode in barcodes], barcodes=barcodes)
    worker.finish(limit=12)
    worker.lease()
    terminal = Terminal(COMMANDS, "status", "--watch", "--catalog", catalog.location, columns=120)

    terminal.wait_for("more:")
    terminal.process.send_signal(signal.SIGINT)
    terminal.end()

    first = terminal.written[: terminal.written.index("waiting")]
    assert first.count("SIM") == 20
    assert "SIM00000012" in first  # the plate at work
    assert "and 180 plates more: 12 done, 168 " in first


def test_a_driver_that_is_interrupted_leaves_the_terminal_as_it_was(start_run, make, catalog):
    start_run([make.unit(1)])
    code = (
        "import sys, time; from hcs.catalog import open_catalog, run_status\n"
        "from hcs.cli.progress import RunProgress\n"
        "store = open_catalog(sys.argv[1])\n"
        "with RunProgress(lambda: run_status(store, 1)) as progress:\n"
        "    progress.start()\n"
        "    print('said on the way', file=sys.stderr)\n"
        "    while True:\n"
        "        time.sleep(0.1); progress.tick()\n"
    )
    terminal = Terminal(code, catalog.location)

    terminal.wait_for("said on the way")
    terminal.process.send_signal(signal.SIGINT)
    terminal.end()

    shown, _, after = terminal.written.rpartition(SHOW_CURSOR)
    assert "KeyboardInterrupt" in after
    assert shown.endswith("\r\n")
    assert "said on the way\r\n" in shown


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(start_run, make, catalog):
    worker = start_run([make.unit(1)])
    worker.finish()
    finish_run(worker, make)
    code = (
        "import os, sys; os.environ['TERM'] = 'dumb'\n"
        "from hcs.catalog import open_catalog, run_status\n"
        "from hcs.cli.progress import RunProgress\n"
        "store = open_catalog(sys.argv[1])\n"
        "with RunProgress(lambda: run_status(store, 1)) as progress: progress.start()\n"
    )
    terminal = Terminal(code, catalog.location)

    assert terminal.end() == 0
    assert terminal.written.startswith("units 1 of 1, 1 of 1 sites")
    assert "\x1b" not in terminal.written
