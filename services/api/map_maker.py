"""`python -m services.api.map_maker`: makes one map of a run and keeps it in the catalog, for the API that started it.

It loads what the API must not. What went wrong, and can be explained, is one JSON object on stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading

from hcs.errors import HcsError
from hcs.settings import read_settings

NICENESS = 5
"""Whoever is answered meanwhile comes first."""


def main() -> int:
    """Make the map that the arguments name, of the catalog that the environment names; return the exit code."""
    parser = argparse.ArgumentParser(prog="map_maker", description="Make the map of a run.")
    parser.add_argument("--run", type=int, required=True)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--everything", action="store_true")
    given = parser.parse_args()
    threading.Thread(target=_end_with_the_api, daemon=True).start()
    os.nice(NICENESS)
    try:
        _make(given.run, profile=given.profile, everything=given.everything)
    except HcsError as error:
        sys.stdout.write(json.dumps({"error": type(error).__name__, "detail": str(error)}))
        return error.exit_code
    return 0


def _make(run_id: int, *, profile: str, everything: bool) -> None:
    from hcs.catalog import open_catalog  # noqa: PLC0415 - loading takes seconds, in which the API may end already
    from hcs.pipeline.treatment_maps import keep_map  # noqa: PLC0415

    settings = read_settings()
    opened = open_catalog(settings.catalog, parts_uri=settings.parts, create=False, may_upgrade=settings.upgrade)
    with opened as catalog:
        keep_map(catalog, run_id, profile=profile, everything=everything)


def _end_with_the_api() -> None:
    """End this process when the API has: however it ended, its end of the line is closed then."""
    while os.read(0, 4096):  # not through sys.stdin: its lock, held here, is wanted where the process ends by itself
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
