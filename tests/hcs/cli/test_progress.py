from __future__ import annotations

import io
import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hcs.catalog import plan, run_status
from hcs.catalog.progress import PlateProgress, RunStatus
from hcs.cli import progress as module
from hcs.cli.progress import RunProgress, drawing, lasting, one_line, pace, shortened, summary
from schemas.work import RunState, UnitOutcome, UnitState

names = st.text(min_size=1, max_size=100)


@pytest.fixture
def impatient(monkeypatch):
    """Look at every tick."""
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(module, "SHARE_OF_TIME", 1e9)


def lines_of(worker, stream):
    return RunProgress(partial(run_status, worker.catalog, worker.run_id), stream=stream)


def plate(name="P1", **values):
    plain = {"units": 9, "units_leased": 0, "units_done": 0, "units_failed": 0}
    sites = {"sites": 48, "sites_done": 0, "sites_failed": 0, "is_settled": False}
    return PlateProgress(plate=name, **{**plain, **sites, **values})


def status(plates=(), **values):
    plain = {
        "name": "run-1",
        "state": RunState.RUNNING,
        "units": {**dict.fromkeys(UnitState, 0), UnitState.DONE: 5, UnitState.READY: 13},
        "drivers": 1,
        "sites": 96,
        "sites_done": 30,
        "sites_failed": 0,
        "sites_per_second": 1.43,
        "eta_seconds": 46.2,
        "plates": tuple(plates),
        "failed_attempts": (),
        "notes": (),
        "dispatch": None,
    }
    return RunStatus(**{**plain, **values})


def drawn(told, *, width=80, height=24):
    console = Console(file=io.StringIO(), width=width, height=height, markup=False, emoji=False)
    console.print(drawing(told, width=width, height=height))
    return console.file.getvalue().splitlines()


def test_nothing_is_read_before_the_run_is_registered():
    def read():
        raise AssertionError

    with RunProgress(read, stream=io.StringIO()) as progress:
        progress.tick()


def test_a_file_gets_a_line_a_plate_that_is_finished_and_a_summary_at_the_end(start_run, make, impatient):
    units = [make.unit(0, kind="survey", n_sites=3), *(make.unit(number, n_sites=10) for number in (1, 2))]
    worker, out = start_run(units), io.StringIO()

    with lines_of(worker, out) as progress:
        progress.start()
        for spec, outcome in worker.finish(limit=2):
            progress.update(spec, outcome)
        for spec, outcome in worker.finish(failed=[4]):
            progress.update(spec, outcome)

    lines = out.getvalue().splitlines()
    assert lines[:3] == ["units 0 of 3, 0 of 20 sites", "P1: surveyed 3 sites", "P1: 19 sites done, 1 failed"]
    assert re.fullmatch(
        r"units 3 of 3, 19 of 20 sites, 1 site failed, [0-9.]+ a second, the results are being made", lines[3]
    )
    assert len(lines) == 4


def test_a_summary_comes_every_ten_seconds_and_no_oftener(start_run, make, impatient, monkeypatch):
    worker, out = start_run([make.unit(number) for number in range(9)]), io.StringIO()

    with lines_of(worker, out) as progress:
        progress.start()
        for _ in range(4):
            worker.finish()
            progress.tick()
        often = out.getvalue().count("units")
        progress._next_line -= 10.0
        progress.tick()
        assert (often, out.getvalue().count("units")) == (1, 2)

    assert out.getvalue().splitlines()[-1].startswith("units 4 of 9")


def test_before_any_unit_is_planned_there_is_nothing_to_say(start_run, make, impatient):
    worker, out = start_run([]), io.StringIO()

    with lines_of(worker, out) as progress:
        progress.start()
        assert not out.getvalue()
        plan(worker.catalog, worker.run_id, [make.unit(1)])
        progress.tick()

    assert out.getvalue() == "units 0 of 1, 0 of 1 sites\n"


def test_the_ledger_is_read_about_once_a_second_however_many_units_come_back(start_run, make):
    worker, reads = start_run([make.unit(number) for number in range(20)]), []

    def read():
        reads.append(1)
        return run_status(worker.catalog, worker.run_id)

    with RunProgress(read, stream=io.StringIO()) as progress:
        progress.start()
        for spec, outcome in worker.finish(limit=20):
            progress.update(spec, outcome)
            progress.tick()

    assert len(reads) <= 4


def test_a_unit_that_failed_is_told_with_its_attempt_and_its_reason_in_one_line(start_run, make, impatient):
    worker, out = start_run([make.unit(1)]), io.StringIO()

    with lines_of(worker, out) as progress:
        progress.start()
        for _ in range(3):
            for spec, outcome in worker.fail("the file\n\x1b[2J[red]ends[/red] early"):
                progress.update(spec, outcome)

    told = [line for line in out.getvalue().splitlines() if "a unit" in line]
    expected = "P1: a unit failed (attempt {} of 3): the file  [2J[red]ends[/red] early"
    assert told == [expected.format(attempt) for attempt in (1, 2, 3)]


def test_a_unit_that_another_driver_failed_at_is_told_too(start_run, make, impatient):
    worker, out = start_run([make.unit(1)]), io.StringIO()

    with lines_of(worker, out) as progress:
        progress.start()
        worker.fail("no such file")
        progress.tick()

    assert "P1: a unit failed (attempt 1 of 3): no such file" in out.getvalue()


