"""Tables in files: csv, tsv, Parquet and JSON, written so that equal tables give equal bytes."""

from __future__ import annotations

import gzip
import io
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, StorageError, UsageError
from hcs.io.delimited import decode_text, read_delimited, separator_of
from hcs.io.storage import read_bytes, sha256_of_bytes, write_atomically

EMBEDDING = "embedding"
ENDINGS = ("csv", "csv.gz", "tsv", "tsv.gz", "txt", "parquet", "json")

_ROWS_A_GROUP = 1 << 16
_FORMULA = r"^[=+\-@\t\r]"
_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"


def ending_of(uri: str) -> str:
    """Return which of `ENDINGS` a file name has.

    Raises:
        UsageError: If it has none of them.
    """
    name = uri.rsplit("/", 1)[-1].casefold()
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if name.endswith(f".{ending}"):
            return ending
    raise UsageError(f"{uri}: expected a table that ends in {', '.join(ENDINGS)}; rename it or name another file")


def read_table(uri: str, *, as_strings: bool = False) -> pl.DataFrame:
    """Return a table from a file; its ending says how it is read.

    In text tables numbers and booleans are recognised from all rows, except in `Metadata_*` columns, whose values are
    strings in the field (a plate may be called 1053597806).

    Args:
        uri: A path or URL ending in one of `ENDINGS`.
        as_strings: Keep every column of a text table as it stands, stripped; empty cells are null.

    Raises:
        StorageError: If it cannot be read from where it lies, or is torn.
        InputRejectedError: If a text table is not one.
    """
    ending_of(uri)
    return table_from_bytes(read_bytes(uri), uri, as_strings=as_strings)


def table_from_bytes(data: bytes, uri: str, *, as_strings: bool = False) -> pl.DataFrame:
    """Return the table that a file's content is, as `read_table` does of the file.

    Raises:
        StorageError: If it is torn.
        InputRejectedError: If a text table is not one.
    """
    ending = ending_of(uri)
    if ending == "parquet":
        return cast("pl.DataFrame", pl.from_arrow(_parquet_table(data, uri)))
    if ending == "json":
        return _read_json(data, uri)
    return read_delimited(data, source=uri) if as_strings else _read_typed(data, uri)


