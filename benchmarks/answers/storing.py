"""How long the results of one plate take to be stored, as a run stores them: unit by unit, each in its transaction."""

from __future__ import annotations

import statistics
import time

from answers.figures import QUIET_SECONDS, calibration_seconds
from answers.filling import Size, layout, register, result_of, unit_of
from hcs.catalog import complete, lease, open_catalog, owner_of_this_process, plan
from hcs.pipeline.plan import wells_a_unit

BAR_SECONDS = 1.0
TIMES = 5


def seconds_to_store(name: str, url: str, size: Size, *, parts_uri: str) -> str:
    """Return the line of the table for one database: an empty one, in which nothing is kept for others.

    What is timed are the transactions that make the rows of all units of a plate visible: 384 wells, two encoders, and
    the quality of every site and channel.
    """
    one = Size(plates=1, wells=size.wells, runs=1, sites=size.sites)
    n = wells_a_unit(one.wells, n_sites=one.wells * one.sites)
    groups = [one.names[start : start + n] for start in range(0, one.wells, n)]
    took, used, speeds = [], [], []
    with open_catalog(url, parts_uri=parts_uri) as catalog:
        for turn in range(TIMES):
            run = register(catalog, one, layout(one), roots={})
            units = [unit_of(one, one.barcodes[0], wells, number=100 * turn + i) for i, wells in enumerate(groups)]
            plan(catalog, run.id, units)
            leased = lease(catalog, run.id, owner_of_this_process(), limit=len(units), seconds=600)
            results = [(unit.fence, result_of(unit.spec, seed=seed)) for seed, unit in enumerate(leased)]
            speeds.append(calibration_seconds() / QUIET_SECONDS)
            begin, cpu = time.perf_counter(), time.process_time()
            for fence, result in results:
                complete(catalog, run.id, fence=fence, **result)
            took.append(time.perf_counter() - begin)
            used.append(time.process_time() - cpu)
    median = statistics.median(took)
    return (
        f"{name}: a plate's results are stored in {median:.2f} s (median of {TIMES}, {min(took):.2f} to "
        f"{max(took):.2f}; bar {BAR_SECONDS:.0f}, {'met' if median <= BAR_SECONDS else 'NOT met'}), of which "
        f"{statistics.median(used):.2f} s of CPU here, in {len(groups)} units; speed {statistics.median(speeds):.2f}"
    )
