"""Tables of profiles in h5ad, the HDF5 layout of AnnData: `X` rows by features, `obs` about rows, `var` about features.

Files come from strangers, and HDF5 can do more than hold numbers. A link to another file, values that lie in other
files, and a matrix that declares far more than the file stores are refused; nothing in a file is executed.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from hcs.errors import InputRejectedError, StorageError, UsageError
from hcs.io.storage import read_bytes, write_atomically

ENDING = "h5ad"
PREFIX = "Metadata_"
OBS_NAME = "Metadata_obs_name"
"""Where the names of rows stand in a table, unless they only count them."""

MOST_BYTES = 32 << 30
"""Of one matrix in memory."""
MOST_INFLATED = 1_100
"""Bytes that one stored byte can stand for: deflate reaches 1,032."""
_NOT_COMPRESSED = 1 << 20


def is_h5ad(uri: str) -> bool:
    """Return whether a file name ends in h5ad."""
    return uri.casefold().endswith(f".{ENDING}")


def read_h5ad(uri: str) -> pl.DataFrame:
    """Return a table with a row an observation: `obs` as `Metadata_*` columns, and a column a feature.

    Args:
        uri: A file that AnnData 0.8 or later wrote, X dense or sparse; layers and everything else are not looked at.

    Raises:
        UsageError: If h5py is not installed.
        StorageError: If it cannot be read, or is no HDF5.
        InputRejectedError: If it is not such a file, or does what no table of profiles needs to.
    """
    h5py = _h5py()
    data = read_bytes(uri)
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            return _table(h5py, file, uri)
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{uri}: expected an h5ad file, it is torn or something else ({error})") from error


def _table(h5py: Any, file: Any, uri: str) -> pl.DataFrame:
    for name in ("X", "obs", "var"):
        if name not in file:
            raise InputRejectedError(f"{uri}: expected an h5ad file with X, obs and var, but it has no {name}")
    about = _frame(h5py, file, "obs", uri)
    features = _names(h5py, _item(h5py, file, "var", uri), uri)
    values = _matrix(h5py, file, uri)
    if values.shape != (about.height, len(features)):
        raise InputRejectedError(
            f"{uri}: expected X with {about.height} rows of obs and {len(features)} of var, but its shape is "
            f"{values.shape}"
        )
    names = Counter([*features, *about.columns])
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        raise InputRejectedError(
            f"{uri}: every column needs a name of its own, but {repeated[0]!r} comes more than once"
        )
    return about.with_columns(pl.Series(name, values[:, place]) for place, name in enumerate(features))


def _item(h5py: Any, group: Any, name: str, uri: str) -> Any:
    """Return what a group holds under a name, if it lies in this file."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise InputRejectedError(
            f"{uri}: expected {name} in the file itself, but it is a link to somewhere else; write the file anew "
            "without links"
        )
    item = group[name]
    if isinstance(item, h5py.Dataset):
        _check_stored(item, name, uri)
    return item


def _check_stored(dataset: Any, name: str, uri: str) -> None:
    if dataset.external or dataset.is_virtual:
        raise InputRejectedError(f"{uri}: expected {name} in the file itself, but its values lie in other files")
    declared = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize if dataset.shape is not None else 0
    stored = dataset.id.get_storage_size()
    if declared > MOST_BYTES or declared > MOST_INFLATED * stored + _NOT_COMPRESSED:
        raise InputRejectedError(
            f"{uri}: {name} declares {declared:,} bytes of values, but the file holds {stored:,} for them; at most "
            f"{MOST_BYTES >> 30} GiB are read"
        )


def _matrix(h5py: Any, file: Any, uri: str) -> NDArray[np.floating]:
    x = _item(h5py, file, "X", uri)
    if isinstance(x, h5py.Dataset):
        if len(x.shape) != 2 or x.dtype.kind not in "fiub":
            raise InputRejectedError(f"{uri}: expected X as rows by features of numbers, but it is {x.dtype} {x.shape}")
        return _as_floats(x[...])
    return _as_floats(_dense(h5py, x, uri))


