"""Keys of the API: who may ask what. The secret is told once, and only its hash is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, case, or_, select, update

from hcs.catalog.dialects import Now, insert_missing
from hcs.catalog.engine import Catalog
from hcs.catalog.models import ApiKey
from hcs.catalog.names import check_name
from hcs.catalog.patience import patient
from hcs.catalog.runs import time_of
from hcs.errors import NotFoundError, StorageError, UsageError
from schemas.keys import INCLUDED_SCOPES, KeyState, Scope

SECONDS_BETWEEN_USES_WRITTEN = 60.0
"""A key that is used all the time is written to once in this time, and not with every request."""

LONGEST_LIFE = timedelta(days=36_500)

_SECRET_BYTES = 32
_PREFIX_CHARACTERS = 8
_PREFIX_ALPHABET = string.ascii_lowercase + string.digits
_SECRET = re.compile(r"hcs_(?P<prefix>[a-z0-9]{8})_[A-Za-z0-9_-]{43}")
_NO_SHA256 = "0" * 64

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class KeyRecord:
    """One key as the catalog holds it, without its secret. `scopes` are all that it is good for, also by inclusion."""

    id: int
    prefix: str
    name: str
    scopes: frozenset[Scope]
    state: KeyState
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@patient
def create_key(
    catalog: Catalog, *, name: str, scopes: Iterable[Scope], expires_in: timedelta | None = None
) -> tuple[KeyRecord, str]:
    """Return a new key and its secret `hcs_PREFIX_...` of 256 random bits, which nobody can tell again.

    Args:
        catalog: What the key is for.
        name: Who or what uses it, for people.
        scopes: What it is good for; each includes the lesser ones.
        expires_in: After which time, by the database's clock, it is good for nothing; by default never.

    Raises:
        UsageError: If the name is blank or cannot be stored, no scope is given, or the time makes no sense.
    """
    with catalog.writing() as connection:
        return insert_key(connection, name=name, scopes=scopes, expires_in=expires_in)


@patient
def list_keys(catalog: Catalog) -> tuple[KeyRecord, ...]:
    """Return every key in the order in which they were made, also those that are good for nothing any more."""
    with catalog.reading() as connection:
        return tuple(_record(row) for row in connection.execute(_keys().order_by(ApiKey.id)))


@patient
def revoke_key(catalog: Catalog, prefix: str) -> KeyRecord:
    """Return a key that is good for nothing from now on; one that was revoked before stays as it is.

    Args:
        catalog: What the key is for.
        prefix: The eight characters that tell it from others, or more of the secret.

    Raises:
        NotFoundError: If there is no such key.
    """
    wanted = prefix.strip().removeprefix("hcs_")[:_PREFIX_CHARACTERS]
    if not re.fullmatch(f"[{_PREFIX_ALPHABET}]+", wanted):
        raise NotFoundError(_no_such_key(wanted))
    with catalog.writing() as connection:
        unrevoked = (ApiKey.prefix == wanted, ApiKey.revoked_at.is_(None))
        connection.execute(update(ApiKey).where(*unrevoked).values(revoked_at=Now()))
        row = connection.execute(_keys().where(ApiKey.prefix == wanted)).first()
        if row is None:
            raise NotFoundError(_no_such_key(wanted))
        return _record(row)


@patient
def find_key(catalog: Catalog, secret: str) -> KeyRecord | None:
    """Return the key of a secret; None if there is none, it expired or it was revoked.

    That a key was used is written at most once a minute, and a catalog that takes no changes answers all the same.
    """
    with catalog.reading() as connection:
        found = find_in(connection, secret)
        is_to_be_noted = found is not None and connection.scalar(select(_was_used_long_ago()).where(_is(found)))
    if found is not None and is_to_be_noted:
        _note_use(catalog, found)
    return found


def insert_key(
    connection: Connection, *, name: str, scopes: Iterable[Scope], expires_in: timedelta | None = None
) -> tuple[KeyRecord, str]:
    """Return a new key and its secret, inserted in a writing transaction; as `create_key`."""
    values = {
        "name": _checked_name(name),
        "scopes": " ".join(_checked_scopes(scopes)),
        "created_at": (now := float(connection.scalar(select(Now())) or 0.0)),
        "expires_at": None if expires_in is None else now + _checked_life(expires_in),
    }
    while True:
        prefix = "".join(secrets.choice(_PREFIX_ALPHABET) for _ in range(_PREFIX_CHARACTERS))
        secret = f"hcs_{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        digest = _sha256(secret)
        insert_missing(connection, ApiKey, [{"prefix": prefix, "secret_sha256": digest, **values}], key=["prefix"])
        row = connection.execute(_keys().where(ApiKey.prefix == prefix, ApiKey.secret_sha256 == digest)).first()
        if row is not None:  # else the prefix is another key's
            return _record(row), secret


def find_in(connection: Connection, secret: str) -> KeyRecord | None:
    """Return the valid key of a secret, as a transaction sees it."""
    parts = _SECRET.fullmatch(secret)
    row = connection.execute(_keys().where(ApiKey.prefix == parts["prefix"])).first() if parts else None
    is_same = hmac.compare_digest(_sha256(secret), _NO_SHA256 if row is None else row.secret_sha256)
    return _record(row) if row is not None and is_same and row.state == KeyState.VALID else None


def prefix_of(secret: str) -> str | None:
    """Return the prefix of what has the form of a secret."""
    parts = _SECRET.fullmatch(secret)
    return parts["prefix"] if parts else None


@patient
def _touch(catalog: Catalog, key: KeyRecord) -> None:
    with catalog.writing() as connection:
        connection.execute(update(ApiKey).where(_is(key), _was_used_long_ago()).values(last_used_at=Now()))


def _note_use(catalog: Catalog, key: KeyRecord) -> None:
    """Write that a key was used now; where that is impossible, who asks gets the answer nevertheless."""
    try:
        _touch(catalog, key)
    except StorageError as error:
        log.warning("the use of a key could not be noted", prefix=key.prefix, reason=str(error))


def _is(key: KeyRecord) -> ColumnElement[bool]:
    return ApiKey.id == key.id


def _was_used_long_ago() -> ColumnElement[bool]:
    return or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < Now() - SECONDS_BETWEEN_USES_WRITTEN)


def _keys() -> Any:
    """Return the query for keys, with their state by the database's clock."""
    state = case(
        (ApiKey.revoked_at.is_not(None), KeyState.REVOKED.value),
        (ApiKey.expires_at <= Now(), KeyState.EXPIRED.value),
        else_=KeyState.VALID.value,
    )
    return select(*ApiKey.__table__.columns, state.label("state"))


