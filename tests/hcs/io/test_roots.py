"""Roots: nothing outside them is read, however it is spelled, and nobody is asked."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs.errors import NotAllowedError, UsageError
from hcs.io.roots import Roots


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a plate, beside a place that is none of anybody's business."""
    (tmp_path / "root" / "plate").mkdir(parents=True)
    (tmp_path / "root-secret").mkdir()
    (tmp_path / "secret").mkdir()
    return tmp_path / "root"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a request was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_what_lies_inside_is_resolved_to_its_real_place(root):
    (root / "alias").symlink_to(root / "plate")
    roots = Roots([str(root)])

    for spelling in (f"{root}/plate", f"file://{root}/plate", f"{root}//plate/", f"{root}/./plate", f"{root}/alias"):
        assert roots.resolve(spelling) == str(root / "plate")
    assert roots.resolve(str(root)) == str(root)
    assert roots.resolve(f"{root}/not/there/yet") == f"{root}/not/there/yet"
    assert roots.resolve(f"file://{root}/with%20blank") == f"{root}/with blank"


def test_a_root_that_is_a_link_holds_what_it_leads_to(root, tmp_path):
    (tmp_path / "mount").symlink_to(root)
    roots = Roots([str(tmp_path / "mount")])

    assert roots.resolve(f"{tmp_path}/mount/plate") == str(root / "plate")
    assert roots.resolve(f"{root}/plate") == str(root / "plate")


OUTSIDE = [
    "file:///etc",
    "/etc/passwd",
    "/",
    "",
    ".",
    "plate",
    "./plate",
    "~/plate",
    "{root}/../secret",
    "{root}/plate/../../secret",
    "{root}/..",
    "file://{root}/../secret",
    "file://{root}/%2e%2e/secret",
    "file://{root}/%2E%2E%2Fsecret",
    "{root}-secret",
    "{root}/out",
    "{root}/out/deeper",
    "{root}/chain",
    "{root}/file",
    "{root}/file#channel=x",
    "file://{root}/file%23channel=x.csv",
    "file://{root}/plate%23channel=x.csv",
    "file://{root}/plate%3A%3Ahttp:",
    "file://{root}/pla%00te",
    "file://{root}/pla%0Ate",
    "{root}/to-a-channel",
    "{root}/" + "a/" * 2100,
    "file://evil.example{root}/plate",
    "file://localhost{root}/plate",
    "file://{root}/plate?version=1",
    "FILE://{root}/plate",
    "file:{root}/plate",
    "http://169.254.169.254/latest/meta-data",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://[::ffff:169.254.169.254]/",
    "https://example.org/plate",
    "ftp://example.org/plate",
    "gs://bucket/plate",
    "memory://plate",
    "github://owner:repository@main/plate",
    "zip://x::{root}/plate",
    "{root}/plate::http://169.254.169.254/",
    "simplecache::s3://bucket/screens/plate",
    "s3://bucket/screens/plate::http://169.254.169.254/",
    "s3://other/screens/plate",
    "s3://bucket",
    "s3://bucket/",
    "s3://bucket/screens-secret/plate",
    "s3://bucket/screens/../secret",
    "s3://bucket/screens/./plate",
    "s3://bucket/screens//plate",
    "s3://user:password@bucket/screens/plate",
    "s3://bucket:9000/screens/plate",
    "s3:///screens/plate",
    "s3://Bucket/screens/plate",
    "S3://bucket/screens/plate",
    "s3a://bucket/screens/plate",
    "{root}/pla\0te",
    "{root}/pla\nte",
    "\\\\server\\share",
    "//server/share",
]


@pytest.mark.parametrize("uri", OUTSIDE, ids=range(len(OUTSIDE)))
def test_what_lies_elsewhere_is_refused(root, tmp_path, uri):
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "chain").symlink_to(root / "out")
    (root / "file").symlink_to("/etc/passwd")
    (root / "to-a-channel").symlink_to(root / "file#channel=x.csv")
    roots = Roots([str(root), "s3://bucket/screens/"])

    with pytest.raises(NotAllowedError, match="is expected"):
        roots.resolve(uri.replace("{root}", str(root)))


def test_buckets_and_prefixes_are_roots(root):
    assert Roots(["s3://bucket"]).resolve("s3://bucket/any/plate/") == "s3://bucket/any/plate"
    assert Roots(["s3://bucket/screens"]).resolve("s3://bucket/screens/P 1/a=b") == "s3://bucket/screens/P 1/a=b"


PARTS = st.lists(
    st.sampled_from(["plate", "..", ".", "", "out", "secret", "%2e%2e", "root", "root-secret", "~", "a"]), max_size=6
)


@given(parts=PARTS, prefix=st.sampled_from(["", "file://"]))
def test_whatever_is_let_in_is_really_inside(tmp_path_factory, parts, prefix):
    folder = tmp_path_factory.getbasetemp() / "roots"
    root = folder / "root"
    (root / "plate").mkdir(parents=True, exist_ok=True)
    (folder / "secret").mkdir(exist_ok=True)
    if not (root / "out").is_symlink():
        (root / "out").symlink_to(folder / "secret")
    uri = prefix + "/".join([str(root), *parts])

    try:
        found = Roots([str(root)]).resolve(uri)
    except NotAllowedError:
        return

    assert os.path.commonpath([os.path.realpath(found), os.path.realpath(root)]) == os.path.realpath(root)


@given(uri=st.text(max_size=60))
def test_no_text_leads_anywhere_by_chance(uri):
    with pytest.raises(NotAllowedError):
        Roots(["/nowhere/at/all", "s3://bucket-of-nobody/screens"]).resolve(uri)


@pytest.mark.parametrize(
    "root", ["", "http://example.org", "s3://", "s3://B", "s3://bucket/../x", "gs://bucket", "a\0b"]
)
def test_what_can_be_no_root_is_refused(root):
    with pytest.raises(UsageError, match="a root is"):
        Roots([root])


def test_roots_that_are_no_folders_are_known(tmp_path):
    (tmp_path / "file").touch()
    roots = Roots([str(tmp_path), str(tmp_path / "gone"), str(tmp_path / "file"), "s3://bucket/gone"])

    assert roots.missing() == (str(tmp_path / "gone"), str(tmp_path / "file"))


def test_at_least_one_root_is_needed():
    with pytest.raises(UsageError, match="at least one root"):
        Roots([])


def test_a_path_of_a_million_folders_is_refused_at_once(root):
    began = time.monotonic()
    for path in (f"{root}/" + "a/" * 500_000, f"file://{root}/" + "%61/" * 250_000, "s3://bucket/" + "a/" * 500_000):
        with pytest.raises(NotAllowedError, match="characters"):
            Roots([str(root), "s3://bucket"]).resolve(path)

    assert time.monotonic() - began < 5
