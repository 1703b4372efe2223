"""Opens the catalog, takes a port and serves, until somebody ends it."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import sys
from dataclasses import dataclass, field

import structlog
import uvicorn

from hcs.catalog import Catalog, cursor_secret, list_keys, local_key, local_key_path, open_catalog
from hcs.catalog.laptop import LOCAL_KEY_NAME
from hcs.cli.services import environment_of
from hcs.errors import StorageError, UsageError
from hcs.io.roots import Roots
from schemas.keys import KeyState
from services.api.app import make_app
from services.api.connections import Attentive
from services.api.context import Context
from services.api.cursors import Cursors
from services.api.maps import MapRoom
from services.api.memory import return_large_blocks
from services.api.pictures import PictureRoom

SECONDS_TO_END = 5
"""How long answers that are under way have when the end is asked for."""

INTERRUPTED = 130
BACKLOG = 512


@dataclass(frozen=True)
class Serving:
    """What is served, where, and from which roots deliveries may be read."""

    host: str
    port: int
    roots: tuple[str, ...]
    catalog: str = field(repr=False)
    parts: str | None = None
    may_upgrade: bool = True


def serve(options: Serving) -> int:
    """Serve until a signal comes; return the exit code.

    Raises:
        UsageError: If the host is open to others and no key was made, or a root is none.
        StorageError: If the catalog cannot be opened, or the port is taken.
    """
    log_as_json()
    return_large_blocks()
    roots = Roots(options.roots)
    is_local = is_loopback(options.host)
    catalog = open_catalog(options.catalog, parts_uri=options.parts, create=is_local, may_upgrade=options.may_upgrade)
    where_the_key_is = open_door(catalog, is_local=is_local, host=options.host)
    maps = MapRoom(catalog, environment=environment_of(catalog=options.catalog, parts=options.parts))
    context = Context(catalog, roots, Cursors(cursor_secret(catalog)), PictureRoom(catalog), maps)
    taken = take_port(options.host, options.port)
    _announce(taken, options.host, catalog, roots, where_the_key_is)
    config = uvicorn.Config(
        make_app(context),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=Attentive,
        ws="none",
        timeout_graceful_shutdown=SECONDS_TO_END,
    )
    try:
        uvicorn.Server(config).run(sockets=[taken])
    except KeyboardInterrupt:
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # a thread may still wait for a database or compose a sheet: nobody hears of it any more
    return 0


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host; a name is taken for one that others reach."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def open_door(catalog: Catalog, *, is_local: bool, host: str) -> str:
    """Return where keys are; the key of this machine is made where only this machine is served.

    Raises:
        UsageError: If nobody could come in, or others reach the host and no key was made for them.
    """
    if is_local and catalog.is_for_one_machine:
        local_key(catalog)
        return f"the key of this machine lies in {local_key_path(catalog)}"
    valid = [key for key in list_keys(catalog) if key.state is KeyState.VALID]
    made = [key for key in valid if key.name != LOCAL_KEY_NAME]  # that one is for whoever works on this machine
    if not made:
        why = f"others share {catalog.location}" if is_local else f"others can reach {host}"
        raise UsageError(
            f"{why}, and whoever asks needs a key, but the catalog holds none that is valid; make one with `hcs keys "
            "create --name NAME --scope submit`, then start again"
        )
    return f"{len(made)} valid keys; `hcs keys list` lists them"


def take_port(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, so that whoever is told the address can connect.

    Raises:
        StorageError: If the port is taken or not allowed, or the host is not this machine's.
    """
    plain = host.strip("[]")
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(plain, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise StorageError(
            f"an address of this machine is expected as --host, but {host!a} is none: {error.strerror}. 127.0.0.1 "
            "serves this machine alone, and 0.0.0.0 whoever reaches it."
        ) from error
    try:
        taken = socket.socket(family, kind, protocol)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen(BACKLOG)
    except OSError as error:
        raise StorageError(
            f"port {port} of {host} cannot be served: {error.strerror}. Name another with --port, or end who has it."
        ) from error
    return taken


def log_as_json() -> None:
    """Write logs to stderr, one JSON object a line: nothing that a client sends can look like another line."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    as_json = structlog.processors.JSONRenderer()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[*shared, as_json],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    foreign = logging.StreamHandler(sys.stderr)  # what libraries say
    foreign.setFormatter(structlog.stdlib.ProcessorFormatter(as_json, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[foreign], level=logging.WARNING)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # our own reasons say more


def _announce(taken: socket.socket, host: str, catalog: Catalog, roots: Roots, where_the_key_is: str) -> None:
    shown = f"[{host.strip('[]')}]" if ":" in host else host
    for root in roots.missing():
        sys.stderr.write(f"note: the root {root} is no folder now: what is submitted there cannot be performed\n")
    sys.stderr.write(
        f"serving http://{shown}:{taken.getsockname()[1]}/v1 of the catalog {catalog.location}; deliveries lie under "
        f"{', '.join(roots.uris)}; {where_the_key_is}\n"
    )
    sys.stderr.flush()
