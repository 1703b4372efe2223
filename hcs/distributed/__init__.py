"""Runs the same plan on a Ray cluster: a pool of actors, each of which performs whole units.

Pixels never travel: an actor is given a description of a unit, reads, computes and writes its parts, and returns a
receipt. Ray repeats nothing; the ledger does.
"""

import os
import sys

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
if "ray" not in sys.modules:  # Ray reads it when it is imported
    # Ray prints what happens to its processes on our stdout, where results belong; an outcome's reason says the same.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
