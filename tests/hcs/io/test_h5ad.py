"""h5ad: what is written is read, what AnnData writes is read, and what no table of profiles needs is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from hcs.errors import HcsError, InputRejectedError, StorageError
from hcs.io.h5ad import read_h5ad, write_h5ad

h5py = pytest.importorskip("h5py", reason="the extra h5ad is not installed")

METADATA = pl.DataFrame(
    {
        "Metadata_Plate": ["101", "101", "b", None],
        "Metadata_n": [1, 2, None, 4],
        "Metadata_dose": [0.5, None, 1.0, 2.0],
        "Metadata_ok": [True, None, False, True],
        "Metadata_all": [True, False, False, True],
        "Metadata_odd": ["=1", "", "x", "x"],
    }
)
VALUES = np.arange(12, dtype=np.float32).reshape(4, 3) / 7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_h5ad(METADATA, VALUES, ["F1", "F2", "F3"], str(tmp_path / "a.h5ad"))
    return tmp_path / "a.h5ad"


def changed(path: Path, change: Any) -> str:
    """Return the file after a change to it."""
    with h5py.File(path, "r+") as file:
        change(file)
    return str(path)


def replace(file: Any, name: str, **made: Any) -> None:
    """Put another dataset where one was, with the attributes of the old."""
    attributes = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, **made).attrs.update(attributes)


def test_what_is_written_is_read_and_its_bytes_are_the_same(path: Path, tmp_path: Path) -> None:
    table = read_h5ad(str(path))

    expected = METADATA.with_columns(
        pl.col("Metadata_dose").fill_null(float("nan")),
        *(pl.Series(f"F{i + 1}", VALUES[:, i]) for i in range(3)),
    )
    assert_frame_equal(table, expected)
    write_h5ad(table.select(pl.col("^Metadata_.*$")), VALUES, ["F1", "F2", "F3"], str(tmp_path / "b.h5ad"))
    assert (tmp_path / "b.h5ad").read_bytes() == path.read_bytes()


def test_names_of_rows_are_kept(tmp_path: Path) -> None:
    named = pl.DataFrame({"Metadata_obs_name": ["w1", "w2"], "Metadata_Plate": ["a", "b"]})

    write_h5ad(named, np.zeros((2, 1)), ["F"], str(tmp_path / "a.h5ad"))

    assert_frame_equal(read_h5ad(str(tmp_path / "a.h5ad")).drop("F"), named)


def test_a_sparse_matrix_and_unprefixed_columns_are_read(path: Path) -> None:
    def sparse(file: Any) -> None:
        del file["X"]
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [4, 3]})
        group["data"], group["indices"], group["indptr"] = [5.0, 7.0], [0, 2], [0, 1, 1, 2, 2]
        file["obs"].move("Metadata_n", "n")
        file["obs"].attrs["column-order"] = ["Metadata_Plate", "n"]

    table = read_h5ad(changed(path, sparse))

    assert table.columns == ["Metadata_Plate", "Metadata_n", "F1", "F2", "F3"]
    np.testing.assert_array_equal(table[["F1", "F2", "F3"]].to_numpy(), [[5, 0, 0], [0, 0, 0], [0, 0, 7], [0, 0, 0]])


def external_link(file: Any) -> None:
    del file["X"]
    file["X"] = h5py.ExternalLink("/etc/passwd", "/X")


def soft_link(file: Any) -> None:
    del file["obs/Metadata_dose"]
    file["obs/Metadata_dose"] = h5py.SoftLink("/X")


def external_values(file: Any) -> None:
    replace(file, "X", shape=(4, 3), dtype="f4", external=[("/etc/passwd", 0, 48)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "X", (4, 3))
    attributes = dict(file["X"].attrs)
    del file["X"]
    file.create_virtual_dataset("X", layout).attrs.update(attributes)


def huge(file: Any) -> None:
    replace(file, "X", shape=(1 << 30, 1 << 20), dtype="f8", chunks=(1, 1024))


def huge_sparse(file: Any) -> None:
    del file["X"]
    group = file.create_group("X")
    group.attrs.update({"encoding-type": "csr_matrix", "shape": [1 << 20, 1 << 20]})
    group["data"], group["indices"], group["indptr"] = [1.0], [0], [0, 1]


def outside_sparse(file: Any) -> None:
    del file["X"]
    group = file.create_group("X")
    group.attrs.update({"encoding-type": "csr_matrix", "shape": [4, 3]})
    group["data"], group["indices"], group["indptr"] = [1.0], [9_999_999], [0, 1, 1, 1, 1]


def references(file: Any) -> None:
    replace(file, "obs/Metadata_dose", data=[file["X"].ref] * 4, dtype=h5py.ref_dtype)


def text(file: Any) -> None:
    replace(file, "X", data=[["a"] * 3] * 4, dtype=h5py.string_dtype())


def codes(file: Any) -> None:
    file["obs/Metadata_Plate/codes"][0] = 77


def shorter(file: Any) -> None:
    replace(file, "obs/Metadata_dose", data=[1.0])


def other_shape(file: Any) -> None:
    replace(file, "X", data=np.zeros((4, 2)))


def without_var(file: Any) -> None:
    del file["var"]


def same_names(file: Any) -> None:
    replace(file, "var/_index", data=["F", "F", "G"], dtype=h5py.string_dtype())


def group_column(file: Any) -> None:
    file["obs/Metadata_Plate"].attrs["encoding-type"] = "dict"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external_link, "a link to somewhere else"),
        (soft_link, "a link to somewhere else"),
        (external_values, "its values lie in other files"),
        (virtual, "its values lie in other files"),
        (huge, "declares 9,007,199,254,740,992 bytes"),
        (huge_sparse, "would take"),
        (outside_sparse, "whose indices fit"),
        (references, "numbers or text in Metadata_dose"),
        (text, "rows by features of numbers"),
        (codes, "codes of 2 categories"),
        (shorter, "one length"),
        (other_shape, r"its shape is \(4, 2\)"),
        (without_var, "has no var"),
        (same_names, "'F' comes more than once"),
        (group_column, "is a dict"),
    ],
)
def test_what_no_table_of_profiles_needs_is_refused(path: Path, change: Any, message: str) -> None:
    with pytest.raises(InputRejectedError, match=message):
        read_h5ad(changed(path, change))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=40))
def test_a_torn_file_is_read_or_an_error_of_ours(path: Path, tmp_path: Path, places: list[tuple[float, int]]) -> None:
    data = bytearray(path.read_bytes())
    for share, value in places:
        data[int(share * len(data))] = value
    (tmp_path / "torn.h5ad").write_bytes(data)

    try:
        table = read_h5ad(str(tmp_path / "torn.h5ad"))
    except HcsError:
        return
    assert table.height == 4


def test_something_else_is_no_h5ad(tmp_path: Path) -> None:
    (tmp_path / "a.h5ad").write_bytes(b"not HDF5 at all")

    with pytest.raises(StorageError, match="torn or something else"):
        read_h5ad(str(tmp_path / "a.h5ad"))
