from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest

from hcs.catalog import (
    Registration,
    acceptance_reports,
    configuration_sha256,
    get_run,
    list_runs,
    plates_of,
    register_run,
    wells_of,
)
from hcs.errors import CatalogError, UsageError
from schemas.encoders import WeightsOrigin
from schemas.screen import ScreenConfig
from schemas.tables import PlateWells
from schemas.work import RunState


@pytest.fixture
def parts(make):
    """Everything of a registration but the catalog."""
    return {
        "config": ScreenConfig(screen="pilot", plates=[{"uri": "/delivered/P1"}], platemaps="maps/a.csv"),
        "plates": [make.plate("P1"), make.plate("P2", cell_line="U2OS")],
        "wells": make.plain_wells(["P1", "P2"]),
        "encoders": [make.encoder("a"), make.encoder("b")],
        "pin": make.pin,
    }


def register(catalog, parts, **changes) -> Registration:
    values = {"code_version": "0.1.0", **parts, **changes}
    return register_run(catalog, values.pop("config"), **values)


def digest(parts, **changes) -> str:
    values = {**parts, **changes}
    return configuration_sha256(values.pop("config"), **values)


def test_a_registered_run_reads_back_as_it_was_given(catalog, parts, make):
    made = register(catalog, parts)

    assert made.is_new
    assert made.run == get_run(catalog, made.run.name) == get_run(catalog, made.run.id)
    assert (made.run.name, made.run.screen, made.run.state) == ("run-1", "pilot", RunState.SUBMITTED)
    assert made.run.config == parts["config"]
    assert list(made.run.encoders) == parts["encoders"]
    assert (made.run.pin, made.run.code_version) == (make.pin, "0.1.0")
    assert made.run.config_sha256 == digest(parts)
    assert (made.run.started_at, made.run.finished_at, made.run.notes) == (None, None, ())
    wells = wells_of(catalog, run="run-1")
    assert PlateWells.validate(wells.select(*PlateWells.columns())).equals(PlateWells.cast(parts["wells"]))
    assert wells["treatment"].to_list() == ["DMSO", "CPD1@1", "CPD1@10", "CPD2@1"] * 2
    assert plates_of(catalog, 1)["cell_line"].to_list() == [None, "U2OS"]
    assert acceptance_reports(catalog, 1) == {plate.barcode: plate.report for plate in parts["plates"]}


def test_the_same_configuration_again_is_the_same_run_unless_a_new_one_is_asked_for(catalog, parts):
    first = register(catalog, parts)
    again = register(catalog, parts)
    new = register(catalog, parts, new=True)
    newest = register(catalog, parts)

    assert [made.run.id for made in (first, again, new, newest)] == [1, 1, 2, 2]
    assert [made.is_new for made in (first, again, new, newest)] == [True, False, True, False]


def test_a_screen_that_moved_is_the_same_run_with_new_addresses(catalog, parts, make):
    register(catalog, parts)

    again = register(
        catalog,
        parts,
        config=ScreenConfig(screen="pilot", plates=[{"uri": "/moved/P1"}], platemaps="elsewhere/b.csv"),
        plates=[make.plate("P2", uri="/moved/P2", cell_line="U2OS"), make.plate("P1", uri="/moved/P1")],
        encoders=[
            make.encoder("b", weights_uri="/moved/b.safetensors", weights_origin=WeightsOrigin.FILE),
            make.encoder("a"),
        ],
        wells=parts["wells"].reverse(),
        code_version="0.1.1",
    )

    assert not again.is_new
    assert plates_of(catalog, 1)["root_uri"].to_list() == ["/moved/P1", "/moved/P2"]


def test_what_changes_the_results_changes_the_configuration(parts, make):
    one = make.plate("P1")
    changes = [
        {"config": parts["config"].model_copy(update={"quality": "drop"})},
        {"config": parts["config"].model_copy(update={"screen": "another"})},
        {"plates": parts["plates"][:1]},
        {"plates": [make.plate("P1", batch="b2"), parts["plates"][1]]},
        {"plates": [one.__class__(one.entry, one.layout, make.sha("?"), one.report), parts["plates"][1]]},
        {"wells": parts["wells"].with_columns(mechanism=pl.lit("kinase inhibitor"))},
        {"encoders": parts["encoders"][:1]},
        {"encoders": [make.encoder("a", weights_sha256=make.sha("?")), make.encoder("b")]},
        {"encoders": [make.encoder("a", std=0.3), make.encoder("b")]},
        {"pin": make.pin.model_copy(update={"batch_size": 8})},
    ]

    digests = [digest(parts), *(digest(parts, **change) for change in changes)]

    assert len(set(digests)) == len(changes) + 1


