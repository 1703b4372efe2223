"""Every question to a catalog of many runs is answered from an index, on both database systems.

`list_runs` is no such question: it counts the units of all runs, and reads them all.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator

import pytest
from places import Place
from sqlalchemy import event, insert, literal, select, text

from hcs import catalog as questions
from hcs.catalog.deletion import delete_in
from hcs.catalog.models import (
    Call,
    CallMechanism,
    Dispatch,
    FlaggedSite,
    Neighbour,
    Part,
    Plate,
    Profile,
    Run,
    RunPlate,
    RunWell,
    Screen,
    Site,
    SiteChannel,
    Submission,
    Unit,
)
from hcs.errors import CatalogError, ConflictError, NotFoundError
from schemas.work import DispatchState, RunState, UnitState

N_RUNS, N_PLATES, N_UNITS, N_WELLS, N_CALLS, N_PROFILES = 10, 5, 1_000, 384, 1_000, 2
N_NEIGHBOURS = 5
N_SCREENS, N_MORE_PLATES = 200, 4_000
OWNER = "else/1/2/abcd"
OF_RUNS = (RunPlate, RunWell, Unit, Part, Site, SiteChannel, Call, CallMechanism, Neighbour, Profile)
BIG = {model.__tablename__ for model in OF_RUNS} - {"run_plates", "profiles"} | {"runs", "submissions", "dispatches"}
OF_OPEN = "ix_dispatches_run_id_open"
"""An index that holds the few dispatches which have not ended, and no other row."""

N_SUBMITTED = 3_000
"""Runs without plates that were submitted before the last of the others: all have ended but two."""


def _without_unit(place):
    return {name: value for name, value in place.items() if name != "unit_key"}


def rows_of_a_run(make, run_id):
    """The rows of one run, table by table: its units are done, and it has two profiles."""
    plates = [f"P{number}" for number in range(N_PLATES)]
    units = [make.unit(number, barcode=plates[number % N_PLATES]) for number in range(N_UNITS)]
    places = [{"run_id": run_id, "plate": u.plate, "well": f"W{n}", "unit_key": u.key} for n, u in enumerate(units)]
    treatments = [f"CPD{number}|1.0" for number in range(N_CALLS)]
    profiles = [f"profile-{number}" for number in range(N_PROFILES)]
    calls = [
        {"run_id": run_id, "profile": profile, "treatment": treatment, "control_type": "treatment"}
        for profile in profiles
        for treatment in treatments
    ]
    wells = [(plate, f"{chr(65 + n // 24)}{n % 24 + 1:02d}", n) for plate in plates for n in range(N_WELLS)]
    file = {"relative_path": "x", "sha256": make.sha("x"), "n_bytes": 1, "n_rows": 1}
    return {
        RunWell: [
            {
                "run_id": run_id,
                "plate": plate,
                "well": well,
                "perturbation": f"CPD{n}",
                "treatment": f"CPD{n}|1.0",
                "control_type": "treatment",
                "metadata": "{}",
            }
            for plate, well, n in wells
        ],
        Unit: [
            {
                "run_id": run_id,
                "key": unit.key,
                "ordinal": ordinal,
                "kind": "embed",
                "plate": unit.plate,
                "state": UnitState.DONE,
                "fence": 1,
                "attempt": 1,
                "n_sites": 1,
                "n_failed_sites": 0,
                "spec": unit.model_dump_json(),
                "seconds": "{}",
                "leased_at": 1.0,
                "finished_at": 2.0,
            }
            for ordinal, unit in enumerate(units)
        ],
        Part: [
            {"run_id": run_id, "unit_key": unit.key, "kind": kind, "encoder": encoder, **file}
            for unit in units
            for kind, encoder in (("embedding", "named"), ("survey", "") if unit is units[0] else ("sites", ""))
        ],
        Site: [
            {**place, "site": site, "status": "failed" if n % 97 == 0 else "ok", "n_tiles": 4}
            for n, place in enumerate(places)
            for site in (1, 2)
        ],
        SiteChannel: [
            {**_without_unit(place), "site": site, "channel": "DNA", "saturation_fraction": 0.0}
            | dict.fromkeys(("mean", "sd", "percentile_1", "percentile_99"), 1.0)
            for place in places
            for site in (1, 2)
        ],
        FlaggedSite: [{**_without_unit(place), "site": 1, "flags": "blurred:DNA"} for place in places[::10]],
        Call: [
            {
                **call,
                "perturbation": call["treatment"].partition("|")[0],
                "q_value": n % N_CALLS / N_CALLS,
                "is_hit": True,
                "call": "active",
                "mechanism_source": "annotated",
            }
            | dict.fromkeys(("n_replicates", "n_plates", "n_batches", "n_batches_holding", "n_controls"), 3)
            for n, call in enumerate(calls)
        ],
        CallMechanism: [
            {**call, "folded_label": f"label {n % 50}", "label": f"Label {n % 50}"} for n, call in enumerate(calls)
        ],
        Neighbour: [
            {
                "run_id": run_id,
                "profile": profiles[0],
                "treatment": treatment,
                "rank": rank,
                "neighbour": treatments[(n + rank) % N_CALLS],
                "similarity": 1 / rank,
            }
            for n, treatment in enumerate(treatments)
            for rank in range(1, N_NEIGHBOURS + 1)
        ],
        Profile: [{"run_id": run_id, "name": name, "n_features": 8, **file} for name in profiles],
    }


def add_plates(catalog, make):
    """Put many screens with many plates of their own into a catalog, and take both kinds of rows for big."""
    with catalog.writing() as connection:
        runs = range(1, N_RUNS)
        screens = [{"id": n, "name": f"screen {n}", "created_at": 1.0} for n in range(2, N_SCREENS)]
        plates = [
            {"id": 1_000 + n, "screen_id": 2 + n % (N_SCREENS - 2), "barcode": f"BR{n}"} for n in range(N_MORE_PLATES)
        ]
        of_runs = [
            {"run_id": run_id, "plate": one["barcode"], "plate_id": one["id"], "root_uri": "/x", "layout": "files"}
            | {"manifest_sha256": make.sha("x"), "report": make.plate().report.model_dump_json()}
            for one in plates
            for run_id in runs[one["id"] % 3 :: 3]
        ]
        connection.execute(insert(Screen), screens)
        connection.execute(insert(Plate), plates)
        connection.execute(insert(RunPlate), of_runs)
    with catalog.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))


def submitted_rows(make, first):
    """Rows of runs and of their submissions; one waits for a dispatcher, and one is claimed."""
    states = {first + 1_000: RunState.SUBMITTED, first + 1_001: RunState.RUNNING}
    for run_id in range(first, first + N_SUBMITTED):
        digest = make.sha(f"submission {run_id}")
        run = {"id": run_id, "screen_id": 1, "config_sha256": digest, "repetition": 0, "code_version": "0.1.0"}
        content = {"config": make.screen().model_dump_json(), "pin": "null", "encoders": "[]", "notes": "[]"}
        state = {"state": states.get(run_id, RunState.FAILED), "created_at": run_id, "finished_at": run_id}
        claimed = {"owner": OWNER, "lease_until": 4e9} if run_id == first + 1_001 else {"owner": None}
        yield run | content | state, {"run_id": run_id, "submission_sha256": digest, "attempts": 0} | claimed


def dispatched_rows(run):
    """Rows of two dispatches, the last of which goes on as long as the run is open."""
    for attempt in (1, 2):
        has_ended = attempt == 1 or run["state"] is RunState.FAILED
        row = {"run_id": run["id"], "attempt": attempt, "name": f"hcs-run-{run['id']}-{attempt}", "units_before": 0}
        state = {"state": "ended" if has_ended else "asked", "ended_at": 3.0 if has_ended else None}
        yield row | state | {"units_done": 0, "asked_at": 1.0, "changed_at": 2.0}


def fill(catalog, make):
    """Put runs into a catalog: all finished but the last, in which some units are in every other state."""
    barcodes = [f"P{number}" for number in range(N_PLATES)]
    first = make.run(catalog, barcodes=barcodes).id
    for _ in range(N_RUNS - 1):
        make.run(catalog, barcodes=barcodes)
    with catalog.writing() as connection:
        connection.execute(RunWell.__table__.delete())
        for model, rows in rows_of_a_run(make, first).items():
            connection.execute(insert(model), rows)
            table = model.__table__
            names = [column.name for column in table.columns if column.name != "run_id"]
            for run_id in range(first + 1, first + N_RUNS):
                own = select(literal(run_id), *(table.c[name] for name in names)).where(table.c.run_id == first)
                connection.execute(insert(table).from_select(["run_id", *names], own))
        runs = Run.__table__.update()
        connection.execute(runs.where(Run.id < N_RUNS).values(state=RunState.COMPLETE, finished_at=Run.id))
        for run, submission in submitted_rows(make, 1_000):
            connection.execute(insert(Run).values(**run))
            connection.execute(insert(Submission).values(**submission))
            connection.execute(insert(Dispatch), list(dispatched_rows(run)))
        others = Unit.__table__.update().where(Unit.run_id == N_RUNS)
        connection.execute(others.where(Unit.ordinal < 300).values(state=UnitState.READY))
        leased = {"state": UnitState.LEASED, "owner": OWNER, "lease_until": 4e9}
        connection.execute(others.where(Unit.ordinal.between(300, 309)).values(**leased))
        connection.execute(others.where(Unit.ordinal.between(310, 319)).values(state=UnitState.FAILED, reason="no"))
    with catalog.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))


@pytest.fixture(scope="module")
def filled_file(make, tmp_path_factory, empty_catalog) -> Iterator[questions.Catalog]:
    folder = tmp_path_factory.mktemp("filled")
    with Place(str(shutil.copy(empty_catalog, folder / "catalog.sqlite")), "/parts").open() as catalog:
        fill(catalog, make)
        yield catalog


@pytest.fixture(scope="module")
def filled_database(make, server, empty_database) -> Iterator[questions.Catalog]:
    url = server.copy(empty_database)
    with Place(url, "/parts").open() as catalog:
        fill(catalog, make)
        yield catalog
    server.drop(url)


@pytest.fixture(params=["filled_file", "filled_database"])
def filled(request) -> questions.Catalog:
    """A catalog of ten runs and some 150,000 rows, about which the database has statistics."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full_of_plates(request, make, tmp_path_factory) -> Iterator[questions.Catalog]:
    """A catalog of two hundred screens and some thousand plates, each in three of nine runs; it is asked alone."""
    is_file = request.param == "sqlite"
    empty = request.getfixturevalue("empty_catalog" if is_file else "empty_database")
    server = None if is_file else request.getfixturevalue("server")
    folder = tmp_path_factory.mktemp("plates")
    url = str(shutil.copy(empty, folder / "catalog.sqlite")) if server is None else server.copy(empty)
    with Place(url, "/parts").open() as catalog:
        for _ in range(N_RUNS):
            make.run(catalog)
        add_plates(catalog, make)
        yield catalog
    if server is not None:
        server.drop(url)


