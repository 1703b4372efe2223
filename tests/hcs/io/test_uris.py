from __future__ import annotations

import pytest

from hcs.errors import StorageError
from hcs.io.uris import beside, shown


@pytest.mark.parametrize(
    ("relative", "expected"),
    [
        ("map.csv", "s3://b/screens/one/map.csv"),
        ("./P1", "s3://b/screens/one/P1"),
        ("../two/P1", "s3://b/screens/two/P1"),
        ("../../P #1+ü", "s3://b/P #1+ü"),
    ],
)
def test_a_relative_path_starts_at_the_file(relative: str, expected: str) -> None:
    assert beside("s3://b/screens/one/SCREEN.yaml", relative) == expected


@pytest.mark.parametrize("relative", ["../../../other-bucket/P", "/P", "../../.."])
def test_a_relative_path_stays_in_its_bucket(relative: str) -> None:
    with pytest.raises(StorageError, match="stays in s3://b"):
        beside("s3://b/screens/one/SCREEN.yaml", relative)


def test_what_stands_before_an_at_is_never_shown() -> None:
    assert shown("s3://me:secret@bucket/a") == "s3://bucket/a"
    assert shown("cannot reach https://me:secret@host:9000/x, nor s3://b/a@b") == (
        "cannot reach https://host:9000/x, nor s3://b/a@b"
    )