def test_drivers_that_register_at_once_get_one_run(catalog, parts):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: register(catalog, parts), range(8)))

    assert {registration.run.id for registration in made} == {1}
    assert sum(registration.is_new for registration in made) == 1
    assert len(list_runs(catalog)) == 1


def test_a_later_run_describes_a_plate_anew_and_leaves_the_earlier_run_as_it_was(catalog, parts, make):
    register(catalog, parts)
    register(catalog, parts, plates=[make.plate("P1", batch="corrected"), parts["plates"][1]])

    assert plates_of(catalog, 1)["batch"].to_list() == ["b1", "b1"]
    assert plates_of(catalog, 2)["batch"].to_list() == ["corrected", "b1"]


def test_a_well_that_a_person_took_out_says_why(catalog, parts):
    excluded = [{"plate": "P2", "well": "A03", "reason": "a bubble"}, {"plate": "P1", "well": "H12", "reason": "empty"}]
    config = ScreenConfig(screen="pilot", plates=[{"uri": "/d"}], exclude_wells=excluded)

    register(catalog, parts, config=config)

    out = wells_of(catalog, run=1).filter(pl.col("excluded_reason").is_not_null())
    assert out.select("plate", "well", "excluded_reason").rows() == [("P2", "A03", "a bubble")]
    assert wells_of(catalog, run=1, plate="P1").height == 4


def test_two_plates_with_one_barcode_are_refused(catalog, parts, make):
    with pytest.raises(UsageError, match="P1 comes more than once"):
        register(catalog, parts, plates=[make.plate("P1"), make.plate("P1"), make.plate("P2")])


def test_wells_of_other_plates_and_wells_that_break_their_contract_are_refused(catalog, parts):
    with pytest.raises(CatalogError, match="P2 are none of them"):
        register(catalog, parts, plates=parts["plates"][:1])
    with pytest.raises(CatalogError, match="PlateWells"):
        register(catalog, parts, wells=parts["wells"].with_columns(well=pl.lit("Q99")))
    with pytest.raises(CatalogError, match="without control_type"):
        register(catalog, parts, wells=parts["wells"].drop("control_type"))

    assert len(list_runs(catalog)) == 0


@pytest.mark.parametrize(
    "name", ["'; DROP TABLE runs; --", '"quoted"', "<script>", "=cmd|' /C calc'!A0", "化合物 β", "%s"]
)
def test_hostile_names_are_stored_as_they_are(catalog, parts, make, name):
    record = register(
        catalog,
        parts,
        config=ScreenConfig(screen=name, plates=[{"uri": "/d"}]),
        plates=[make.plate(name, cell_line=name)],
        wells=make.wells([{"plate": name, "well": "A01", "perturbation": name, "name": name, "metadata": name}]),
        code_version=name,
    ).run

    assert (record.screen, record.code_version) == (name, name)
    columns = ["plate", "perturbation", "name", "metadata"]
    assert wells_of(catalog, run=record.id).select(columns).row(0) == (name,) * 4
    assert plates_of(catalog, record.id).select("plate", "cell_line").row(0) == (name, name)


@pytest.mark.parametrize("name", ["a\0b", "x" * 1_000_000])
def test_names_that_cannot_be_stored_are_refused_and_nothing_is_registered(catalog, parts, make, name):
    for changes in (
        {"config": ScreenConfig(screen=name, plates=[{"uri": "/d"}])},
        {"plates": [make.plate(name), *parts["plates"]]},
        {"plates": [make.plate("P1", cell_line=name), parts["plates"][1]]},
        {"wells": parts["wells"].with_columns(perturbation=pl.lit(name))},
    ):
        with pytest.raises(UsageError) as error:
            register(catalog, parts, **changes)
        assert len(str(error.value)) < 500

    assert len(list_runs(catalog)) == 0