def asked_by(catalog, ask):
    """The statements that a question sends, with what they are sent with; single rows that come in are no question."""
    asked = []

    @event.listens_for(catalog.engine, "before_cursor_execute")
    def keep(_connection, _cursor, statement, parameters, _context, executemany):
        asked.append((statement, parameters[0] if executemany else parameters))

    ask(catalog)
    event.remove(catalog.engine, "before_cursor_execute", keep)
    return [(query, values) for query, values in asked if query.startswith(("SELECT", "UPDATE", "DELETE"))]


def steps_of(plan):
    """A plan of PostgreSQL and all the plans in it."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from steps_of(part)


def read_throughout(catalog, query, values, *, big=frozenset(BIG)):
    """The big tables that a statement reads from one end to the other."""
    with catalog.engine.connect() as connection:
        if catalog.is_for_one_machine:
            steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all()
            scans = [step.detail for step in steps if step.detail.startswith("SCAN ")]
            scanned = [scan.split()[1] for scan in scans if not scan.endswith(f" {OF_OPEN}")]
            return {name.removesuffix("_1").removesuffix("_2") for name in scanned} & big
        (answer,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {query}", values).one()
        plan = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
        return {step["Relation Name"] for step in steps_of(plan) if step["Node Type"] == "Seq Scan"} & big


def lease_and_finish(catalog, make):
    first, second, third = questions.lease(catalog, N_RUNS, OWNER, limit=3, seconds=60)
    questions.hand_back(catalog, N_RUNS, first.spec.key, fence=first.fence)
    questions.fail(catalog, N_RUNS, second.spec.key, fence=second.fence, reason="no luck")
    with pytest.raises(CatalogError):
        questions.complete(**make.done(catalog, N_RUNS, third))  # its rows are there: all but they was written


def ask_for_an_unknown_profile(catalog, make):
    with pytest.raises(NotFoundError):
        questions.hits_page(catalog, profile="nothing")


def delete_and_think_again(catalog, make):
    with catalog.writing() as connection:
        before = connection.begin_nested()
        delete_in(connection, 3)
        before.rollback()


def refuse_to_delete(catalog, make):
    with pytest.raises(ConflictError):
        questions.delete_run(catalog, N_RUNS)


def claim_and_release(catalog, make):
    claim = questions.claim_run(catalog, OWNER, seconds=60)
    assert claim.run.id == 2_000
    assert questions.keep_claim(catalog, claim.run.id, OWNER, seconds=60)
    assert not questions.is_run_waiting(catalog)
    assert questions.release_claim(catalog, claim.run.id, OWNER)
    assert questions.is_run_waiting(catalog)


def dispatch_and_end(catalog, make):
    assert [one.run.id for one in questions.open_runs(catalog)] == [2_000, 2_001]
    assert len(questions.dispatches(catalog, ended=False)) == 2
    for run_id in (2_000, 2_001):
        questions.note_dispatch(catalog, run_id, 2, state=DispatchState.WAITING, message=str(time.monotonic()))
        assert questions.begin_dispatch(catalog, run_id, prefix="hcs") is None
    assert questions.last_dispatch(catalog, 2_500).attempt == 2
    assert questions.run_status(catalog, 2_001).dispatch.attempt == 2
    assert not questions.end_dispatch(catalog, 2_000, 1, message=None)
    assert not questions.fail_undispatched(catalog, 2_001, reason="it is claimed")


QUESTIONS = {
    "dispatching": dispatch_and_end,
    "hits": lambda c, make: questions.find_hits(c, profile="profile-0"),
    "hits of a mechanism": lambda c, make: questions.find_hits(
        c, questions.HitLimits(mechanism="Label 7", q_max=1), profile="profile-0"
    ),
    "hits of a run that are not toxic": lambda c, make: questions.find_hits(
        c,
        questions.HitLimits(not_toxic=True, not_by_count=True, not_one_channel=True, not_flagged=True, min_batches=2),
        run=3,
        profile="profile-1",
    ),
    "a page of hits": lambda c, make: questions.hits_page(
        c, questions.EVERY_CALL, profile="profile-0", limit=50, offset=100
    ),
    "a page of hits of a mechanism": lambda c, make: questions.hits_page(
        c,
        questions.HitLimits(mechanism="Label 7", q_max=1, not_toxic=True, min_batches=2),
        run=3,
        profile="profile-0",
        limit=5,
    ),
    "a profile that is not there": ask_for_an_unknown_profile,
    "a comparison": lambda c, make: questions.compare_hits(
        c, run=3, other=4, profile="profile-0", other_profile="profile-1"
    ),
    "a map": lambda c, make: (
        questions.find_grouping(c, 3, profile="profile-0", everything=False, form=1),
        questions.keep_grouping(
            c, 3, b"", profile="profile-0", everything=False, form=1, results_sha256=questions.results_digest(c, 3)
        ),
    ),
    "mechanisms": lambda c, make: questions.known_mechanisms(c, profile="profile-0"),
    "a perturbation": lambda c, make: questions.show_perturbation(c, "CPD77"),
    "a perturbation in another case": lambda c, make: questions.show_perturbation(c, "cpd77"),
    "neighbours": lambda c, make: questions.neighbours_of(c, "CPD77", profile="profile-0"),
    "neighbours of all": lambda c, make: questions.neighbour_rows(c, 3),
    "wells of a plate": lambda c, make: questions.wells_of(c, plate="P2"),
    "profiles": lambda c, make: questions.profiles_of(c, 3),
    "a run": lambda c, make: (questions.get_run(c), questions.get_run(c, 3), questions.run_state(c, 3)),
    "plates": lambda c, make: (questions.plates_of(c, 3), questions.acceptance_reports(c, 3)),
    "sites of a plate": lambda c, make: questions.site_rows(c, 3, plate="P2"),
    "channels of a plate": lambda c, make: questions.channel_rows(c, 3, plate="P2"),
    "focus of a plate": lambda c, make: questions.focus_rows(c, 3, "P2"),
    "flags of a plate": lambda c, make: questions.stored_flags(c, 3, "P2"),
    "counts of the sites of a plate": lambda c, make: questions.count_sites(c, 3, "P2"),
    "means of a plate": lambda c, make: questions.channel_means(c, 3, "P2"),
    "parts of a well": lambda c, make: questions.parts_of_well(c, 3, "P2", "W7", kind="sites"),
    "how far wells are": lambda c, make: questions.plate_standing(c, N_RUNS, "P2"),
    "surveys": lambda c, make: questions.visible_parts(c, 3, kind="survey"),
    "vectors of a plate": lambda c, make: questions.visible_parts(c, 3, kind="embedding", encoder="named", plate="P2"),
    "failures": lambda c, make: questions.failures_of(c, N_RUNS),
    "units": lambda c, make: (questions.units_of(c, N_RUNS), questions.count_units(c, N_RUNS)),
    "how far a run is": lambda c, make: questions.run_status(c, N_RUNS),
    "planning": lambda c, make: questions.plan(c, N_RUNS, [make.unit(1, barcode="P1"), make.unit(5_000)]),
    "leasing and finishing": lease_and_finish,
    "keeping leases": lambda c, make: questions.keep_leases(
        c, N_RUNS, OWNER, fences={make.unit(300, barcode="P0").key: 1}, seconds=60
    ),
    "handing all back": lambda c, make: questions.hand_back_all(c, N_RUNS, "somewhere else/1/2/abcd"),
    "dead owners": lambda c, make: questions.release_dead_owners(c, N_RUNS),
    "taking over": lambda c, make: questions.adoptable(c, N_RUNS),
    "taking over nothing": lambda c, make: questions.adopt_finished(c, N_RUNS, keys=[]),
    "retrying": lambda c, make: questions.retry(c, N_RUNS, only="nothing like it"),
    "deleting": delete_and_think_again,
    "deleting what is in work": refuse_to_delete,
    "a screen's plates": lambda c, make: (questions.find_plates(c, "pilot"), questions.plate_runs(c, "P2")),
    "claiming": claim_and_release,
    "submitting again": lambda c, make: (
        make.submit(c, make.screen("another"), new=True) and make.submit(c, make.screen("another"))
    ),
    "a submission": lambda c, make: questions.submission_of(c, 2_500),
    "asking again": lambda c, make: questions.ask_again(c, 2_500) or questions.cancel_run(c, 2_500),
    "what is shown beside results": lambda c, make: (
        questions.calls_on_plate(c, 3, "P2"),
        questions.count_mechanisms(c, 3),
    ),
    "registering": lambda c, make: make.run(c, barcodes=["P0"], new=False, running=False),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_reads_no_big_table_throughout(filled, make, question):
    asked = asked_by(filled, lambda catalog: QUESTIONS[question](catalog, make))

    assert asked
    assert {query: found for query, values in asked if (found := read_throughout(filled, query, values))} == {}


PLATE_QUESTIONS = {
    "the runs of a plate": lambda c: questions.plate_runs(c, "BR77"),
    "the runs of a plate of a screen": lambda c: questions.plate_runs(c, "BR77", screen="screen 79"),
    "the plates of a screen": lambda c: questions.find_plates(c, "screen 12"),
    "the screens": questions.list_screens,
}


@pytest.mark.parametrize("question", PLATE_QUESTIONS)
def test_a_question_about_plates_reads_no_table_of_plates_throughout(full_of_plates, question):
    asked = asked_by(full_of_plates, PLATE_QUESTIONS[question])

    assert asked
    tables = {"plates", "run_plates"}
    assert {q: found for q, values in asked if (found := read_throughout(full_of_plates, q, values, big=tables))} == {}


def test_plates_that_all_are_asked_for_are_read_throughout(full_of_plates):
    asked = asked_by(full_of_plates, questions.find_plates)

    assert [read_throughout(full_of_plates, *one, big={"plates"}) for one in asked] == [{"plates"}]


def test_a_question_without_an_index_is_noticed(filled):
    query = str(
        select(Unit.key)
        .where(Unit.owner == literal("nobody", literal_execute=True))
        .compile(filled.engine, compile_kwargs={"literal_binds": True})
    )

    assert read_throughout(filled, query, ()) == {"units"}
