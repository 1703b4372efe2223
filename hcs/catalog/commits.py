"""Leaves a mark in every transaction on a server, by which it can be told later whether the transaction was kept.

The number of a transaction is not enough: one that a crash has undone before anything of it was on the disk leaves its
number to another, and the server then says of the number that it was committed.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from hcs.catalog.dialects import Now
from hcs.catalog.models import Writer

KEPT_SECONDS = 86_400.0
"""Marks are asked for within seconds; those of connections that were closed long ago are removed."""

_GOES_ON = text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' "
    "AND transactionid = xid(CAST(CAST(:number AS text) AS xid8)))"
)
"""A transaction holds a lock on its own number to its end, after which all others see what it has done."""


@dataclass(frozen=True)
class Mark:
    """Who wrote, what it wrote down of itself, and the number of its transaction."""

    writer: str
    token: str
    number: str


def leave_mark(connection: Connection) -> Mark | None:
    """Return the mark of a transaction that has just begun.

    None where a commit cannot be cut off from its answer: SQLite's is a call in this process. Each connection has one
    row and writes no other's, so that nobody waits for anybody.
    """
    if connection.dialect.name != "postgresql":
        return None
    if "writer" not in connection.info:
        connection.execute(delete(Writer).where(Writer.written_at < Now() - KEPT_SECONDS))
        connection.info["writer"] = uuid.uuid4().hex
    writer, token = connection.info["writer"], uuid.uuid4().hex
    row = insert(Writer).values(writer=writer, token=token, written_at=Now())
    fresh = {"token": row.excluded.token, "written_at": row.excluded.written_at}
    number = text("CAST(pg_current_xact_id() AS text)")
    query = row.on_conflict_do_update(index_elements=["writer"], set_=fresh).returning(number)
    return Mark(writer, token, str(connection.scalar(query)))


def was_kept(connection: Connection, mark: Mark) -> bool | None:
    """Return whether the transaction that left a mark was committed; None while it still goes on."""
    if connection.scalar(_GOES_ON, {"number": mark.number}):
        return None
    return connection.scalar(select(Writer.token).where(Writer.writer == mark.writer)) == mark.token
