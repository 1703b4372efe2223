"""What may be stored as a name or a text: everything that can be told apart and read back, verbatim."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from hcs.errors import UsageError

NAME_LIMIT = 500
"""Characters of a name: what is searched, joined and indexed."""

NAME_BYTES = 800
"""Bytes of a name in UTF-8: PostgreSQL's indexes hold 2,700, and some hold three names."""

TEXT_LIMIT = 100_000
"""Characters of other text, such as a SMILES or the remaining columns of a platemap."""

REASON_LIMIT = 4_000
"""Characters that are kept of the reason why work failed."""


def check_name(value: str, *, what: str, limit: int = NAME_LIMIT) -> str:
    """Return the name itself: quotes, brackets and any script are stored as they came.

    Raises:
        UsageError: If it is longer than `limit`, holds a NUL character, or is no valid Unicode; a name also if it has
            more than 800 bytes.
    """
    if len(value) > limit:
        raise UsageError(
            f"a {what} has at most {limit:,} characters, but {value[:40]!r}... has {len(value):,}. Shorten it."
        )
    if "\0" in value:
        raise UsageError(f"a {what} is text, but {value[:80]!r} holds a NUL character. Remove it.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise UsageError(f"a {what} is Unicode text, but {value[:80]!a} holds bytes that are none. Rename it.")
    if limit == NAME_LIMIT and len(value.encode()) > NAME_BYTES:
        raise UsageError(
            f"a {what} has at most {NAME_BYTES} bytes in UTF-8, but {value[:40]!r}... has {len(value.encode()):,}. "
            "Shorten it."
        )
    return value


def is_text(value: str) -> bool:
    """Return whether a database can hold a text: not if it has a NUL character, or bytes that are no Unicode."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def check_texts(frame: pl.DataFrame, *, what: str, names: Iterable[str]) -> pl.DataFrame:
    """Return the table itself when every text in it can be stored.

    Args:
        frame: Any table; its text columns are looked at.
        what: The table, for the message.
        names: The columns that hold names; the others hold text.

    Raises:
        UsageError: As `check_name`, naming the column.
    """
    short = set(names)
    for column in frame.select(pl.col(pl.String)).iter_columns():
        limit = NAME_LIMIT if column.name in short else TEXT_LIMIT
        most = NAME_BYTES if limit == NAME_LIMIT else 4 * limit
        is_long = (column.str.len_chars() > limit) | (column.str.len_bytes() > most)
        unfit = column.filter(is_long | column.str.contains("\0", literal=True))
        for value in unfit.head(1):
            check_name(value, what=f"{column.name} in {what}", limit=limit)
    return frame


def storable_reason(reason: str) -> str:
    """Return a reason that any database takes: escaped where it is no text, and cut at 4,000 characters."""
    readable = reason.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
    return readable if len(readable) <= REASON_LIMIT else readable[: REASON_LIMIT - 1] + "…"