def _record(row: Any) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        prefix=row.prefix,
        name=row.name,
        scopes=frozenset(scope for word in row.scopes.split() for scope in INCLUDED_SCOPES[Scope(word)]),
        state=KeyState(row.state),
        created_at=time_of(row.created_at),
        expires_at=_time(row.expires_at),
        last_used_at=_time(row.last_used_at),
        revoked_at=_time(row.revoked_at),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else time_of(seconds)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _checked_name(name: str) -> str:
    if not name.strip():
        raise UsageError(
            "a key is named after who or what uses it, but a blank name came. Give it one, such as `lims`."
        )
    return check_name(name.strip(), what="key's name")


def _checked_scopes(scopes: Iterable[Scope]) -> list[Scope]:
    given = set(scopes)
    if not given:
        raise UsageError(f"a key is good for {', '.join(Scope)}, but no scope came with it. Give one of them.")
    return [scope for scope in Scope if scope in given]


def _checked_life(life: timedelta) -> float:
    if not timedelta() < life <= LONGEST_LIFE:
        raise UsageError(
            f"a key expires within {LONGEST_LIFE.days:,} days from now or never, but {life} came. Give another time."
        )
    return life.total_seconds()


def _no_such_key(wanted: str) -> str:
    return f"there is no key with the prefix {wanted!r}; `hcs keys list` lists all, and the prefix of each."
