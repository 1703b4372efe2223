"""Brings the schema of a catalog up to date for everybody, and waits until somebody has: what a cluster starts with."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hcs import __version__
from hcs.catalog.addresses import PostgresAddress, catalog_address
from hcs.catalog.dialects import check_encoding, explaining, postgres_engine, sqlite_engine
from hcs.catalog.engine import exists, open_engine
from hcs.catalog.migrations import HEAD
from hcs.catalog.upgrade import check_is_known, revision_of
from hcs.errors import CatalogError, NotFoundError, StorageError

PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Schema:
    """The schema that a catalog has; `revision` is None where there is none yet."""

    location: str
    revision: str | None

    @property
    def is_newest(self) -> bool:
        """Whether it is the one that this version works with."""
        return self.revision == HEAD


def schema_of(url: str) -> Schema:
    """Return the schema of the catalog at a path or URL, and change nothing.

    Raises:
        UsageError: If the URL names no catalog.
        StorageError: If it cannot be read, or its server does not answer.
        CatalogError: If the file or database is no catalog.
    """
    address = catalog_address(url)
    if isinstance(address, PostgresAddress):
        location, engine = address.location, postgres_engine(address.url)
    elif exists(address):
        location, engine = str(address), sqlite_engine(str(address), pooled=False)
    else:
        return Schema(str(address), None)
    try:
        with explaining(location), engine.connect() as connection:
            if isinstance(address, PostgresAddress):
                check_encoding(connection, location=location)
            return Schema(location, revision_of(connection, location=location))
    finally:
        engine.dispose()


def upgrade_schema(url: str) -> Schema:
    """Bring the catalog at a path or URL to the newest schema, or make it, and return what schema it had.

    Several may do so at once: one does it, and the others find it done.

    Raises:
        UsageError: If the URL names no catalog.
        StorageError: If it cannot be made, read or written, or its server does not answer.
        CatalogError: If the file or database is no catalog, or one of a newer version.
    """
    before = schema_of(url)
    open_engine(catalog_address(url)).dispose()
    return before


def wait_for_schema(url: str, *, seconds: float) -> Schema:
    """Return the schema of a catalog when it is the newest, which somebody else brings it to.

    Until then the catalog may be missing, its server may not answer, and its name may be unknown.

    Raises:
        UsageError: If the URL names no catalog.
        CatalogError: If it is not the newest in time, or can never be: no catalog, or one of a newer version.
    """
    give_up = time.monotonic() + seconds
    while True:
        try:
            schema = schema_of(url)
            if schema.is_newest:
                return schema
            check_is_known(schema.revision, location=schema.location)
            why = f"the catalog {schema.location} {_has(schema)}. Is `hcs catalog upgrade` at work?"
        except (StorageError, NotFoundError) as error:
            why = str(error)
        left = give_up - time.monotonic()
        if left <= 0:
            raise CatalogError(
                f"hcs {__version__} waited {seconds:g} s for a catalog with schema {HEAD}, and it did not come: {why}"
            )
        time.sleep(min(PAUSE_SECONDS, left))


def _has(schema: Schema) -> str:
    return "is not there yet" if schema.revision is None else f"has schema {schema.revision}"
