from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import StorageError
from hcs.io.storage import (
    UnreadableFolder,
    channel_key,
    exists,
    is_remote,
    join,
    list_files,
    list_names,
    open_read,
    read_bytes,
    sha256_of,
    sha256_of_bytes,
    without_channel,
    write_atomically,
)

ROOTS = ["local", "memory"]


@pytest.fixture(params=ROOTS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder on disk, and one behind fsspec: one contract for both."""
    if request.param == "local":
        return str(tmp_path / "store")
    return f"memory://{tmp_path.name}/store"


def test_what_was_written_is_read_back(root: str) -> None:
    uri = join(root, "parts/a.bin")

    write_atomically(uri, b"abc")

    assert read_bytes(uri) == b"abc"
    assert exists(uri)
    assert sha256_of(uri) == hashlib.sha256(b"abc").hexdigest() == sha256_of_bytes(b"abc")
    with open_read(uri) as stream:
        stream.seek(1)
        assert stream.read() == b"bc"


def test_files_are_listed_sorted_with_sizes_and_witnesses(root: str) -> None:
    for name in ("b/2.tif", "a.tif", "b/10.tif", "b-c/1.tif"):
        write_atomically(join(root, name), name.encode())

    files = list(list_files(root))

    assert [file.relative_path for file in files] == ["a.tif", "b-c/1.tif", "b/10.tif", "b/2.tif"]
    assert [file.size_bytes for file in files] == [len(file.relative_path) for file in files]
    assert all(file.witness for file in files)


def test_names_of_one_folder_tell_folders_from_files(root: str) -> None:
    write_atomically(join(root, "b/2.tif"), b"")
    write_atomically(join(root, "a.tif"), b"")

    assert list_names(root) == ("a.tif", "b/")


def test_a_missing_file_is_a_storage_error_with_its_path(root: str) -> None:
    uri = join(root, "no/where.bin")

    assert not exists(uri)
    for read in (read_bytes, sha256_of):
        with pytest.raises(StorageError, match=r"where\.bin: No such file or directory; check the path"):
            read(uri)
    with pytest.raises(StorageError, match=r"where\.bin"), open_read(uri):
        pass


def test_a_missing_root_cannot_be_listed(root: str) -> None:
    with pytest.raises(StorageError, match="store"):
        list(list_files(root))


def test_overwriting_replaces_the_whole_content(tmp_path: Path) -> None:
    uri = str(tmp_path / "a.bin")
    write_atomically(uri, b"long content")

    write_atomically(uri, b"short")

    assert read_bytes(uri) == b"short"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_write_that_finds_the_disk_full_leaves_nothing_behind(tmp_path: Path) -> None:
    uri = str(tmp_path / "a.bin")
    write_atomically(uri, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match=r"a\.bin.*elsewhere"):
            write_atomically(uri, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)

    assert os.listdir(tmp_path) == ["a.bin"]
    assert read_bytes(uri) == b"old"


def test_a_write_below_a_file_says_that_the_path_is_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="a part of the path is a file") as caught:
        write_atomically(str(tmp_path / "file" / "a.bin"), b"x")

    assert isinstance(caught.value.__cause__, OSError)


def test_an_unreadable_folder_is_said_and_the_others_are_listed() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "open").mkdir()
        (root / "open" / "a.tif").write_bytes(b"")
        (root / "closed").mkdir()
        for folder in (root, root / "open"):
            folder.chmod(0o755)
        (root / "closed").chmod(0)
        user = os.geteuid()
        seen: list[UnreadableFolder] = []
        try:
            if user == 0:
                os.seteuid(65534)
            files = list(list_files(name, on_unreadable=seen.append))
        finally:
            os.seteuid(user)
            (root / "closed").chmod(0o755)

    assert [file.relative_path for file in files] == ["open/a.tif"]
    assert seen == [UnreadableFolder("closed/", os.strerror(errno.EACCES))]


def test_a_link_to_a_folder_above_does_not_go_round_for_ever(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.tif").write_bytes(b"1")
    (tmp_path / "a" / "round").symlink_to(tmp_path)

    assert [file.relative_path for file in list_files(str(tmp_path))] == ["a/x.tif"]


def test_a_broken_link_is_said(tmp_path: Path) -> None:
    (tmp_path / "gone.tif").symlink_to(tmp_path / "nowhere")
    seen: list[UnreadableFolder] = []

    assert list(list_files(str(tmp_path), on_unreadable=seen.append)) == []
    assert [item.relative_path for item in seen] == ["gone.tif"]


def test_what_is_neither_folder_nor_file_is_said_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "endless.tif").symlink_to("/dev/zero")
    (tmp_path / "image.tif").write_bytes(b"1")
    seen: list[UnreadableFolder] = []

    files = list(list_files(str(tmp_path), on_unreadable=seen.append))

    assert [file.relative_path for file in files] == ["image.tif"]
    assert sorted(item.relative_path for item in seen) == ["endless.tif", "pipe.tif"]
    assert {item.reason for item in seen} == {"a pipe, socket or device, no file"}


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/etc/passwd", "\\x"])
def test_joining_never_leaves_the_root(relative: str) -> None:
    with pytest.raises(StorageError, match="stays under"):
        join("/data", relative)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text("abc.-_ ", min_size=1, max_size=5).filter(lambda part: part != ".."), min_size=1, max_size=4))
def test_joining_appends_to_the_root(parts: list[str]) -> None:
    relative = "/".join(parts)

    assert join("/data/", relative) == join("/data", relative) == f"/data/{relative}"
    assert join("s3://bucket", relative) == f"s3://bucket/{relative}"


def test_file_urls_are_local(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/with space.bin".replace(" ", "%20")
    write_atomically(uri, b"1")

    assert (tmp_path / "with space.bin").read_bytes() == b"1"
    assert not is_remote(uri)
    assert is_remote("s3://bucket/key")
    assert not is_remote("/data/odd://name")


def test_a_channel_inside_a_file_does_not_change_the_file_that_is_read(tmp_path: Path) -> None:
    uri = f"{tmp_path}/a.tif"
    write_atomically(uri, b"1")

    assert read_bytes(f"{uri}#channel=DNA") == b"1"
    assert sha256_of(f"{uri}#channel=DNA") == sha256_of(uri)
    assert (without_channel(f"{uri}#channel=DNA"), channel_key(f"{uri}#channel=DNA")) == (uri, "DNA")
    assert channel_key(uri) is None


def test_an_unknown_protocol_is_explained() -> None:
    with pytest.raises(StorageError, match="nosuch"):
        read_bytes("nosuch://host/a.tif")
