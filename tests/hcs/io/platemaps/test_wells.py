from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from hcs.errors import PlatemapError
from hcs.io.platemaps import read_plate_wells
from schemas.screen import ScreenConfig
from schemas.tables import PlateWells


def read(plates: list[str], **fields: object) -> pl.DataFrame:
    config = ScreenConfig.model_validate({"screen": "s", "plates": [{"uri": "/x"}], **fields})
    wells = read_plate_wells(config, plates)
    PlateWells.validate(wells)
    return pl.DataFrame(wells)


def test_platemap_and_annotation_make_one_table(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(
        "well_position\tbroad_sample\tsolvent\tpert_iname\nB02\tBRD-1\tDMSO\tmine\nA01\t\tDMSO\t\nA02\t\t\t\nA03\tBRD-2\tDMSO\t\n"
    )
    (tmp_path / "a.tsv").write_text(
        "broad_sample\tpert_iname\tmoa\tcontrol_type\nBRD-1\ttheirs\tCOX\tNA\nBRD-2\tpos\tHDAC\tposcon_cp\nNA\tDMSO\tNA\tnegcon\n"
    )

    wells = read(["P1"], platemaps=str(tmp_path / "p.txt"), annotations=str(tmp_path / "a.tsv"))

    assert wells.select("well", "perturbation", "control_type", "name", "mechanism").rows() == [
        ("A01", "DMSO", "negcon", "DMSO", None),
        ("A02", None, "empty", None, None),
        ("A03", "BRD-2", "poscon", "pos", "HDAC"),
        ("B02", "BRD-1", "treatment", "mine", "COX"),
    ]


def test_a_plate_that_no_platemap_names_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("plate,well,compound\nP1,A1,x\n")

    assert read(["P1", "P2"], platemaps=str(tmp_path / "p.csv"))["plate"].to_list() == ["P1"]
    assert read(["P1"]).is_empty()


def test_a_control_of_which_nobody_says_the_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("well,compound,pert_type\nA1,x,control\nA2,DMSO,control\n")

    with pytest.raises(PlatemapError, match="calls x a control without saying which kind"):
        read(["P1"], platemaps=str(tmp_path / "p.csv"))
    wells = read(["P1"], platemaps=str(tmp_path / "p.csv"), controls={"negcon": ["DMSO"], "poscon": ["X"]})
    assert wells["control_type"].to_list() == ["poscon", "negcon"]


def test_the_order_of_plates_and_rows_does_not_matter(tmp_path: Path) -> None:
    rows = [f"A{number},x{number}" for number in range(1, 9)]
    (tmp_path / "p.csv").write_text("\n".join(["well,compound", *rows]))
    (tmp_path / "q.csv").write_text("\n".join(["well,compound", *reversed(rows)]))

    assert read(["P1", "P2"], platemaps=str(tmp_path / "p.csv")).equals(
        read(["P2", "P1", "P2"], platemaps=str(tmp_path / "q.csv"))
    )


@pytest.mark.parametrize("batch", ["2023_05_15_Batch1", "2023_05_17_Batch2", "2023_05_17_Batch3"])
def test_the_real_jump_moa_platemaps_are_read(real_data: Path, batch: str) -> None:
    folder = real_data / "profiles_jump_moa" / batch
    barcodes = pl.read_csv(folder / "barcode_platemap.csv")["Assay_Plate_Barcode"].to_list()

    wells = read(barcodes, platemaps=str(folder / "barcode_platemap.csv"))

    assert wells.height == 384 * len(barcodes)
    for plate in barcodes:
        own = wells.filter(pl.col("plate") == plate)
        assert Counter(own["control_type"]) == {"treatment": 360, "negcon": 24}
        treatments = own.filter(pl.col("control_type") == "treatment")
        assert (treatments["perturbation"].n_unique(), treatments["mechanism"].n_unique()) == (90, 47)
        assert own.filter(pl.col("control_type") == "negcon")["perturbation"].unique().to_list() == ["DMSO"]
        assert treatments.filter(pl.col("well") == "A01").select("name", "concentration_micromolar").row(0) == (
            "venetoclax",
            5000.0,
        )


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("JUMP-MOA", {"treatment": 360, "negcon": 24}),
        ("JUMP-Target-1", {"treatment": 260, "negcon": 64, "poscon": 60}),
    ],
)
def test_the_real_annotations_are_joined(real_data: Path, name: str, counts: dict[str, int]) -> None:
    folder = real_data / "annotations"

    wells = read(
        ["P1"],
        platemaps=str(folder / f"{name}_compound_platemap.tsv"),
        annotations=str(folder / f"{name}_compound_metadata.tsv"),
    )

    assert Counter(wells["control_type"]) == counts
    assert wells.filter(pl.col("control_type") != "empty")["name"].null_count() == 0
    assert set(wells.filter(pl.col("control_type") == "negcon")["smiles"]) == {"C[S+](C)[O-]"}


@pytest.mark.parametrize(
    ("name", "expected"), [("drug_layout.csv", ("C03", "DMSO")), ("drug_layout_utf8-dom.csv", ("B03", "my_drug"))]
)
def test_the_real_operetta_layouts_are_read(real_data: Path, name: str, expected: tuple[str, str]) -> None:
    wells = read(["P1"], platemaps=str(real_data / "operetta" / "fixtures" / name))

    assert wells.select("well", "perturbation").rows() == [expected]
    assert wells["concentration_micromolar"].to_list() == [None]  # a number without a unit in its name is no molarity
