"""Whatever happens to a run, its results are the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import digests_of, export_digests, hcs


def units(catalog: Path) -> dict[str, tuple[str, int]]:
    """Return state and attempts of every embed unit, straight from the file."""
    with sqlite3.connect(f"file:{catalog}?mode=ro", uri=True) as connection:
        rows = connection.execute("select key, state, attempt from units where kind = 'embed'").fetchall()
    return {key: (state, attempt) for key, state, attempt in rows}


def parts_written(catalog: Path) -> dict[str, int]:
    """Return when each part was last written."""
    return {str(path): path.stat().st_mtime_ns for path in (catalog.parent / "parts").rglob("*embedding*.parquet")}


def kill_half_way(screen: Path, catalog: Path) -> dict[str, tuple[str, int]]:
    """Start a run, kill it when some units are done and some are not, and return the ledger as it was left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hcs.cli", "run", str(screen), "--catalog", str(catalog), "--threads", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            assert process.poll() is None, "the run ended before it could be killed"
            if catalog.exists() and is_half_way(catalog):
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    return units(catalog)


def is_half_way(catalog: Path) -> bool:
    try:
        states = [state for state, _ in units(catalog).values()]
    except sqlite3.OperationalError:
        return False
    return states.count("done") >= 3 and states.count("leased") >= 1


def test_a_killed_run_repeats_no_finished_unit_and_ends_in_the_same_bytes(
    screen_folder: Path, exported: dict[str, str], tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.sqlite"
    left = kill_half_way(screen_folder / "SCREEN.yaml", catalog)
    done = {key for key, (state, _) in left.items() if state == "done"}
    assert done
    assert any(state == "leased" for state, _ in left.values()), "the kill did not hit mid-flight"
    before = parts_written(catalog)

    ended = hcs("run", screen_folder / "SCREEN.yaml", "--catalog", catalog)

    assert ended.code == 0, ended.err
    after = units(catalog)
    assert {state for state, _ in after.values()} == {"done"}
    assert all(after[key] == left[key] for key in done)
    kept = {path for path in before if any(key[:20] in path for key in done)}
    assert len(kept) == 2 * len(done)
    now = parts_written(catalog)
    assert all(now[path] == before[path] for path in kept)
    assert export_digests(catalog, tmp_path / "export") == exported


@pytest.mark.parametrize(("threads", "name"), [(2, "elsewhere/under another name"), (5, "screen")])
def test_neither_threads_nor_the_place_of_a_delivery_change_a_byte(
    screen_folder: Path, exported: dict[str, str], tmp_path: Path, threads: int, name: str
) -> None:
    screen = shutil.copytree(screen_folder, tmp_path / name) / "SCREEN.yaml"
    catalog = tmp_path / "catalog.sqlite"

    ended = hcs("run", screen, "--catalog", catalog, "--threads", threads)

    assert ended.code == 0, ended.err
    assert export_digests(catalog, tmp_path / "export") == exported


def test_a_delivery_that_moves_under_a_finished_run_is_still_that_run(
    screen_folder: Path, finished_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished_run.parent, tmp_path / "store")
    shutil.copytree(screen_folder, tmp_path / "moved")

    ended = hcs("run", tmp_path / "moved" / "SCREEN.yaml", "--catalog", tmp_path / "store" / "catalog.sqlite")

    assert ended.code == 0, ended.err
    assert "is finished already" in ended.out


def test_the_same_command_again_says_that_the_run_is_finished(screen_folder: Path, finished_run: Path) -> None:
    ended = hcs("run", screen_folder / "SCREEN.yaml", "--catalog", finished_run)

    assert ended.code == 0
    assert "run-1 is finished already" in ended.out


def test_another_q_is_another_run_that_embeds_nothing_again(
    screen_folder: Path, finished_run: Path, tmp_path: Path
) -> None:
    store, moved = tmp_path / "store", tmp_path / "screen"
    shutil.copytree(finished_run.parent, store)
    shutil.copytree(screen_folder, moved)
    with (moved / "SCREEN.yaml").open("a") as stream:
        stream.write("hits: {q_max: 0.2}\n")

    ended = hcs("run", moved / "SCREEN.yaml", "--catalog", store / "catalog.sqlite")

    assert ended.code == 0, ended.err
    assert "run-2" in ended.out
    assert not list((store / "parts" / "run-2").rglob("*embedding*"))
    assert {state for state, _ in units(store / "catalog.sqlite").values()} == {"done"}


def test_an_image_that_changed_under_an_unfinished_run_is_said_and_nothing_is_mixed(
    screen_folder: Path, tmp_path: Path
) -> None:
    screen, catalog = tmp_path / "screen", tmp_path / "catalog.sqlite"
    shutil.copytree(screen_folder, screen)
    left = kill_half_way(screen / "SCREEN.yaml", catalog)
    assert any(state == "done" for state, _ in left.values())
    for image in screen.rglob("*.tiff"):
        content = bytearray(image.read_bytes())
        content[-1] ^= 1
        image.write_bytes(content)
        os.utime(image, ns=(1, 1))

    ended = hcs("run", screen / "SCREEN.yaml", "--catalog", catalog)

    assert ended.code == 4
    assert "changed since" in ended.err
    assert "--new" in ended.err


def test_an_export_tells_nothing_of_the_machine(finished_run: Path, screen_folder: Path, tmp_path: Path) -> None:
    ended = hcs("export", "csv", "latest", tmp_path, "--catalog", finished_run)
    assert ended.code == 0, ended.err

    text = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.suffix in {".csv", ".json"}).decode()

    for place in (str(screen_folder), str(finished_run.parent), os.uname().nodename, "run-1"):
        assert place not in text
    assert len(digests_of(tmp_path)) >= 10