def _dense(h5py: Any, group: Any, uri: str) -> NDArray[Any]:
    kind = _text(group.attrs.get("encoding-type", ""))
    forms = {"csr_matrix": sparse.csr_matrix, "csc_matrix": sparse.csc_matrix}
    shape = tuple(int(size) for size in group.attrs.get("shape", ()))
    if kind not in forms or len(shape) != 2:
        raise InputRejectedError(f"{uri}: expected X as an array, csr_matrix or csc_matrix, but it is {kind!r} {shape}")
    data, indices, indptr = (_item(h5py, group, name, uri)[...] for name in ("data", "indices", "indptr"))
    n_bytes = shape[0] * shape[1] * data.dtype.itemsize
    stored = data.nbytes + indptr.nbytes
    if min(shape) < 0 or n_bytes > min(MOST_BYTES, MOST_INFLATED * stored + _NOT_COMPRESSED):
        raise InputRejectedError(f"{uri}: a sparse X of {shape} would take {n_bytes:,} bytes, for {stored:,} stored")
    try:
        matrix = forms[kind]((data, indices, indptr), shape=shape)
        matrix.check_format(full_check=True)
    except (ValueError, TypeError) as error:
        raise InputRejectedError(f"{uri}: expected a sparse X whose indices fit {shape}, but {error}") from error
    return np.asarray(matrix.toarray())


def _as_floats(values: NDArray[Any]) -> NDArray[np.floating]:
    is_small = values.dtype.kind == "f" and values.dtype.itemsize <= 4
    return values.astype(np.float32 if is_small else np.float64, copy=False)


def _names(h5py: Any, group: Any, uri: str) -> list[str]:
    """Return the names of the rows of `obs` or `var`."""
    index = _text(group.attrs.get("_index", "_index"))
    column = _column(h5py, group, index, uri)
    return [str(value) for value in column.to_list()]


def _frame(h5py: Any, file: Any, name: str, uri: str) -> pl.DataFrame:
    group = _item(h5py, file, name, uri)
    if not isinstance(group, h5py.Group) or _text(group.attrs.get("encoding-type", "")) != "dataframe":
        raise InputRejectedError(f"{uri}: expected {name} as AnnData 0.8 or later writes it; write the file anew")
    order = [_text(column) for column in group.attrs.get("column-order", ())]
    columns = [_column(h5py, group, column, uri).alias(_prefixed(column)) for column in order]
    names = _names(h5py, group, uri)
    if names != [str(number) for number in range(len(names))]:
        columns = [pl.Series(OBS_NAME, names), *(column for column in columns if column.name != OBS_NAME)]
    lengths = {len(column) for column in columns} | {len(names)}
    if len(lengths) > 1:
        raise InputRejectedError(f"{uri}: expected columns of one length in {name}, but they have {sorted(lengths)}")
    if len({column.name for column in columns}) < len(columns):
        raise InputRejectedError(f"{uri}: two columns of {name} would get one name, with {PREFIX} in front")
    return pl.DataFrame(columns)


def _column(h5py: Any, group: Any, name: str, uri: str) -> pl.Series:
    if name not in group:
        raise InputRejectedError(f"{uri}: expected a column {name!r} in {group.name}, but there is none")
    item = _item(h5py, group, name, uri)
    kind = _text(item.attrs.get("encoding-type", "array"))
    if isinstance(item, h5py.Dataset):
        return _plain(h5py, item, name, uri)
    if kind == "categorical":
        words = _plain(h5py, _item(h5py, group[name], "categories", uri), name, uri).cast(pl.String)
        codes = _plain(h5py, _item(h5py, group[name], "codes", uri), name, uri)
        if codes.len() and not (codes.dtype.is_integer() and codes.min() >= -1 and codes.max() < len(words)):  # type: ignore[operator]
            raise InputRejectedError(f"{uri}: expected codes of {len(words)} categories in {name}, but others came")
        return words.gather(codes.cast(pl.Int64).replace(-1, None))
    if kind.startswith("nullable-"):
        values, mask = (_plain(h5py, _item(h5py, group[name], part, uri), name, uri) for part in ("values", "mask"))
        if len(values) != len(mask) or mask.dtype != pl.Boolean:
            raise InputRejectedError(f"{uri}: expected a mask as long as its values in {name}")
        return values.set(mask, None)
    raise InputRejectedError(
        f"{uri}: column {name} of {group.name} is a {kind or 'group'}, which is not read; take it out"
    )


