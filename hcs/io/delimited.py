"""Text tables as people deliver them: comma, semicolon or tab, with or without a byte-order mark, CRLF, quotes.

Nothing is guessed that could change a value: every cell stays text, stripped, and an empty one is null.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import polars as pl

from hcs.errors import InputRejectedError

LINE = "__line__"
"""Column with the line of the file on which a row ends."""

MAX_TABLE_BYTES = 1 << 30
"""A text table larger than this, unpacked, is not one that a person delivered."""

MAX_CELL_CHARACTERS = 131_072
_SEPARATORS = (",", ";", "\t")


def read_delimited(
    data: bytes, *, source: str, keep: Callable[[str], bool] = lambda _: True, with_line: bool = False
) -> pl.DataFrame:
    """Return a text table with every column as strings.

    The separator is the one of comma, semicolon and tab that the first line has most of. Rows without any value and
    unnamed columns without any value are left out; a row may be shorter than the header.

    Args:
        data: The file; gzip is unpacked.
        source: Where it came from, for messages.
        keep: Says of a column's name whether the column is wanted.
        with_line: Whether to add `LINE`, for messages about rows.

    Raises:
        InputRejectedError: If it is not a table: no header, repeated names, rows longer than the header, broken quotes,
            control characters, an encoding that is neither UTF-8 nor UTF-16 with its mark, or a cell beyond the cap.
    """
    text = decode_text(data, source=source)
    body, separator = separator_of(text)
    rows = _rows(body, separator, source)
    header = next(([cell.strip() for cell in cells] for _, cells in rows if any(map(str.strip, cells))), [])
    if not header:
        raise InputRejectedError(f"{source}: expected a table with names in its first line, got an empty file")
    _check_header(header, source)
    wanted = [index for index, name in enumerate(header) if name and keep(name)]
    columns: list[list[str | None]] = [[] for _ in wanted]
    lines: list[int] = []
    for line, cells in _filled(rows, len(header), source):
        lines.append(line)
        for column, index in zip(columns, wanted, strict=True):
            column.append((cells[index].strip() or None) if index < len(cells) else None)
    series = [pl.Series(header[index], column, dtype=pl.String) for index, column in zip(wanted, columns, strict=True)]
    if with_line:
        series.append(pl.Series(LINE, lines, dtype=pl.Int64))
    return pl.DataFrame(series)


def _unpacked(data: bytes, source: str) -> bytes:
    too_large = f"{source}: expected a table of at most {MAX_TABLE_BYTES} bytes, got more"
    if not data.startswith(b"\x1f\x8b"):
        if len(data) > MAX_TABLE_BYTES:
            raise InputRejectedError(too_large)
        return data
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(data, MAX_TABLE_BYTES)
    except zlib.error as error:
        raise InputRejectedError(f"{source}: expected a gzip file, got a broken one ({error}); copy it anew") from error
    if unpacker.unconsumed_tail:
        raise InputRejectedError(too_large)
    if not unpacker.eof:
        raise InputRejectedError(f"{source}: the gzip file ends too early; copy it again")
    return unpacked


def decode_text(data: bytes, *, source: str) -> str:
    """Return the text of a file, unpacked where it is gzip.

    Raises:
        InputRejectedError: If it is neither UTF-8 nor UTF-16 with its mark, holds NUL, or is beyond the cap.
    """
    data = _unpacked(data, source)
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputRejectedError(
            f"{source}: expected UTF-8, got the byte 0x{data[error.start]:02x} in line {line}; "
            "save the file as 'CSV UTF-8'"
        ) from error
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise InputRejectedError(f"{source}: expected text, got a NUL character in line {line}; save the file as text")
    return text


def separator_of(text: str) -> tuple[str, str]:
    """Return the text that starts with its header, and the separator; Excel's first line `sep=;` is understood."""
    first, _, rest = text.lstrip("\r\n").partition("\n")
    declared = first.strip().casefold()
    if declared.startswith("sep=") and len(declared) == 5:
        return rest, declared[-1]
    outside_quotes = "".join(first.split('"')[::2])
    return text, max(_SEPARATORS, key=outside_quotes.count)


def _rows(text: str, separator: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells); the csv module's own cap on a field (131,072 characters) stands."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputRejectedError(
                f"{source}: line {reader.line_num} cannot be read as a row ({error}); check the quotes"
            ) from error
        if any(len(cell) > MAX_CELL_CHARACTERS for cell in cells):
            raise InputRejectedError(
                f"{source}: line {reader.line_num}: a cell has more than {MAX_CELL_CHARACTERS} characters"
            )
        yield reader.line_num, cells


def _check_header(header: Sequence[str], source: str) -> None:
    repeated = sorted(name for name, count in Counter(name for name in header if name).items() if count > 1)
    if repeated:
        raise InputRejectedError(
            f"{source}: expected every column once, got {', '.join(repeated)} more than once; rename or delete one"
        )


def _filled(rows: Iterator[tuple[int, list[str]]], width: int, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that hold anything; cells beyond the header must be empty."""
    for line, cells in rows:
        if len(cells) > width and any(map(str.strip, cells[width:])):
            raise InputRejectedError(
                f"{source}: line {line} has {len(cells)} cells, the first line {width}; check its quotes"
            )
        if any(map(str.strip, cells)):
            yield line, cells