def _read_json(data: bytes, uri: str) -> pl.DataFrame:
    try:
        return pl.read_json(io.BytesIO(data), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise InputRejectedError(f"{uri}: expected a JSON list of objects, one a row; {error}") from error


def _read_typed(data: bytes, uri: str) -> pl.DataFrame:
    text, separator = separator_of(decode_text(data, source=uri))
    first = text.partition("\n")[0].encode()
    header = read_delimited(first, source=uri).columns
    try:
        # polars leaves a quote in a name doubled, as it stands in the file
        spelled = pl.read_csv(io.BytesIO(first), separator=separator, n_rows=0).columns
        names = dict(zip(spelled, header, strict=True)) if len(spelled) == len(header) else {}
        strings = {name: pl.String for name in spelled if name.startswith("Metadata_")}
        table = pl.read_csv(
            io.BytesIO(text.encode()), separator=separator, infer_schema_length=None, schema_overrides=strings
        )
    except pl.exceptions.PolarsError as error:
        raise InputRejectedError(f"{uri}: expected a table of rows as long as its first line; {error}") from error
    return table.rename({name: own for name, own in names.items() if name != own and '""' in name})


def table_bytes(frame: pl.DataFrame, *, ending: str) -> bytes:
    """Return a table as the content of a file; equal tables give equal bytes on every machine.

    Enums and categoricals become strings. In csv a text cell that a spreadsheet would take for a formula (it starts
    with `=`, `+`, `-`, `@`, a tab or a carriage return, and is not a number) gets an apostrophe in front.

    Args:
        frame: Any table; csv takes no nested columns.
        ending: csv, csv.gz, parquet (zstd) or json.

    Raises:
        UsageError: If the ending is none of these.
    """
    plain = _with_plain_strings(frame)
    if ending == "csv":
        return _neutralised(plain).write_csv().encode()
    if ending == "csv.gz":
        return _gzipped(_neutralised(plain).write_csv().encode())
    if ending == "parquet":
        return _parquet_bytes(_arrow(plain))
    if ending == "json":
        return plain.write_json().encode()
    raise UsageError(f"expected a table as csv, csv.gz, parquet or json, got {ending!r}")


def write_table(frame: pl.DataFrame, uri: str) -> None:
    """Write a table where its ending says how, all of it or nothing.

    Raises:
        StorageError: If it cannot be written.
        UsageError: If the ending is not one that is written.
    """
    write_atomically(uri, table_bytes(frame, ending=ending_of(uri)))


def embedding_table_bytes(keys: pl.DataFrame, embedding: NDArray[np.float32]) -> bytes:
    """Return a Parquet file of key columns beside one column `embedding`, FixedSizeList(float32, D), zstd.

    Args:
        keys: (N rows) without a column of that name.
        embedding: (N, D), float32, in the order of the keys.

    Raises:
        ValueError: If the numbers of rows differ, or D is zero.
    """
    if embedding.ndim != 2 or embedding.shape[0] != keys.height or embedding.shape[1] == 0:
        raise ValueError(f"expected (N, D) vectors for {keys.height} keys with D > 0, got {embedding.shape}")
    flat = pa.array(np.ascontiguousarray(embedding, dtype=np.float32).reshape(-1))
    vectors = pa.FixedSizeListArray.from_arrays(flat, embedding.shape[1])
    plain = _with_plain_strings(keys)
    return _parquet_bytes(_arrow(plain).append_column(EMBEDDING, vectors))


def read_embedding_table(uri: str, *, expected_sha256: str | None) -> tuple[pl.DataFrame, NDArray[np.float32]]:
    """Return the keys of an embedding table and its vectors as (N, D), float32.

    Args:
        uri: A file that `embedding_table_bytes` made.
        expected_sha256: Of the whole file; None where nobody recorded it.

    Raises:
        StorageError: If it cannot be read, is torn, or its content is not what was recorded.
    """
    data = read_bytes(uri)
    if expected_sha256 is not None and (got := sha256_of_bytes(data)) != expected_sha256:
        raise StorageError(
            f"{uri}: expected the content {expected_sha256[:12]}..., got {got[:12]}... ({len(data)} bytes): the file "
            "was changed or torn after it was recorded; restore it, or repeat the work that wrote it"
        )
    table = _parquet_table(data, uri)
    if EMBEDDING not in table.column_names or not pa.types.is_fixed_size_list(table.schema.field(EMBEDDING).type):
        raise StorageError(f"{uri}: expected a table with a column {EMBEDDING!r} of fixed-size lists")
    vectors = table.column(EMBEDDING)
    size = vectors.type.list_size
    if vectors.null_count:
        raise StorageError(f"{uri}: expected a vector in every row, {vectors.null_count} are missing")
    flat = np.concatenate([chunk.flatten().to_numpy() for chunk in vectors.chunks] or [np.empty(0, np.float32)])
    keys = cast("pl.DataFrame", pl.from_arrow(table.drop_columns([EMBEDDING])))
    return keys, flat.astype(np.float32, copy=False).reshape(-1, size)


def _neutralised(frame: pl.DataFrame) -> pl.DataFrame:
    text = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    cells = frame.with_columns(_neutral(pl.col(name)) for name in text)
    return cells.rename({name: f"'{name}" for name in cells.columns if name.startswith(tuple("=+-@\t\r"))})


def _neutral(text: pl.Expr) -> pl.Expr:
    is_formula = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    return pl.when(is_formula).then(pl.concat_str(pl.lit("'"), text)).otherwise(text).name.keep()


def _with_plain_strings(frame: pl.DataFrame) -> pl.DataFrame:
    coded = [name for name, dtype in frame.schema.items() if isinstance(dtype, (pl.Enum, pl.Categorical))]
    return frame.with_columns(pl.col(coded).cast(pl.String))


def _gzipped(content: bytes) -> bytes:
    """Return gzip without the time, the name and the system that `gzip` would write into its header."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=6, mtime=0) as stream:
        stream.write(content)
    return packed.getvalue()


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _parquet_bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    strings = [field.name for field in table.schema if pa.types.is_large_string(field.type)]
    pq.write_table(
        table.combine_chunks().replace_schema_metadata(None),
        sink,
        compression="zstd",
        use_dictionary=strings,
        row_group_size=_ROWS_A_GROUP,
    )
    return sink.getvalue()


def _parquet_table(data: bytes, uri: str) -> pa.Table:
    try:
        return pq.read_table(pa.BufferReader(data), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{uri}: expected a Parquet file, it is torn or something else ({error})") from error