def _plain(h5py: Any, dataset: Any, name: str, uri: str) -> pl.Series:
    if len(dataset.shape) != 1:
        raise InputRejectedError(f"{uri}: expected one value a row in {name}, but its shape is {dataset.shape}")
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return pl.Series(name, dataset.asstr()[...].tolist(), dtype=pl.String)
    if dataset.dtype.kind not in "fiub":
        raise InputRejectedError(f"{uri}: expected numbers or text in {name}, but it holds {dataset.dtype}")
    values = dataset[...]
    return pl.Series(name, values.astype(np.float32) if values.dtype == np.float16 else values)


def write_h5ad(metadata: pl.DataFrame, values: NDArray[np.floating], features: Sequence[str], uri: str) -> None:
    """Write profiles as AnnData reads them; equal profiles give equal bytes.

    Args:
        metadata: One row a profile, as `obs`; text becomes categories. Names of rows come from `Metadata_obs_name`.
        values: (W, D), float32 or float64, as `X`.
        features: (D,), as names of `var`.
        uri: Where.

    Raises:
        UsageError: If h5py is not installed, or metadata are neither text, numbers nor truths.
        StorageError: If it cannot be written.
    """
    h5py = _h5py()
    content = io.BytesIO()
    with h5py.File(content, "w", libver=("v108", "v108"), track_order=False) as file:
        _encode(file, "anndata", "0.1.0")
        x = file.create_dataset("X", data=np.ascontiguousarray(values))
        _encode(x, "array", "0.2.0")
        names = [str(number) for number in range(metadata.height)]
        if OBS_NAME in metadata.columns:
            names = metadata[OBS_NAME].cast(pl.String).fill_null("").to_list()
        about = metadata.drop(OBS_NAME, strict=False)
        _write_frame(h5py, file, "obs", names, about)
        _write_frame(h5py, file, "var", list(features), pl.DataFrame())
        for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            _encode(file.create_group(name), "dict", "0.1.0")
    write_atomically(uri, content.getvalue())


def _write_frame(h5py: Any, file: Any, name: str, index: Sequence[str], frame: pl.DataFrame) -> None:
    group = file.create_group(name)
    _encode(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    group.attrs.create("column-order", frame.columns, dtype=h5py.string_dtype())
    _write_text(h5py, group, "_index", index)
    for column in frame:
        _write_column(h5py, group, column)


def _write_column(h5py: Any, group: Any, column: pl.Series) -> None:
    dtype = column.dtype
    if dtype.is_integer() or dtype == pl.Boolean:
        plain = column.cast(pl.Int64) if dtype.is_integer() else column
        if not column.null_count():
            _encode(group.create_dataset(column.name, data=plain.to_numpy()), "array", "0.2.0")
            return
        parts = group.create_group(column.name)
        _encode(parts, "nullable-boolean" if dtype == pl.Boolean else "nullable-integer", "0.1.0")
        filled = plain.fill_null(False if dtype == pl.Boolean else 0)
        for name, part in (("values", filled), ("mask", column.is_null())):
            _encode(parts.create_dataset(name, data=part.to_numpy()), "array", "0.2.0")
    elif dtype.is_float():
        data = column.fill_null(float("nan")).to_numpy()
        _encode(group.create_dataset(column.name, data=data), "array", "0.2.0")
    else:
        _write_categories(h5py, group, column)


def _write_categories(h5py: Any, group: Any, column: pl.Series) -> None:
    try:
        text = column.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"h5ad takes text, numbers and truths, but {column.name} holds {column.dtype}") from error
    words = text.drop_nulls().unique().sort()
    place = {word: number for number, word in enumerate(words)}
    codes = np.array([-1 if word is None else place[word] for word in text], dtype=np.int32)
    parts = group.create_group(column.name)
    _encode(parts, "categorical", "0.2.0")
    parts.attrs["ordered"] = False
    _encode(parts.create_dataset("codes", data=codes), "array", "0.2.0")
    _write_text(h5py, parts, "categories", words.to_list())


def _write_text(h5py: Any, group: Any, name: str, words: Sequence[str]) -> None:
    _encode(group.create_dataset(name, data=list(words), dtype=h5py.string_dtype()), "string-array", "0.2.0")


def _encode(item: Any, kind: str, version: str) -> None:
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = version


def _prefixed(name: str) -> str:
    return name if name.startswith(PREFIX) else f"{PREFIX}{name}"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _h5py() -> Any:
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            "h5ad files need h5py, which is not installed; install it with the extra, pip install 'hcs[h5ad]', or take "
            "parquet"
        ) from error
    return h5py
