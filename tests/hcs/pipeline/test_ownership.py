from __future__ import annotations

from pathlib import Path

import pytest

from hcs.catalog import Catalog, catalog_id, open_catalog
from hcs.errors import ConflictError
from hcs.io.storage import list_names, read_bytes, write_atomically
from hcs.pipeline.ownership import MARKER, check_parts, claim_parts


@pytest.fixture(params=["local", "memory"])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder of parts that nobody has used, on a disk and behind fsspec."""
    return f"memory://{tmp_path}/parts" if request.param == "memory" else f"{tmp_path}/parts"


def catalog_at(path: Path, parts: str) -> Catalog:
    return open_catalog(str(path), parts_uri=parts)


def test_a_folder_belongs_to_the_catalog_that_claimed_it_first(tmp_path: Path, parts: str) -> None:
    with catalog_at(tmp_path / "a.sqlite", parts) as one, catalog_at(tmp_path / "b.sqlite", parts) as other:
        claim_parts(one)
        claim_parts(one)
        check_parts(one)

        for refused in (claim_parts, check_parts):
            with pytest.raises(ConflictError, match="--parts") as error:
                refused(other)
            assert catalog_id(one) in str(error.value)
            assert parts in str(error.value)
            assert str(tmp_path / "b.sqlite") in str(error.value)
        assert read_bytes(f"{parts}/{MARKER}").decode().strip() == catalog_id(one)


def test_an_old_folder_without_a_marker_is_adopted_with_its_files(tmp_path: Path, parts: str) -> None:
    write_atomically(f"{parts}/run-1/P1/old.parquet", b"old")

    with catalog_at(tmp_path / "a.sqlite", parts) as catalog:
        check_parts(catalog)
        assert list_names(parts) == ("run-1/",)
        claim_parts(catalog)

    assert list_names(parts) == (MARKER, "run-1/")
    assert read_bytes(f"{parts}/run-1/P1/old.parquet") == b"old"


def test_a_marker_that_says_nothing_readable_is_another_catalogs(tmp_path: Path, parts: str) -> None:
    write_atomically(f"{parts}/{MARKER}", b"\xff" * 1_000)

    with catalog_at(tmp_path / "a.sqlite", parts) as catalog, pytest.raises(ConflictError) as error:
        claim_parts(catalog)
    assert len(str(error.value)) < 1_000


def test_a_catalog_may_move_with_its_parts(tmp_path: Path) -> None:
    markers = []
    for place in ("here", "there"):
        if place == "there":
            (tmp_path / "here").rename(tmp_path / "there")
        with open_catalog(str(tmp_path / place / "catalog.sqlite")) as catalog:
            claim_parts(catalog)
            markers.append(read_bytes(f"{catalog.parts_uri}/{MARKER}"))

    assert markers[0] == markers[1] != b""
