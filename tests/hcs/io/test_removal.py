from __future__ import annotations

import pytest

from hcs.io.removal import remove_files
from hcs.io.storage import exists, list_files, write_atomically


@pytest.fixture(params=["local", "file", "memory"])
def root(request, tmp_path):
    """A folder with files, on a disk and behind fsspec."""
    uri = {"local": "", "file": "file://", "memory": "memory://"}[request.param] + str(tmp_path / "parts")
    for path in ("CATALOG", "run-1/P1/a", "run-1/P1/b", "run-1/profiles/c", "run-2/P1/d"):
        write_atomically(f"{uri}/{path}", b"x")
    return uri


def files(root):
    return [file.relative_path for file in list_files(root)]


def test_only_the_files_that_are_named_go(root):
    assert remove_files(root, ["run-1/P1/a", "run-1/profiles/c", "run-1/P1/a"]) == {}
    assert files(root) == ["CATALOG", "run-1/P1/b", "run-2/P1/d"]


def test_a_file_that_is_gone_already_is_no_failure(root):
    assert remove_files(root, ["run-1/P1/x", "nothing/at/all"]) == {}
    assert len(files(root)) == 5


def test_a_path_out_of_the_folder_removes_nothing(root, tmp_path):
    (tmp_path / "mine").write_text("kept")

    failures = remove_files(root, ["../mine", str(tmp_path / "mine"), "run-1/../../mine"])

    assert len(failures) == 3
    assert all("stays under" in reason for reason in failures.values())
    assert (tmp_path / "mine").exists()
    assert len(files(root)) == 5


def test_folders_that_are_empty_then_go_too_and_the_root_stays(tmp_path):
    for path in ("run-1/P1/a", "run-1/P2/b", "run-1/P2/.left.part"):
        write_atomically(str(tmp_path / "parts" / path), b"x")

    remove_files(str(tmp_path / "parts"), ["run-1/P1/a", "run-1/P2/b"])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "parts",
        "parts/run-1",
        "parts/run-1/P2",
        "parts/run-1/P2/.left.part",
    ]

    remove_files(str(tmp_path / "parts"), ["run-1/P2/.left.part"])
    assert list((tmp_path / "parts").iterdir()) == []


def test_what_cannot_be_removed_is_told_and_the_rest_goes(root):
    if root.startswith("memory"):
        return
    failures = remove_files(root, ["run-1/P1", "run-2/P1/d"])

    assert list(failures) == ["run-1/P1"]
    assert "cannot remove" in failures["run-1/P1"]
    assert not exists(f"{root}/run-2/P1/d")
    assert exists(f"{root}/run-1/P1/a")
