from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from hcs.catalog import owner_of_this_process
from hcs.distributed.cluster import FOLDER, OWNER, sweep
from hcs.distributed.reach import check_reachable
from hcs.distributed.warden import MARK, dismiss_warden, start_warden
from hcs.errors import UsageError


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def folder_of(owner: str | None, place: Path, name: str) -> Path:
    folder = place / f"{FOLDER}{name}"
    folder.mkdir()
    if owner is not None:
        (folder / OWNER).write_text(owner)
    return folder


def test_folders_of_commands_that_live_no_more_are_removed_and_no_others(temporary: Path) -> None:
    host, _, start, tail = owner_of_this_process().split("/")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = folder_of(f"{host}/{ended.pid}/{start}/{tail}", temporary, "left")
    mine = folder_of(owner_of_this_process(), temporary, "mine")
    elsewhere = folder_of(f"another.machine/{ended.pid}/1/ab", temporary, "elsewhere")
    in_the_making = folder_of(None, temporary, "new")
    (temporary / "theirs").mkdir()

    sweep()

    assert not left.exists()
    assert mine.exists()
    assert elsewhere.exists()
    assert in_the_making.exists()
    assert (temporary / "theirs").exists()


def sleeper(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], env={**os.environ, **environment})


def test_a_warden_ends_what_carries_the_mark_and_nothing_else(tmp_path: Path) -> None:
    folder, other = tmp_path / "a", tmp_path / "b"
    folder.mkdir()
    mine, theirs, nobodys = sleeper(**{MARK: str(folder)}), sleeper(**{MARK: str(other)}), sleeper()
    warden = start_warden(folder)
    time.sleep(0.3)
    assert mine.poll() is None

    dismiss_warden(warden)

    assert mine.wait(timeout=5) != 0
    assert not folder.exists()
    assert theirs.poll() is None
    assert nobodys.poll() is None
    for process in (theirs, nobodys):
        process.kill()
        process.wait()


def test_a_warden_ends_what_took_a_title_of_ray_in_its_folder_and_lost_the_mark_by_that(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    agent = subprocess.Popen(["ray::DashboardAgent", "60"], executable="/bin/sleep", cwd=folder)
    elsewhere = subprocess.Popen(["ray::DashboardAgent", "60"], executable="/bin/sleep", cwd=tmp_path)
    visitor = subprocess.Popen(["sleep", "60"], cwd=folder)

    dismiss_warden(start_warden(folder))

    assert agent.wait(timeout=5) != 0
    assert elsewhere.poll() is None
    assert visitor.poll() is None
    for process in (elsewhere, visitor):
        process.kill()
        process.wait()


def test_a_warden_survives_what_kills_its_command(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    code = (
        "import sys, pathlib, time; from hcs.distributed.warden import start_warden;"
        "start_warden(pathlib.Path(sys.argv[1])); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "up\n"
        marked = sleeper(**{MARK: str(folder)})
        command.kill()

    assert marked.wait(timeout=10) != 0
    give_up = time.monotonic() + 5
    while folder.exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not folder.exists()


def test_an_address_of_rays_client_is_explained() -> None:
    with pytest.raises(UsageError, match="--address auto"):
        check_reachable("ray://somewhere:10001")


@pytest.mark.parametrize("address", ["", "host", ":6379", "host:port", "http://host:1", "host:123456", "a b:1"])
def test_what_is_no_address_is_said_at_once(address: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        check_reachable(address, seconds=1)


def test_a_port_where_nobody_listens_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    started = time.monotonic()

    with pytest.raises(UsageError, match=f"127.0.0.1:{port}.*refused"):
        check_reachable(f"127.0.0.1:{port}")

    assert time.monotonic() - started < 3
