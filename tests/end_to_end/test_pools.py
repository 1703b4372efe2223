"""The same line on a pool of Ray actors: the same bytes, whoever dies, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import nodes
from commands import digests_of, export_digests, hcs, start, with_settings
from held import HeldImage
from processes import Marked, make_mark
from shared import made_once

pytestmark = pytest.mark.slow


@pytest.fixture
def marked() -> Iterator[Marked]:
    """Commands of which nothing may be left when the test is over."""
    mark = make_mark()
    yield mark
    left = mark.left()
    mark.end()
    assert left == ({}, [])


@pytest.fixture
def screen(screen_folder: Path, tmp_path: Path) -> Path:
    """A copy of the delivered screen, whose images may be held."""
    shutil.copytree(screen_folder, tmp_path / "screen")
    return tmp_path / "screen" / "SCREEN.yaml"


@pytest.fixture
def small_screen(screen: Path) -> Path:
    """The same without a network, for tests of what becomes of units whatever they compute."""
    return with_settings(screen, encoders=["named"])


@pytest.fixture(scope="session")
def small_exported(screen_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of the export of its run, undisturbed, in one process."""

    def perform(folder: Path) -> None:
        screen = shutil.copytree(screen_folder, folder / "screen") / "SCREEN.yaml"
        with_settings(screen, encoders=["named"])
        ended = hcs("run", screen, "--catalog", folder / "catalog.sqlite", "--threads", 1)
        assert ended.code == 0, ended.err
        export_digests(folder / "catalog.sqlite", folder / "export")

    return digests_of(made_once(tmp_path_factory, "small", perform) / "export")


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite"


def units(catalog: Path, *, kind: str = "embed") -> list[tuple[str, str, int]]:
    """Key, state and attempts of every unit of a kind, straight from the file."""
    try:
        with sqlite3.connect(f"file:{catalog}?mode=ro", uri=True) as connection:
            query = "select key, state, attempt from units where kind = ? order by key"
            return connection.execute(query, (kind,)).fetchall()
    except sqlite3.OperationalError:
        return []


def wait_for(is_so: Callable[[], bool], process: subprocess.Popen[str], *, seconds: float = 180.0) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        assert process.poll() is None, f"the command ended early: {process.communicate()}"
        assert time.monotonic() < give_up
        time.sleep(0.02)


def wait_until_surveyed(catalog: Path, process: subprocess.Popen[str]) -> None:
    """Return when both plates are surveyed: from now on every image is read once more."""
    wait_for(lambda: [state for _, state, _ in units(catalog, kind="survey")] == ["done", "done"], process)


def last_image(screen: Path) -> Path:
    return sorted(screen.parent.rglob("*.tiff"))[-1]


def is_leased(catalog: Path) -> bool:
    return any(state == "leased" for _, state, _ in units(catalog))


def parent_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_pool_gives_the_bytes_of_one_process(
    screen_folder: Path, exported: dict[str, str], catalog: Path, marked: Marked, workers: int
) -> None:
    ended = hcs(
        "run", screen_folder / "SCREEN.yaml", "--catalog", catalog, "--executor", "ray", "--threads", workers,
        **marked.environment,
    )  # fmt: skip

    assert ended.code == 0, ended.err
    assert "raylet" not in ended.err
    assert "ray" not in ended.out
    assert {attempt for *_, attempt in units(catalog)} == {1}
    assert export_digests(catalog, catalog.parent / "export") == exported


def test_a_worker_killed_in_the_middle_of_a_unit_changes_no_byte(
    screen: Path, exported: dict[str, str], catalog: Path, tmp_path: Path, marked: Marked
) -> None:
    process = start("run", screen, "--catalog", catalog, "--executor", "ray", "--threads", 2, **marked.environment)
    wait_until_surveyed(catalog, process)
    with HeldImage(last_image(screen)) as held:
        worker = held.wait_for_reader()
        assert worker in marked.workers()
        assert is_leased(catalog), "the kill does not hit mid-flight"
        os.kill(worker, signal.SIGKILL)
        held.release()
        _, err = process.communicate(timeout=300)

    assert process.returncode == 0, err
    assert "was lost" in err
    assert sorted(attempt for *_, attempt in units(catalog))[-2:] == [1, 2]
    assert export_digests(catalog, tmp_path / "export") == exported


