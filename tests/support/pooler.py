"""A real PgBouncer between a catalog and its server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pooler(url: str, *, size: int) -> Iterator[str]:
    """Yield the URL of the same database behind a pooler, which lends each connection for one transaction.

    Args:
        url: Of the database.
        size: Connections to the server.
    """
    if PROGRAM is None:
        pytest.skip("a pooler is looked for as pgbouncer; not there (Debian: apt-get install pgbouncer)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    database = make_url(url)
    host = str(database.query.get("host") or database.host)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)  # the pooler is another user where root starts it
        (folder / "pooler.log").touch()
        (folder / "pooler.ini").write_text(
            f"[databases]\n{database.database} = host={host} port={database.port or 5432} user={database.username}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {size}\nlogfile = {folder / 'pooler.log'}\n"
        )
        process = subprocess.Popen([PROGRAM, "--quiet", *_as_user(host, folder), str(folder / "pooler.ini")])
        try:
            _wait_for(port, process)
            yield database.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
        finally:
            process.terminate()
            process.wait(20)


def _as_user(host: str, folder: Path) -> list[str]:
    """Return the option that makes root's pooler another user, as it wants: one who may enter the server's socket."""
    if os.geteuid() != 0:
        return []
    user = Path(host).owner() if Path(host).is_absolute() else "nobody"
    shutil.chown(folder / "pooler.log", user)
    return ["--user", user]


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the pooler did not start: {process.poll()}")
