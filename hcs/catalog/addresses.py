"""Reads where a catalog is from what people type: a path, or a URL that may hold a password."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hcs.errors import UsageError

_DRIVERS = {"postgresql": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg"}
_SECRETS = ("password", "sslpassword")
_HIDDEN = "hidden"


@dataclass(frozen=True)
class PostgresAddress:
    """A database of a PostgreSQL server; `location` names it without its password."""

    location: str
    url: URL = field(repr=False)


def catalog_address(url: str) -> Path | PostgresAddress:
    """Return the file or the database that a path or URL names.

    Raises:
        UsageError: If it names neither; no password is in the message.
    """
    if "://" not in url:
        return _path(url, named=url)
    scheme = url.partition("://")[0]
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UsageError(
            "a catalog is named by a path, by sqlite:///PATH or by postgresql://USER@HOST:PORT/DATABASE, but a URL "
            f"{scheme[:20]!r}://... came that cannot be read. Characters such as @ and / of a password are written "
            "%40 and %2F."
        ) from None
    if parsed.drivername in _DRIVERS:
        return _postgres(parsed)
    if parsed.get_backend_name() != "sqlite" or parsed.query:
        raise UsageError(
            "a catalog is an SQLite file, named by a path or by sqlite:///PATH without options, or a database named by "
            f"postgresql://USER@HOST:PORT/DATABASE, but {_shown(parsed)} came."
        )
    return _path(parsed.database, named=url)


def _postgres(parsed: URL) -> PostgresAddress:
    shown = _shown(parsed)
    if not parsed.database:
        raise UsageError(
            f"a catalog on PostgreSQL is a database of its own, but {shown} names none. Write its name at the end: "
            "postgresql://USER@HOST:PORT/DATABASE."
        )
    return PostgresAddress(location=shown, url=parsed.set(drivername=_DRIVERS[parsed.drivername]))


def _shown(parsed: URL) -> str:
    """Return a URL as people may see it."""
    hidden = {name: _HIDDEN for name in _SECRETS if name in parsed.query}
    return parsed.update_query_dict(hidden).render_as_string(hide_password=True)


def _path(name: str | None, *, named: str) -> Path:
    """Return the absolute path of the file that a name means."""
    if not name or name == ":memory:" or "\0" in name:
        raise UsageError(f"a catalog is a file that several processes share, but {named!r} names none.")
    return Path(os.path.abspath(Path(name).expanduser()))
