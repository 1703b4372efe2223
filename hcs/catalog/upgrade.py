"""Brings a catalog to the newest schema, and refuses what is not a catalog or is newer than this version."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NoReturn

from sqlalchemy import Connection, Engine, inspect, text

from hcs import __version__
from hcs.catalog.dialects import hold_schema, transaction_options, violated_references
from hcs.catalog.migrations import HEAD
from hcs.errors import CatalogError, NotFoundError

if TYPE_CHECKING:
    from alembic.config import Config

_ALEMBIC = Lock()
"""Held while alembic runs: its context is one for the whole process."""


def revision_of(connection: Connection, *, location: str) -> str | None:
    """Return the schema of a catalog, or None of an empty database.

    Raises:
        CatalogError: If the database holds tables of something else.
    """
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if tables:
        raise CatalogError(
            f"{location} is a database, but no catalog of this project: it holds {', '.join(sorted(tables)[:5])}. "
            "Name another with --catalog: a new file, or an empty database."
        )
    return None


def upgrade(engine: Engine, *, location: str) -> None:
    """Bring the catalog to the newest schema in one transaction; a second process waits, and finds it done.

    Raises:
        CatalogError: If the catalog was written by a newer version, or is no catalog.
    """
    from alembic import command  # noqa: PLC0415 - a fifth of a second that a catalog at the newest schema does not take

    options = transaction_options(engine.dialect.name, writes=True)
    with _ALEMBIC, engine.connect().execution_options(**options) as connection, connection.begin():
        hold_schema(connection)
        check_is_known(revision_of(connection, location=location), location=location)
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if violations := violated_references(connection):
            raise CatalogError(
                f"the catalog {location} holds {violations} rows that refer to nothing, so its schema was left as it "
                "was. Restore it from a copy, or name a new catalog with --catalog."
            )


def check_is_known(revision: str | None, *, location: str) -> None:
    """Refuse a schema that this version does not know.

    Raises:
        CatalogError: If a newer version wrote it.
    """
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    known = {script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()}
    if revision is not None and revision not in known:
        raise CatalogError(
            f"the catalog {location} has schema {revision}, but hcs {__version__} knows schemas up to {HEAD}: a newer "
            "version wrote it. Install that version, or name another catalog with --catalog."
        )


def refuse_other_schema(revision: str | None, *, location: str) -> NoReturn:
    """Say who brings a catalog to the newest schema, where opening it does not.

    Raises:
        NotFoundError: If there is none yet.
        CatalogError: If it has an older schema, or one of a newer version.
    """
    check_is_known(revision, location=location)
    if revision is None:
        raise NotFoundError(not_made(location))
    raise CatalogError(
        f"this version works with schema {HEAD}, but the catalog {location} has schema {revision}, and HCS_UPGRADE "
        "says that opening it does not upgrade it. Give `hcs catalog upgrade` once, then the same command again."
    )


def not_made(location: str) -> str:
    """Return the paragraph on a catalog that there is not, and that opening it does not make."""
    return (
        f"there is no catalog at {location}, and HCS_UPGRADE says that opening it does not make one. Give `hcs catalog "
        "upgrade` once, then the same command again."
    )


def _alembic() -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "hcs.catalog:migrations")
    return config
