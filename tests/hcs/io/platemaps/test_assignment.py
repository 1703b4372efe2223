from __future__ import annotations

from pathlib import Path

import pytest

from hcs.errors import PlatemapError
from hcs.io.platemaps.assignment import wells_of_plates

MAP = "well_position\tbroad_sample\nA01\t{name}\n"


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """A barcode map with two platemaps, one of them used twice."""
    (tmp_path / "platemap").mkdir()
    for name in ("M1", "M2"):
        (tmp_path / "platemap" / f"{name}.txt").write_text(MAP.format(name=f"BRD-{name}"))
    (tmp_path / "barcode_platemap.csv").write_text(
        "\ufeffAssay_Plate_Barcode,Plate_Map_Name,Batch_Number\r\nB1,M1,1\r\nB2,M2,1\r\nB3,M1,2\r\n"
    )
    return tmp_path


def named(platemaps: object, plates: list[str]) -> list[tuple[str, str]]:
    return wells_of_plates(platemaps, plates).select("plate", "perturbation").rows()  # type: ignore[arg-type]  # as drawn


def test_a_barcode_map_gives_every_plate_its_platemap(gallery: Path) -> None:
    found = named(str(gallery / "barcode_platemap.csv"), ["B1", "B2", "B3", "B4"])

    assert found == [("B1", "BRD-M1"), ("B2", "BRD-M2"), ("B3", "BRD-M1")]


@pytest.mark.parametrize("name", ["M1.txt", "M1.tsv", "M1.csv"])
def test_platemaps_lie_in_their_folder_or_beside_the_barcode_map(gallery: Path, name: str) -> None:
    (gallery / "platemap" / "M1.txt").unlink()
    (gallery / name).write_text(MAP.format(name="BRD-here"))

    assert named(str(gallery / "barcode_platemap.csv"), ["B1"]) == [("B1", "BRD-here")]


def test_the_gallerys_txt_comes_before_a_csv_of_the_same_name(gallery: Path) -> None:
    (gallery / "platemap" / "M1.csv").write_text("well,compound\nA01,other\n")

    assert named(str(gallery / "barcode_platemap.csv"), ["B1"]) == [("B1", "BRD-M1")]


def test_a_platemap_that_is_not_there_says_where_it_was_looked_for(gallery: Path) -> None:
    (gallery / "platemap" / "M1.txt").unlink()

    with pytest.raises(PlatemapError, match=r"platemap/M1\.txt"):
        named(str(gallery / "barcode_platemap.csv"), ["B1"])
    assert named(str(gallery / "barcode_platemap.csv"), ["B2"]) == [("B2", "BRD-M2")]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..\\secret", ".hidden"])
def test_a_barcode_map_names_platemaps_and_not_paths(gallery: Path, name: str) -> None:
    (gallery.parent / "secret.txt").write_text(MAP.format(name="secret"))
    (gallery / "barcode_platemap.csv").write_text(f"Assay_Plate_Barcode,Plate_Map_Name\nB1,{name}\n")

    with pytest.raises(PlatemapError, match="not a path"):
        named(str(gallery / "barcode_platemap.csv"), ["B1"])


def test_a_barcode_with_two_platemaps_is_refused(gallery: Path) -> None:
    with (gallery / "barcode_platemap.csv").open("a") as stream:
        stream.write("B1,M2,3\r\n")

    with pytest.raises(PlatemapError, match="plate B1 has the platemaps M1, M2"):
        named(str(gallery / "barcode_platemap.csv"), ["B1"])


def test_a_barcode_map_without_barcodes_says_what_it_lacks(gallery: Path) -> None:
    (gallery / "barcode_platemap.csv").write_text("code,Plate_Map_Name\nB1,M1\n")

    with pytest.raises(PlatemapError, match="expected the columns Assay_Plate_Barcode"):
        named(str(gallery / "barcode_platemap.csv"), ["B1"])


def test_one_platemap_serves_all_plates(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("well,compound\nA1,x\n")

    assert named(str(tmp_path / "p.csv"), ["P1", "P2"]) == [("P1", "x"), ("P2", "x")]


def test_a_platemap_that_names_itself_is_no_barcode_map(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("plate_map_name\twell_position\tbroad_sample\nC-7161\tA01\tBRD-1\n")

    assert named(str(tmp_path / "p.txt"), ["P1"]) == [("P1", "BRD-1")]


def test_a_plate_column_keeps_plates_apart(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("Metadata_Plate,well,compound\nP1,A1,x\nP2,A1,y\n")

    assert named(str(tmp_path / "p.csv"), ["P2", "P1", "P3"]) == [("P2", "y"), ("P1", "x")]


def test_a_map_from_barcode_to_file_is_followed(gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("well,compound\nA1,x\n")
    platemaps = {"P1": str(tmp_path / "p.csv"), "B2": str(gallery / "barcode_platemap.csv")}

    assert named(platemaps, ["P1", "B2", "P3"]) == [("P1", "x"), ("B2", "BRD-M2")]


def test_of_several_platemaps_a_plate_gets_the_one_called_after_it(tmp_path: Path) -> None:
    for plate in ("P1", "P2"):
        (tmp_path / f"{plate}.csv").write_text(f"well,compound\nA1,{plate}-x\n")
    uris = (str(tmp_path / "P1.csv"), str(tmp_path / "P2.csv"))

    assert named(uris, ["P2", "P1"]) == [("P2", "P2-x"), ("P1", "P1-x")]
    with pytest.raises(PlatemapError, match="plate P3: cannot tell which of"):
        named(uris, ["P3"])


def test_two_platemaps_for_the_wells_of_one_plate_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("plate,well,compound\nP1,A1,x\n")

    with pytest.raises(PlatemapError, match="several platemaps describe its wells A01"):
        named((str(tmp_path / "a.csv"), str(tmp_path / "b.csv")), ["P1"])


def test_without_platemaps_there_are_no_wells() -> None:
    assert named(None, ["P1"]) == []


def test_a_missing_file_is_a_platemap_error(tmp_path: Path) -> None:
    with pytest.raises(PlatemapError, match="No such file"):
        named(str(tmp_path / "p.csv"), ["P1"])
