"""Remembers screens, plates, runs, the ledger of work units and the results.

`open_catalog` returns a `Catalog`; every other function takes it first:

- `submit_run`, `ask_again`, `claim_run`, `keep_claim`, `release_claim`: runs that wait for a dispatcher;
- `register_run`, `get_run`, `list_runs`, `run_status`, `set_run_state`: runs and how far they are;
- `plan`, `lease`, `keep_leases`, `hand_back`, `fail`, `complete`, `adopt_finished`, `retry`: the ledger;
- `site_rows`, `channel_rows`, `visible_parts`, `failures_of`: what units measured, and their files;
- `publish`: the results of a run, once;
- `find_hits`, `show_perturbation`, `neighbours_of`, `wells_of`: what people ask.
"""

from hcs.catalog.claims import Claim, claim_run, fail_claimed, is_run_waiting, keep_claim, release_claim
from hcs.catalog.completion import Adoptable, adopt_finished, adoptable, complete
from hcs.catalog.engine import Catalog, open_catalog
from hcs.catalog.finishing import interrupt
from hcs.catalog.ledger import (
    MAX_ATTEMPTS,
    HeldLease,
    LeasedUnit,
    count_units,
    fail,
    hand_back,
    hand_back_all,
    keep_leases,
    lease,
    plan,
    release_dead_owners,
    retry,
    units_of,
)
from hcs.catalog.measurements import channel_rows, failures_of, site_rows, visible_parts
from hcs.catalog.owners import is_alive_here, is_dead_here, owner_of_this_process
from hcs.catalog.progress import PlateProgress, RunStatus, acceptance_reports, list_runs, plates_of, run_status
from hcs.catalog.publishing import publish
from hcs.catalog.registration import PlateOfRun, Registration, configuration_sha256, register_run
from hcs.catalog.results import (
    PerturbationView,
    find_hits,
    known_mechanisms,
    neighbour_rows,
    neighbours_of,
    profiles_of,
    show_perturbation,
    wells_of,
)
from hcs.catalog.runs import RunRecord, add_notes, cancel_run, get_run, run_state, set_run_state
from hcs.catalog.submissions import Once, Submission, SubmissionRecord, ask_again, submission_of, submit_run

__all__ = [
    "MAX_ATTEMPTS",
    "Adoptable",
    "Catalog",
    "Claim",
    "HeldLease",
    "LeasedUnit",
    "Once",
    "PerturbationView",
    "PlateOfRun",
    "PlateProgress",
    "Registration",
    "RunRecord",
    "RunStatus",
    "Submission",
    "SubmissionRecord",
    "acceptance_reports",
    "add_notes",
    "adopt_finished",
    "adoptable",
    "ask_again",
    "cancel_run",
    "channel_rows",
    "claim_run",
    "complete",
    "configuration_sha256",
    "count_units",
    "fail",
    "fail_claimed",
    "failures_of",
    "find_hits",
    "get_run",
    "hand_back",
    "hand_back_all",
    "interrupt",
    "is_alive_here",
    "is_dead_here",
    "is_run_waiting",
    "keep_claim",
    "keep_leases",
    "known_mechanisms",
    "lease",
    "list_runs",
    "neighbour_rows",
    "neighbours_of",
    "open_catalog",
    "owner_of_this_process",
    "plan",
    "plates_of",
    "profiles_of",
    "publish",
    "register_run",
    "release_claim",
    "release_dead_owners",
    "retry",
    "run_state",
    "run_status",
    "set_run_state",
    "show_perturbation",
    "site_rows",
    "submission_of",
    "submit_run",
    "units_of",
    "visible_parts",
    "wells_of",
]
