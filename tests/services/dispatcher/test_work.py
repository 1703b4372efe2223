"""`hcs submit` and `hcs work` as a user has them, in processes of their own that are asked to end, killed and raced."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import digests_of, export_digests, hcs, start, with_settings
from postgres import databases

from hcs.catalog import count_units, open_catalog, run_state, submission_of
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design
from schemas.work import RunState, UnitState


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "store" / "catalog.sqlite"


@pytest.fixture(scope="module")
def slow_screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A screen that takes some seconds, so that something can happen to it meanwhile."""
    folder = tmp_path_factory.mktemp("delivered") / "screen"
    simulate_screen(str(folder), design=small_design(plates=2, wells=24), seed=12, workers=1)
    return with_settings(folder / "SCREEN.yaml", encoders=["named", "mobilenetv3_small_100.untrained"])


@contextmanager
def working(*arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A dispatcher that is killed at the end, if it is not over."""
    process = start("work", *arguments, **environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def half_way(place: Path, process: subprocess.Popen[str], *, seconds: float = 120.0) -> None:
    """Return when some units of run-1 are done, and some are not and are worked on."""
    give_up = time.monotonic() + seconds
    with open_catalog(str(place)) as catalog:
        while True:
            assert process.poll() is None, "the dispatcher ended before"
            assert time.monotonic() < give_up
            counts = count_units(catalog, 1)
            if counts[UnitState.DONE] >= 3 and counts[UnitState.LEASED] and counts[UnitState.READY]:
                return
            time.sleep(0.01)


def test_a_submitted_screen_is_performed_to_the_same_bytes_as_by_hcs_run(
    screen_file: Path, exported: dict[str, str], place: Path, tmp_path: Path
) -> None:
    submitted = hcs("submit", screen_file, "--catalog", place)
    again = hcs("submit", screen_file, "--catalog", place)
    stranger = tmp_path / "elsewhere" / "services" / "__init__.py"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("raise RuntimeError('a file of the user was imported')")

    ended = hcs("work", "--once", "--threads", 1, HCS_CATALOG=str(place), cwd=stranger.parents[1])

    assert (submitted.code, submitted.out) == (0, "run-1\n")
    assert "waits for a dispatcher: `hcs work`" in submitted.err
    assert (again.code, again.out) == (0, "run-1\n")
    assert "is there already (submitted)" in again.err
    assert (ended.code, ended.out) == (0, "run-1: complete\n"), ended.err
    assert export_digests(place, tmp_path / "export") == exported
    idle = hcs("work", "--once", "--catalog", place)
    assert (idle.code, idle.out) == (0, "")
    assert f"no run waits in {place}" in idle.err  # a catalog that was mistyped is noticed


def test_who_waits_is_told_of_a_failure_and_of_its_reason(place: Path, tmp_path: Path) -> None:
    (tmp_path / "SCREEN.yaml").write_text("screen: pilot\nplates: [{uri: nowhere}]\n")

    with working("--catalog", place) as process:
        ended = hcs("submit", tmp_path / "SCREEN.yaml", "--wait", "--catalog", place)

    assert process.returncode is not None
    assert (ended.code, ended.out) == (1, "run-1\n")
    assert "run-1 is failed" in ended.err
    assert "nowhere" in ended.err
    told = hcs("status", "run-1", "--catalog", place)
    assert "note:" in told.out
    assert "nowhere" in told.out


def test_an_idle_dispatcher_ends_at_once_when_it_is_asked_to(place: Path) -> None:
    with working("--catalog", place) as process:
        assert "waiting for runs" in process.stderr.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=10)

    assert process.returncode == 0, said
    assert time.monotonic() - began < 5
    assert "asked to end" in said


@pytest.mark.long
def test_a_dispatcher_that_is_asked_to_end_hands_everything_back_and_another_goes_on(
    slow_screen: Path, place: Path, tmp_path: Path
) -> None:
    hcs("submit", slow_screen, "--catalog", place)
    with working("--threads", 1, "--catalog", place) as process:
        half_way(place, process)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        took = time.monotonic() - began

    assert (process.returncode, took < 10) == (0, True)
    with open_catalog(str(place)) as catalog:
        counts, record = count_units(catalog, 1), submission_of(catalog, 1)
        assert counts[UnitState.READY] > 0, "it was over before"
        assert counts[UnitState.LEASED] == 0
        assert run_state(catalog, 1) is RunState.RUNNING
        assert not record.is_claimed
    assert hcs("work", "--once", "--catalog", place).out == "run-1: complete\n"


@pytest.mark.slow
def test_a_dispatcher_that_is_killed_half_way_is_followed_by_another_to_the_same_bytes(
    slow_screen: Path, place: Path, tmp_path: Path
) -> None:
    undisturbed = tmp_path / "undisturbed" / "catalog.sqlite"
    assert hcs("run", slow_screen, "--catalog", undisturbed).code == 0
    hcs("submit", slow_screen, "--catalog", place)
    with working("--threads", 2, "--catalog", place) as process:
        half_way(place, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with open_catalog(str(place)) as catalog:
        left = count_units(catalog, 1)
        assert left[UnitState.DONE] >= 3
        assert left[UnitState.READY] + left[UnitState.LEASED] >= 1, "the kill did not hit mid-flight"

    ended = hcs("work", "--once", "--catalog", place)

    assert (ended.code, ended.out) == (0, "run-1: complete\n"), ended.err
    assert "attempt 2" in ended.err
    assert export_digests(place, tmp_path / "one") == export_digests(undisturbed, tmp_path / "two")


@pytest.mark.long
def test_two_dispatchers_on_postgresql_share_three_runs_and_perform_each_once(
    screen_file: Path, exported: dict[str, str], tmp_path: Path
) -> None:
    with databases() as server:
        url = server.make()
        environment = {"HCS_CATALOG": url, "HCS_PARTS": str(tmp_path / "parts")}
        for _ in range(3):
            assert hcs("submit", screen_file, "--new", **environment).code == 0

        processes = [start("work", "--once", "--threads", 1, **environment) for _ in range(2)]
        answers = [process.communicate(timeout=300) for process in processes]

        assert [process.returncode for process in processes] == [0, 0], answers
        lines = sorted(line for output, _ in answers for line in output.splitlines())
        assert lines == ["run-1: complete", "run-2: complete", "run-3: complete"]
        assert all(output for output, _ in answers), "one of them performed all: nothing was tested"
        for run in ("run-1", "run-2", "run-3"):
            assert hcs("export", "parquet", run, tmp_path / run, **environment).code == 0
            assert digests_of(tmp_path / run) == exported
        server.drop(url)