def test_a_driver_killed_in_the_middle_of_a_unit_takes_its_ray_along_and_the_same_command_ends_in_the_same_bytes(
    small_screen: Path, small_exported: dict[str, str], catalog: Path, tmp_path: Path, marked: Marked
) -> None:
    process = start(
        "run", small_screen, "--catalog", catalog, "--executor", "ray", "--threads", 2, **marked.environment
    )
    wait_until_surveyed(catalog, process)
    with HeldImage(last_image(small_screen)) as held:
        held.wait_for_reader()
        assert is_leased(catalog), "the kill does not hit mid-flight"
        process.kill()
        process.communicate()
        assert marked.left() == ({}, [])
    done = {key for key, state, _ in units(catalog) if state == "done"}
    assert 0 < len(done) < len(units(catalog))

    ended = hcs("run", small_screen, "--catalog", catalog, "--executor", "ray", "--threads", 2, **marked.environment)

    assert ended.code == 0, ended.err
    attempts = {key: attempt for key, _, attempt in units(catalog)}
    assert all(attempts[key] == 1 for key in done)
    assert max(attempts.values()) == 2
    assert export_digests(catalog, tmp_path / "export") == small_exported


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_run_is_seen_from_another_terminal_and_interrupted_frees_everything_in_10_seconds_and_goes_on_elsewhere(
    small_screen: Path, small_exported: dict[str, str], catalog: Path, marked: Marked, request_to_end: int
) -> None:
    environment = {**marked.environment, "HCS_CATALOG": str(catalog)}
    process = start("run", small_screen, "--executor", "ray", "--threads", 2, **environment)
    wait_until_surveyed(catalog, process)
    with HeldImage(last_image(small_screen)) as held:
        held.wait_for_reader()
        told = hcs("status", "--catalog", catalog)
        assert marked.workers()
        for worker in marked.workers():
            assert b"HCS_CATALOG" not in Path(f"/proc/{worker}/environ").read_bytes(), "a worker knows the catalog"
        started = time.monotonic()
        process.send_signal(request_to_end)
        _, err = process.communicate(timeout=30)
        assert marked.left(seconds=10) == ({}, [])
        assert time.monotonic() - started < 10
    assert told.code == 0
    assert "leased" in told.out
    assert "a second" in told.out
    assert process.returncode == 130, err
    assert "goes on from there" in err
    assert "Traceback" not in err
    assert not is_leased(catalog)
    assert {attempt for *_, attempt in units(catalog)} == {0, 1}

    ended = hcs("run", small_screen, "--catalog", catalog)

    assert ended.code == 0, ended.err
    assert {attempt for *_, attempt in units(catalog)} == {1}
    assert export_digests(catalog, catalog.parent / "export") == small_exported


def test_a_unit_that_hangs_fails_at_the_third_attempt_and_retry_repeats_it_alone(
    small_screen: Path, small_exported: dict[str, str], catalog: Path, tmp_path: Path, marked: Marked
) -> None:
    process = start(
        "run", small_screen, "--catalog", catalog, "--executor", "ray", "--threads", 2, HCS_LEASE_SECONDS="4",
        **marked.environment,
    )  # fmt: skip
    wait_until_surveyed(catalog, process)
    with HeldImage(last_image(small_screen)):
        out, err = process.communicate(timeout=300)
    assert process.returncode == 3, err
    assert [attempt for _, state, attempt in units(catalog) if state == "failed"] == [3]
    assert "it hung" in err
    assert "units that failed: 1" in out
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").rglob("*.parquet") if path.parent.name}

    ended = hcs("retry", "run-1", "--catalog", catalog, "--executor", "ray", "--threads", 1, **marked.environment)

    assert ended.code == 0, ended.err
    assert "1 unit of run-1 tried again" in ended.out
    assert export_digests(catalog, tmp_path / "export") == small_exported
    parts = {path for path in written if "profiles" not in path.parts}
    assert all(path.stat().st_mtime_ns == written[path] for path in parts)


