"""Remembers screens, plates, runs, the ledger of work units and the results.

`open_catalog` returns a `Catalog`; every other function takes it first:

- `submit_run`, `ask_again`, `claim_run`, `keep_claim`, `release_claim(s)`: runs that wait for a dispatcher;
- `open_runs`, `begin_dispatch`, `note_dispatch`, `end_dispatch`, `dispatches`: who starts them elsewhere, and follows;
- `register_run`, `get_run`, `list_runs`, `run_status`, `set_run_state`, `delete_run`: runs and how far they are;
- `plan`, `lease`, `keep_leases`, `hand_back`, `fail`, `complete`, `adopt_finished`, `retry`: the ledger;
- `site_rows`, `channel_rows`, `channels_of`, `focus_rows`: what units measured;
- `visible_parts`, `failures_of`: their files, and what went wrong;
- `count_sites`, `channel_means`, `parts_of_well`, `plate_standing`: the wells of one plate, added up;
- `publish`: the results of a run, once;
- `HitLimits`, `find_hits`, `hits_page`, `show_perturbation`, `neighbours_of`, `wells_of`: what people ask;
- `compare_hits`: which hits one run or profile has and another has not;
- `find_grouping`, `keep_grouping`, `results_digest`: maps of treatments, made once;
- `list_screens`, `find_plates`, `plate_runs`: what there is to ask of;
- `create_key`, `find_key`, `list_keys`, `revoke_key`, `local_key`: who may ask;
- `catalog_id`, `cursor_secret`, `check_answers`: which catalog this is, and whether it answers;
- `calls_on_plate`, `count_mechanisms`: what pages show beside results;
- `upgrade_schema`, `wait_for_schema`, `schema_of`: what a cluster does before anybody opens it.
"""

from hcs.catalog.claims import (
    OPEN,
    Claim,
    claim_run,
    fail_claimed,
    is_run_waiting,
    keep_claim,
    release_claim,
    release_claims,
)
from hcs.catalog.comparing import HitComparison, compare_hits
from hcs.catalog.completion import Adoptable, adopt_finished, adoptable, complete
from hcs.catalog.deletion import DeletedRun, delete_run
from hcs.catalog.dispatches import (
    Dispatch,
    OpenRun,
    begin_dispatch,
    cluster_time,
    dispatches,
    end_dispatch,
    fail_undispatched,
    last_dispatch,
    note_dispatch,
    open_runs,
)
from hcs.catalog.engine import Catalog, open_catalog
from hcs.catalog.finishing import interrupt
from hcs.catalog.groupings import find_grouping, keep_grouping, results_digest
from hcs.catalog.hit_limits import EVERY_CALL, HitLimits
from hcs.catalog.hits import HitsPage, find_hits, hits_page, known_mechanisms
from hcs.catalog.identity import catalog_id, cursor_secret
from hcs.catalog.keys import KeyRecord, create_key, find_key, list_keys, revoke_key
from hcs.catalog.laptop import local_key, local_key_path
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
from hcs.catalog.measurements import (
    channel_means,
    channel_rows,
    channels_of,
    count_sites,
    failures_of,
    focus_rows,
    parts_of_well,
    site_rows,
    stored_flags,
    visible_parts,
)
from hcs.catalog.overview import calls_on_plate, check_answers, count_mechanisms
from hcs.catalog.owners import is_alive_here, is_dead_here, owner_of_this_process
from hcs.catalog.plate_progress import PlateStanding, WellStanding, plate_standing
from hcs.catalog.progress import PlateProgress, RunStatus, acceptance_reports, list_runs, plates_of, run_status
from hcs.catalog.publishing import publish
from hcs.catalog.registration import PlateOfRun, Registration, configuration_sha256, register_run
from hcs.catalog.results import (
    PerturbationView,
    neighbour_rows,
    neighbours_of,
    profiles_of,
    show_perturbation,
    wells_of,
)
from hcs.catalog.runs import RunRecord, add_notes, cancel_run, get_run, run_state, set_run_state
from hcs.catalog.schema import Schema, schema_of, upgrade_schema, wait_for_schema
from hcs.catalog.screens import PlateRun, find_plates, list_screens, plate_runs
from hcs.catalog.submissions import Once, Submission, SubmissionRecord, ask_again, submission_of, submit_run

__all__ = [
    "EVERY_CALL",
    "MAX_ATTEMPTS",
    "OPEN",
    "Adoptable",
    "Catalog",
    "Claim",
    "DeletedRun",
    "Dispatch",
    "HeldLease",
    "HitComparison",
    "HitLimits",
    "HitsPage",
    "KeyRecord",
    "LeasedUnit",
    "Once",
    "OpenRun",
    "PerturbationView",
    "PlateOfRun",
    "PlateProgress",
    "PlateRun",
    "PlateStanding",
    "Registration",
    "RunRecord",
    "RunStatus",
    "Schema",
    "Submission",
    "SubmissionRecord",
    "WellStanding",
    "acceptance_reports",
    "add_notes",
    "adopt_finished",
    "adoptable",
    "ask_again",
    "begin_dispatch",
    "calls_on_plate",
    "cancel_run",
    "catalog_id",
    "channel_means",
    "channel_rows",
    "channels_of",
    "check_answers",
    "claim_run",
    "cluster_time",
    "compare_hits",
    "complete",
    "configuration_sha256",
    "count_mechanisms",
    "count_sites",
    "count_units",
    "create_key",
    "cursor_secret",
    "delete_run",
    "dispatches",
    "end_dispatch",
    "fail",
    "fail_claimed",
    "fail_undispatched",
    "failures_of",
    "find_grouping",
    "find_hits",
    "find_key",
    "find_plates",
    "focus_rows",
    "get_run",
    "hand_back",
    "hand_back_all",
    "hits_page",
    "interrupt",
    "is_alive_here",
    "is_dead_here",
    "is_run_waiting",
    "keep_claim",
    "keep_grouping",
    "keep_leases",
    "known_mechanisms",
    "last_dispatch",
    "lease",
    "list_keys",
    "list_runs",
    "list_screens",
    "local_key",
    "local_key_path",
    "neighbour_rows",
    "neighbours_of",
    "note_dispatch",
    "open_catalog",
    "open_runs",
    "owner_of_this_process",
    "parts_of_well",
    "plan",
    "plate_runs",
    "plate_standing",
    "plates_of",
    "profiles_of",
    "publish",
    "register_run",
    "release_claim",
    "release_claims",
    "release_dead_owners",
    "results_digest",
    "retry",
    "revoke_key",
    "run_state",
    "run_status",
    "schema_of",
    "set_run_state",
    "show_perturbation",
    "site_rows",
    "stored_flags",
    "submission_of",
    "submit_run",
    "units_of",
    "upgrade_schema",
    "visible_parts",
    "wait_for_schema",
    "wells_of",
]
