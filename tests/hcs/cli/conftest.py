"""The catalogs of the catalog's own tests, for the commands that show them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_PATH = Path(__file__).parents[1] / "catalog" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("catalogs_for_commands", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
_CATALOGS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_CATALOGS)

make = _CATALOGS.make
empty_catalog = _CATALOGS.empty_catalog
sqlite_place = _CATALOGS.sqlite_place
catalog = _CATALOGS.sqlite_catalog


class Worker:
    """Works on one run of a catalog, and knows what `hcs run` is told of every unit."""

    def __init__(self, catalog, make, run_id, *, owner="somewhere else/1/2/abcd"):
        self.catalog, self.make, self.run_id, self.owner = catalog, make, run_id, owner

    def lease(self, limit=1):
        from hcs.catalog import lease

        return lease(self.catalog, self.run_id, self.owner, limit=limit, seconds=60)

    def finish(self, limit=1, **result):
        """Lease units and finish them; returns each with its outcome."""
        from hcs.catalog import complete
        from schemas.work import UnitOutcome

        done = []
        for unit in self.lease(limit):
            came = self.make.result(unit.spec, **result)
            complete(self.catalog, self.run_id, fence=unit.fence, **came)
            done.append((unit.spec, UnitOutcome(key=unit.spec.key, receipt=came["receipt"])))
        return done

    def fail(self, reason, limit=1):
        """Lease units and fail at them; returns each with its outcome."""
        from hcs.catalog import fail
        from schemas.work import UnitOutcome

        failed = []
        for unit in self.lease(limit):
            fail(self.catalog, self.run_id, unit.spec.key, fence=unit.fence, reason=reason)
            failed.append((unit.spec, UnitOutcome(key=unit.spec.key, reason=reason)))
        return failed


@pytest.fixture
def start_run(catalog, make):
    """Return a function that plans units of a new run and returns who works on it."""
    from hcs.catalog import plan

    def start(units, *, barcodes=("P1",), running=True):
        run = make.run(catalog, barcodes=barcodes, running=running)
        if running:
            plan(catalog, run.id, units)
        return Worker(catalog, make, run.id)

    return start