def test_a_unit_that_kills_its_worker_every_time_fails_alone(small_screen: Path, catalog: Path, marked: Marked) -> None:
    process = start(
        "run", small_screen, "--catalog", catalog, "--executor", "ray", "--threads", 2, **marked.environment
    )
    wait_until_surveyed(catalog, process)
    with HeldImage(last_image(small_screen)) as held:
        for _ in range(3):
            os.kill(held.wait_for_reader(), signal.SIGKILL)
        _, err = process.communicate(timeout=300)

    assert process.returncode == 3, err
    failed = [(state, attempt) for _, state, attempt in units(catalog) if state != "done"]
    assert failed == [("failed", 3)]
    assert {attempt for _, state, attempt in units(catalog) if state == "done"} == {1}


def test_a_node_of_three_that_is_lost_in_the_middle_of_a_unit_changes_no_byte(
    small_screen: Path, small_exported: dict[str, str], catalog: Path, tmp_path: Path, marked: Marked
) -> None:
    environment = {**os.environ, **marked.environment, "RAY_AUTH_MODE": "disabled"}
    with nodes(1, 1, environment=environment) as cluster:
        process = start(
            "run", small_screen, "--catalog", catalog, "--executor", "ray", "--address", cluster.address,
            **marked.environment, RAY_AUTH_MODE="disabled",
        )  # fmt: skip
        wait_until_surveyed(catalog, process)
        with HeldImage(last_image(small_screen)) as held:
            raylet = parent_of(held.wait_for_reader())
            assert raylet in cluster.raylets
            assert is_leased(catalog), "the kill does not hit mid-flight"
            cluster.kill(raylet)
            held.release()
            _, err = process.communicate(timeout=300)

    assert process.returncode == 0, err
    assert "was lost" in err
    assert max(attempt for *_, attempt in units(catalog)) == 2
    assert export_digests(catalog, tmp_path / "export") == small_exported


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where somebody listens who never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def refused(*arguments: object, **environment: str) -> tuple[int, str]:
    """Run a command that must end within two minutes, on a busy machine too, with one paragraph."""
    started = time.monotonic()
    ended = hcs(*arguments, **environment)
    assert time.monotonic() - started < 120
    assert ended.err.count("error: ") == 1, ended.err
    assert "Traceback" not in ended.err
    return ended.code, ended.err


def test_a_cluster_that_is_not_there_is_said(screen_folder: Path, catalog: Path, marked: Marked) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    code, err = refused(
        "run", screen_folder / "SCREEN.yaml", "--catalog", catalog, "--executor", "ray", "--address",
        f"127.0.0.1:{port}", **marked.environment,
    )  # fmt: skip

    assert code == 2
    assert f"127.0.0.1:{port}" in err


def test_somebody_at_the_address_who_is_no_ray_is_said(
    screen_folder: Path, catalog: Path, marked: Marked, silent_port: int
) -> None:
    code, err = refused(
        "run", screen_folder / "SCREEN.yaml", "--catalog", catalog, "--executor", "ray", "--address",
        f"127.0.0.1:{silent_port}", **marked.environment,
    )  # fmt: skip

    assert code == 2
    assert "nothing answered as Ray does" in err


def test_more_workers_than_there_is_room_for_are_refused_with_what_there_is(
    screen_folder: Path, catalog: Path, marked: Marked
) -> None:
    code, err = refused(
        "run", screen_folder / "SCREEN.yaml", "--catalog", catalog, "--executor", "ray", "--workers", 500,
        **marked.environment,
    )  # fmt: skip

    assert code == 2
    assert f"{len(os.sched_getaffinity(0))} CPU, 0 GPU" in err
    assert "--workers" in err


def test_a_cluster_that_is_busy_is_said_with_what_is_free(screen_folder: Path, catalog: Path, marked: Marked) -> None:
    environment = {**marked.environment, "RAY_AUTH_MODE": "disabled"}
    with nodes(1, environment={**os.environ, **environment}) as cluster:
        hog = subprocess.Popen(
            [sys.executable, "-P", "-c", HOG, cluster.address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment},
        )  # fmt: skip
        assert hog.stdout is not None
        assert hog.stdout.readline() == "busy\n"
        code, err = refused(
            "run", screen_folder / "SCREEN.yaml", "--catalog", catalog, "--executor", "ray", "--address",
            cluster.address, **environment,
        )  # fmt: skip
        hog.communicate("end\n", timeout=30)

    assert code == 1
    assert "0 CPU and 0 GPU are free" in err


