"""The key of whoever works on the machine that an SQLite catalog lies on: a private file beside it."""

from __future__ import annotations

from pathlib import Path

import structlog

from hcs.catalog.engine import Catalog
from hcs.catalog.keys import find_in, insert_key, prefix_of
from hcs.errors import StorageError, UsageError
from hcs.io.private import read_private, write_private
from hcs.settings import key_file_beside
from schemas.keys import Scope

LOCAL_KEY_NAME = "this machine"
_WHAT = "the key of this machine"

log = structlog.get_logger(__name__)


def local_key_path(catalog: Catalog) -> Path:
    """Return where the key of this machine lies: `api-key` beside `catalog.sqlite`, `NAME-api-key` beside others.

    Raises:
        UsageError: If the catalog is no file.
    """
    if not catalog.is_for_one_machine:
        raise UsageError(
            f"a key of this machine lies beside an SQLite catalog, but {catalog.location} is a database that others "
            "use too. Make keys with `hcs keys create`, and pass one on with HCS_API_KEY."
        )
    return key_file_beside(Path(catalog.location))


def local_key(catalog: Catalog) -> str:
    """Return the secret in the file beside an SQLite catalog, good for everything; it is made where there is none.

    A key that was revoked, expired, or is another catalog's is replaced: to revoke it and to start again is how it is
    changed. Several processes that start at once get the same one.

    Raises:
        UsageError: If the catalog is no file.
        StorageError: If others may read the file, it holds no key, or it cannot be read or written.
    """
    path = local_key_path(catalog)
    with catalog.writing() as connection:  # one process at a time looks and writes
        secret = read_private(path, what=_WHAT)
        if secret is not None and prefix_of(secret) is None:
            raise StorageError(f"expected {_WHAT} in {path}, but it holds something else. Move the file away.")
        if secret is not None and find_in(connection, secret) is not None:
            return secret
        record, made = insert_key(connection, name=LOCAL_KEY_NAME, scopes=[Scope.ADMIN])
        write_private(path, made)
    if secret is not None:
        log.warning("the key of this machine was good for nothing any more, and is a new one", prefix=record.prefix)
    return made