def test_what_failed_before_is_not_told_again_and_what_is_done_by_now_is_told_still(start_run, make):
    worker, out = start_run([make.unit(1), make.unit(2)]), io.StringIO()
    worker.fail("long ago")

    with lines_of(worker, out) as progress:
        progress.start()
        ((spec, outcome),) = worker.fail("just now")
        worker.finish(limit=2)
        progress.update(spec, outcome)
        lost = UnitOutcome(key=make.sha("x"), reason="its worker was lost", was_started=False)
        progress.update(make.unit(3), lost)

    lines = out.getvalue().splitlines()
    assert not any("long ago" in line for line in lines)
    assert "P1: a unit failed and is tried again: just now" in lines
    assert "P1: a unit was not started and is tried again: its worker was lost" in lines


def test_many_failures_at_once_are_counted(start_run, make):
    worker, out = start_run([make.unit(number) for number in range(12)]), io.StringIO()

    with lines_of(worker, out) as progress:
        progress.start()
        worker.fail("the same", limit=12)

    assert out.getvalue().count("the same") == 10
    assert "and 2 units more failed" in out.getvalue()


def test_an_exception_passes_and_nothing_is_read_on_the_way(start_run, make):
    worker, reads = start_run([make.unit(1)]), []

    def read():
        reads.append(1)
        return run_status(worker.catalog, worker.run_id)

    def interrupted():
        with RunProgress(read, stream=io.StringIO()) as progress:
            progress.start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert len(reads) == 1


def test_the_summary_says_what_is_known():
    assert summary(status()) == "units 5 of 18, 30 of 96 sites, 1.4 a second, 46 s left"
    assert summary(status(sites_per_second=None, eta_seconds=None)) == "units 5 of 18, 30 of 96 sites"
    units = {**dict.fromkeys(UnitState, 0), UnitState.DONE: 1, UnitState.FAILED: 2}
    failed = status(units=units, sites_failed=1, drivers=2)
    assert summary(failed).startswith("units 1 of 3, 30 of 96 sites, 2 units and 1 site failed, 1.4 a second")
    assert summary(failed).endswith("2 processes at work")
    assert summary(status(state=RunState.COMPLETE_WITH_HOLES, eta_seconds=None)).endswith(", complete with holes")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (99, "99 s"), (99.6, "2 min"), (3600, "60 min"), (12000, "3 h 20 min"), (2e5, "2 d 8 h")],
)
def test_a_time_is_said_as_people_say_it(seconds, words):
    assert lasting(seconds) == words


def test_a_slow_rate_is_not_called_zero():
    assert [pace(rate) for rate in (12.34, 1, 0.041)] == ["12.3", "1.0", "0.041"]


@given(names, st.integers(5, 120))
def test_a_long_name_keeps_both_ends(name, width):
    short = shortened(name, width)

    assert len(short) <= width
    assert short == name or (short[0], short[-1]) == (name[0], name[-1])


@given(st.text())
def test_no_text_breaks_its_line_or_moves_the_cursor(text):
    assert one_line(text).isprintable()
    assert len(one_line(text)) == len(text)


def test_two_plates_have_a_bar_each_in_their_order():
    half = plate("SIM00000001", sites_done=24)
    full = plate("SIM00000002", sites_done=46, sites_failed=2, is_settled=True)

    overall, *bars = drawn(status([half, full]))

    assert overall == "run-1: units 5 of 18, 30 of 96 sites, 1.4 a second, 46 s left"
    assert [bar.split()[0] for bar in bars] == ["SIM00000001", "SIM00000002"]
    assert bars[0].rstrip().endswith("24 of 48 sites")
    assert bars[1].rstrip().endswith("46 of 48 sites, 2 failed")
    lengths = [bar.count("━") + bar.count("╸") for bar in bars]
    assert lengths[0] < lengths[1]


def test_of_many_plates_those_at_work_come_first_and_the_others_are_counted():
    done = [plate(f"D{number}", sites_done=48, is_settled=True) for number in range(30)]
    waiting = [plate(f"W{number}") for number in range(160)]
    at_work = [plate("A1", sites_done=8), plate("A2", units_leased=1), plate("A3", sites_failed=1)]

    _, *bars, more = drawn(status([*done, *waiting, *at_work]))

    assert [bar.split()[0] for bar in bars[:4]] == ["A1", "A2", "A3", "W0"]
    assert len(bars) == 20
    assert more == "and 173 plates more: 30 done, 143 waiting"


def test_a_hostile_name_is_text():
    bars = drawn(status([plate("[red]x[/red]"), plate("a:smile:\x1b[31mb"), plate("N" * 50 + "M" * 50)]), width=120)[1:]

    assert bars[0].startswith("[red]x[/red] ")
    assert bars[1].startswith("a:smile: [31mb ")
    assert re.match(r"N+\.\.\.M+ ", bars[2])


@given(st.lists(names, min_size=1, max_size=40), st.integers(50, 200), st.integers(6, 60))
def test_a_drawing_never_fills_the_terminal(names, width, height):
    lines = drawn(status([plate(name) for name in names]), width=width, height=height)

    assert len(lines) < height
    assert len(lines) >= min(len(names), height - 4) + 1