def test_a_cluster_that_should_grow_and_does_not_is_said_when_the_time_is_over(
    screen_folder: Path, catalog: Path, marked: Marked
) -> None:
    environment = {**marked.environment, "RAY_AUTH_MODE": "disabled"}
    with nodes(environment={**os.environ, **environment}) as cluster:
        code, err = refused(
            "run", screen_folder / "SCREEN.yaml", "--catalog", catalog, "--executor", "ray", "--address",
            cluster.address, "--workers", 2, "--await-nodes", 3, **environment,
        )  # fmt: skip

    assert code == 1
    assert "to start within 3 s" in err
    assert "see why none is added" in err


HOG = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False)
@ray.remote(num_cpus=1)
class Hog:
    def here(self): return "busy"
hog = Hog.remote()
print(ray.get(hog.here.remote()), flush=True)
sys.stdin.readline()
"""


def test_workers_with_another_version_of_the_project_are_refused(
    screen_folder: Path, catalog: Path, tmp_path: Path, marked: Marked
) -> None:
    repository = Path(__file__).resolve().parents[2]
    for package in ("hcs", "schemas"):
        shutil.copytree(repository / package, tmp_path / "other" / package)
    version = tmp_path / "other" / "hcs" / "__init__.py"
    version.write_text(version.read_text().replace('__version__ = "', '__version__ = "99.'))
    environment = {**marked.environment, "RAY_AUTH_MODE": "disabled"}
    with nodes(1, environment={**os.environ, **environment, "PYTHONPATH": str(tmp_path / "other")}) as cluster:
        code, err = refused(
            "run", screen_folder / "SCREEN.yaml", "--catalog", catalog, "--executor", "ray", "--address",
            cluster.address, **environment,
        )  # fmt: skip

    assert code == 1
    assert "has 99." in err
    assert "install the same version" in err


def test_options_of_the_other_executor_are_refused(screen_folder: Path, catalog: Path) -> None:
    screen = screen_folder / "SCREEN.yaml"

    assert hcs("run", screen, "--catalog", catalog, "--workers", 2).code == 2
    assert hcs("run", screen, "--catalog", catalog, "--address", "auto").code == 2
    both = hcs("run", screen, "--catalog", catalog, "--executor", "ray", "--address", "auto", "--threads", 2)
    assert both.code == 2
    assert "--workers says how many" in both.err
    growing = hcs("run", screen, "--catalog", catalog, "--executor", "ray", "--address", "auto", "--await-nodes", 9)
    assert growing.code == 2
    assert "for how many workers" in " ".join(growing.err.split())
    through_client = hcs("run", screen, "--catalog", catalog, "--executor", "ray", "--address", "ray://h:10001")
    assert through_client.code == 2
    assert "--address auto" in through_client.err


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
@pytest.mark.parametrize("seconds", [0.2, 1.5])
def test_a_request_to_end_while_ray_starts_is_not_lost(
    screen_folder: Path, catalog: Path, marked: Marked, request_to_end: int, seconds: float
) -> None:
    process = start(
        "run", screen_folder / "SCREEN.yaml", "--catalog", catalog, "--executor", "ray", **marked.environment
    )
    wait_for(lambda: any("warden.py" in command for command in marked.processes().values()), process)
    time.sleep(seconds)
    process.send_signal(request_to_end)

    _, err = process.communicate(timeout=30)

    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "goes on from there" in err


def test_a_ray_that_does_not_answer_any_more_keeps_no_command_from_ending(
    screen: Path, catalog: Path, marked: Marked
) -> None:
    process = start("run", screen, "--catalog", catalog, "--executor", "ray", "--threads", 2, **marked.environment)
    wait_until_surveyed(catalog, process)
    (raylet,) = [pid for pid, command in marked.processes().items() if "raylet/raylet" in command]
    os.kill(raylet, signal.SIGSTOP)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)

    process.communicate(timeout=60)

    assert process.returncode == 130
    assert time.monotonic() - started < 30
