"""`python -m services.api`: what `hcs serve` becomes."""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # read when it is imported: tables of an answer are small

from hcs.errors import HcsError, UsageError
from hcs.settings import read_settings
from services.api.serving import Serving, serve

LOCAL = "127.0.0.1"
PORT = 8000
LARGEST_PORT = 65_535


def main() -> int:
    """Serve until a signal comes; return the exit code."""
    try:
        return serve(read_options(sys.argv[1:]))
    except HcsError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code


def read_options(arguments: list[str]) -> Serving:
    """Return what is to be served, from options and from the environment where they say nothing."""
    parser = argparse.ArgumentParser(prog="hcs serve", description="Serve the API.")
    parser.add_argument("--host", default=LOCAL)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--root", action="append", metavar="URI")
    parser.add_argument("--catalog", metavar="URL")
    parser.add_argument("--parts", metavar="URI")
    given = parser.parse_args(arguments)
    if not 0 <= given.port <= LARGEST_PORT:
        raise UsageError(f"a port is a number from 0 (any free one) to {LARGEST_PORT}, but {given.port} came")
    settings = read_settings()
    named = [root.strip() for root in (settings.roots or "").split(",") if root.strip()]
    return Serving(
        host=given.host,
        port=given.port,
        roots=tuple(given.root or named or ["."]),
        catalog=given.catalog or settings.catalog,
        parts=given.parts or settings.parts,
        may_upgrade=settings.upgrade,
    )


if __name__ == "__main__":
    sys.exit(main())
