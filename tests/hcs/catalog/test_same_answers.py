"""Both database systems answer every question with the same bytes."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass

import polars as pl
import pytest

from hcs.catalog import (
    EVERY_CALL,
    HitLimits,
    adopt_finished,
    channel_rows,
    compare_hits,
    complete,
    fail,
    failures_of,
    find_hits,
    get_run,
    known_mechanisms,
    lease,
    neighbour_rows,
    neighbours_of,
    plan,
    plates_of,
    profiles_of,
    publish,
    run_status,
    show_perturbation,
    site_rows,
    units_of,
    visible_parts,
    wells_of,
)
from hcs.errors import CatalogError, NotFoundError, UsageError
from schemas.work import RunState

NAMES = ["b", "B", "a", "A", "ä", "Z", "z", "_", "-", " a", "a b", "ab", "%", "板", "\U0001f9ea", "É", "E\u0301", "İ"]
"""In the order of bytes, of a dictionary and of a folder these stand differently."""

NUMBERS = [0.1, 1 / 3, 1e-300, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, -0.0, 123456789.123456789, 2.5e-8]


def live(catalog, make):
    """Take two runs through everything that a catalog remembers."""
    rows = [
        {
            "well": f"{chr(65 + n // 6)}{n % 6 + 1:02d}",
            "perturbation": name,
            "name": name.upper(),
            "concentration_micromolar": abs(NUMBERS[n % len(NUMBERS)]),
            "mechanism": f"{name}|x",
            "plate": ("P1", "p1")[n % 2],
        }
        for n, name in enumerate(NAMES)
    ]
    plates = [make.plate(barcode, n_sites=2, batch=batch) for barcode, batch in (("p1", "ß"), ("P1", "_"))]
    for _ in range(2):
        run_id = make.run(catalog, plates=plates, wells=make.wells(rows)).id
        plan(catalog, run_id, [make.unit(n, barcode=("P1", "p1")[n % 2], n_sites=3) for n in range(6)])
        adopt_finished(catalog, run_id)
        units = lease(catalog, run_id, "else/1/2/abcd", limit=9, seconds=600)
        for n, unit in enumerate(units):
            if n == 5:
                for reason in ("first", "Ärger", "z"):
                    fail(catalog, run_id, unit.spec.key, fence=unit.fence, reason=reason)
                    (unit,) = lease(catalog, run_id, "else/1/2/abcd", limit=1, seconds=600) or [unit]  # noqa: PLW2901
                continue
            done = make.result(unit.spec, failed=[2] if n == 3 else [])
            measured = pl.Series("mean", [NUMBERS[(n + k) % len(NUMBERS)] for k in range(len(done["channels"]))])
            done["channels"] = done["channels"].with_columns(measured)
            complete(catalog, run_id, fence=unit.fence, **done)
        finish(catalog, make, run_id, rows)


def finish(catalog, make, run_id, rows):
    calls = [
        {
            "perturbation": row["perturbation"],
            "concentration_micromolar": row["concentration_micromolar"],
            "mechanism": row["mechanism"],
            "mechanism_source": "annotated",
            "q_value": (n + 1) / 20,
            "effect": NUMBERS[n % len(NUMBERS)],
            "profile": ("combined", "B")[n % 2],
        }
        for n, row in enumerate(rows)
    ]
    near = [(f"{name}|1.0", 1, f"{NAMES[0]}|1.0", NUMBERS[n % 2]) for n, name in enumerate(NAMES)]
    publish(
        catalog,
        run_id,
        calls=make.calls(calls),
        neighbours=make.neighbours(near),
        profiles=[make.profile("combined"), make.profile("B")],
        state=RunState.COMPLETE_WITH_HOLES,
        notes=["ä", "b"],
    )


QUESTIONS = {
    "hits": lambda c: find_hits(c, EVERY_CALL),
    "hits on another profile": lambda c: find_hits(c, HitLimits(q_max=0.5), profile="B"),
    "hits of a mechanism": lambda c: find_hits(c, HitLimits(mechanism="Ä", q_max=1)),
    "mechanisms": known_mechanisms,
    "a comparison": lambda c: compare_hits(c, run=2, other=1, other_profile="B", q_max=0.6),
    "a perturbation": lambda c: show_perturbation(c, "ä"),
    "a perturbation in another case": lambda c: show_perturbation(c, "AB"),
    "neighbours": lambda c: neighbours_of(c, "板"),
    "all neighbours": lambda c: neighbour_rows(c, 2),
    "wells": wells_of,
    "wells of a plate": lambda c: wells_of(c, plate="p1"),
    "profiles": lambda c: profiles_of(c, 2),
    "plates": lambda c: plates_of(c, 2),
    "sites": lambda c: site_rows(c, 2),
    "channels": lambda c: channel_rows(c, 2),
    "parts": lambda c: visible_parts(c, 2),
    "failures": lambda c: failures_of(c, 2),
    "units": lambda c: units_of(c, 2),
    "status": lambda c: run_status(c, 2),
    "an unknown name": lambda c: show_perturbation(c, "abc"),
    "a name that no database takes": lambda c: show_perturbation(c, "a\0b"),
    "a mechanism that no database takes": lambda c: find_hits(c, HitLimits(mechanism="a\0b", q_max=1)),
    "a plate that no database takes": lambda c: wells_of(c, plate="a\0b"),
    "a mechanism that is no text": lambda c: find_hits(c, HitLimits(mechanism="a\ud800", q_max=1)),
}
TIMES = {"created_at", "started_at", "finished_at", "sites_per_second", "eta_seconds"}


@pytest.fixture(scope="module")
def lives(make, tmp_path_factory, server, empty_database):
    """The same life on SQLite and on PostgreSQL."""
    from hcs.catalog import open_catalog

    url = server.copy(empty_database)
    with (
        open_catalog(str(tmp_path_factory.mktemp("lives") / "catalog.sqlite")) as file,
        open_catalog(url, parts_uri="/parts") as database,
    ):
        for catalog in (file, database):
            live(catalog, make)
        yield file, database
    server.drop(url)


def told(answer):
    """An answer as text, to the last bit of its numbers, without its times."""
    if isinstance(answer, pl.DataFrame):
        return f"{answer.schema}\n" + "\n".join(map(repr, answer.rows()))
    if is_dataclass(answer):
        return "\n".join(told(getattr(answer, field.name)) for field in fields(answer) if field.name not in TIMES)
    return repr(answer)


def answer_of(question, catalog):
    try:
        return told(QUESTIONS[question](catalog))
    except (NotFoundError, UsageError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_has_the_same_answer_on_both(lives, question):
    on_file, on_server = (answer_of(question, catalog) for catalog in lives)

    assert on_server == on_file
    assert on_file


def test_the_lives_were_lived(lives):
    for catalog in lives:
        assert get_run(catalog).id == 2
        assert len(failures_of(catalog, 1)) > 0
        assert len(find_hits(catalog, EVERY_CALL)) == len(NAMES) // 2


def test_zero_has_no_sign_on_either(lives):
    for catalog in lives:
        zeros = channel_rows(catalog, 1).filter(mean=0)["mean"].to_list()
        assert zeros
        assert {math.copysign(1, zero) for zero in zeros} == {1.0}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_refused_by_both(catalog, make, value):
    run_id = make.run(catalog).id
    plan(catalog, run_id, [make.unit(1)])
    (unit,) = lease(catalog, run_id, "else/1/2/abcd", limit=1, seconds=60)
    done = make.done(catalog, run_id, unit)
    done["channels"] = done["channels"].with_columns(pl.lit(value).alias("mean"))

    with pytest.raises(CatalogError, match="contract"):
        complete(**done)
