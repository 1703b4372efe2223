import io
from dataclasses import replace

import polars as pl
import pytest

from hcs.simulation.annotations import (
    barcode_platemap,
    external_metadata,
    image_name,
    load_data,
    plate_folder,
    platemap,
    screen_file,
    text_files,
)
from hcs.simulation.design import demo_design, small_design
from hcs.simulation.plan import lay_out_screen

PLAN = lay_out_screen(demo_design(), 5)


def test_load_data_names_every_image_relative_to_itself():
    design = replace(demo_design(), n_sites=2)
    plan = lay_out_screen(design, 5)

    table = load_data(design, plan.plates[0])

    assert table.height == 192
    assert set(table["PathName_OrigDNA"]) == {"Images"}
    first = table.row(0, named=True)
    assert (first["Metadata_Plate"], first["Metadata_Well"], first["Metadata_Site"]) == ("SIM00005001", "A01", "1")
    assert first["FileName_OrigDNA"] == "r01c01f01p01-ch5sk1fk1fl1.tiff"
    names = table.select(pl.selectors.starts_with("FileName")).to_numpy().ravel()
    assert len(set(names)) == 192 * 5


def test_a_channel_has_its_number_in_the_name():
    well = PLAN.plates[0].wells[13]

    assert image_name(well, 3, "Mito") == "r02c02f03p01-ch1sk1fk1fl1.tiff"


def test_a_platemap_says_what_is_in_every_well():
    plan = lay_out_screen(small_design(doses=2), 5)

    table = platemap(plan.plates[0])

    for row, well in zip(table.iter_rows(named=True), plan.plates[0].wells, strict=True):
        concentration = well.treatment.concentration_micromolar
        assert row["well_position"] == well.well
        assert row["broad_sample"] == well.treatment.compound.perturbation
        assert row["mmoles_per_liter"] == (None if concentration is None else f"{concentration / 1000:.10g}")
        if concentration is not None:
            assert float(row["mmoles_per_liter"]) * 1000 == pytest.approx(concentration)
    assert set(table["pert_type"]) == {"trt", "negcon", "poscon"}


def test_every_plate_has_a_platemap_that_is_delivered():
    files = dict(text_files(PLAN))

    for plate in PLAN.plates:
        rows = barcode_platemap(PLAN, plate.batch).filter(pl.col("Assay_Plate_Barcode") == plate.barcode)
        assert rows["Plate_Map_Name"].to_list() == [plate.platemap]
        assert f"metadata/{plate.batch}/platemap/{plate.platemap}.txt" in files
        assert f"{plate_folder(plate)}/load_data.csv" in files


def test_annotations_are_sorted_by_identifier_and_cover_every_perturbation():
    table = external_metadata(PLAN)

    assert table["broad_sample"].to_list() == sorted(table["broad_sample"])
    assert set(table["broad_sample"]) == set(platemap(PLAN.plates[0])["broad_sample"])


def test_nothing_that_is_delivered_tells_the_truth_apart_from_annotations():
    actives = {
        t.compound.perturbation for t in PLAN.treatments if t.compound.control_type == "treatment" and t.is_active
    }
    table = external_metadata(PLAN).filter(pl.col("pert_type") == "trt")

    of_actives = table.filter(pl.col("broad_sample").is_in(list(actives)))

    constant = [name for name in table.columns if table[name].n_unique() == 1]
    assert constant == ["pert_type", "smiles"]
    assert of_actives["moa"].null_count() / of_actives.height == table["moa"].null_count() / table.height


def test_tables_are_tab_separated_where_the_convention_says_so():
    files = dict(text_files(PLAN))

    table = pl.read_csv(io.BytesIO(files["metadata/external_metadata.tsv"]), separator="\t")

    assert table.columns == ["broad_sample", "InChIKey", "pert_iname", "moa", "pert_type", "smiles"]


def test_the_screen_file_is_the_last_and_names_no_encoders():
    names = [name for name, _ in text_files(PLAN)]

    assert names[-1] == "SCREEN.yaml"
    assert len(set(names)) == len(names)
    assert "encoders" not in screen_file(PLAN)
    assert "tile: 128" in screen_file(PLAN)
