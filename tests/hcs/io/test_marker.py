from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from hcs.errors import StorageError
from hcs.io.marker import claim
from hcs.io.storage import list_names, remove


@pytest.fixture(params=["local", "file", "memory"])
def folder(request, tmp_path):
    """A folder that does not exist yet, on a disk and behind fsspec."""
    uris = {"local": f"{tmp_path}/new", "file": f"file://{tmp_path}/new", "memory": f"memory://{tmp_path}/new"}
    yield uris[request.param]
    remove(f"{uris[request.param]}/MARK")


def test_who_comes_first_is_kept_and_nothing_else_is_left(folder):
    assert claim(f"{folder}/MARK", b"one\n") == b"one\n"
    assert claim(f"{folder}/MARK", b"two\n") == b"one\n"
    assert claim(f"{folder}/MARK", b"one\n") == b"one\n"

    assert list_names(folder) == ("MARK",)


def test_of_several_who_come_at_once_one_is_first_and_all_are_told(tmp_path):
    barrier = Barrier(8)

    def come(number):
        barrier.wait(30)
        return claim(str(tmp_path / "MARK"), f"{number}".encode())

    for _ in range(10):
        (tmp_path / "MARK").unlink(missing_ok=True)
        with ThreadPoolExecutor(8) as pool:
            told = set(pool.map(come, range(8)))
        assert told == {(tmp_path / "MARK").read_bytes()}


def test_a_file_system_without_links_takes_the_mark_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("hcs.io.marker.os.link", refuse)

    assert claim(str(tmp_path / "MARK"), b"one") == b"one"
    assert claim(str(tmp_path / "MARK"), b"two") == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["MARK"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(StorageError, match="cannot write"):
        claim(str(Path(tmp_path / "file" / "MARK")), b"one")
