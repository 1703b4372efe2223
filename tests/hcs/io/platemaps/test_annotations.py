from __future__ import annotations

from pathlib import Path

import pytest

from hcs.errors import PlatemapError
from hcs.io.platemaps.annotations import read_annotations


def write(folder: Path, text: str, name: str = "external_metadata.tsv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_the_gallerys_columns_are_understood(tmp_path: Path) -> None:
    uri = write(
        tmp_path,
        "broad_sample\tInChIKey\tpert_iname\tMoA\tpert_type\tcontrol_type\tsmiles\n"
        "BRD-1\tKEY\taspirin\tCOX inhibitor\ttrt\tNA\tCC\n"
        "NA\tKEY2\tDMSO\tNA\tcontrol\tnegcon\tCS\n",
    )

    assert read_annotations([uri], perturbations=["BRD-1"]).rows() == [
        ("BRD-1", "aspirin", "CC", "KEY", "COX inhibitor", "treatment"),
        ("DMSO", "DMSO", "CS", "KEY2", None, "negcon"),
    ]


def test_the_key_is_the_column_that_names_the_screens_perturbations(tmp_path: Path) -> None:
    uri = write(tmp_path, "broad_sample\tpert_iname\tmoa\nBRD-1\taspirin\tCOX\n")

    assert read_annotations([uri], perturbations=["aspirin"])["perturbation"].to_list() == ["aspirin"]
    assert read_annotations([uri], perturbations=["BRD-1"])["perturbation"].to_list() == ["BRD-1"]
    assert read_annotations([uri], perturbations=[])["perturbation"].to_list() == ["BRD-1"]


def test_several_rows_and_files_are_one_perturbation(tmp_path: Path) -> None:
    first = write(tmp_path, "perturbation\tmoa\tname\nx\tA|B\t\nx\tB\tfirst\n", "a.tsv")
    second = write(tmp_path, "compound,mechanism,name,smiles\nx,C,second,CC\ny,,,\n", "b.csv")

    assert read_annotations([first, second], perturbations=["x"]).rows() == [
        ("x", "first", "CC", None, "A|B|C", None),
        ("y", None, None, None, None, None),
    ]


def test_no_annotations_are_an_empty_table() -> None:
    assert read_annotations([], perturbations=["x"]).is_empty()


def test_a_table_without_a_key_names_its_columns(tmp_path: Path) -> None:
    with pytest.raises(PlatemapError, match="to join on, got moa, target"):
        read_annotations([write(tmp_path, "moa\ttarget\nx\ty\n")], perturbations=["x"])


def test_an_unknown_control_type_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(PlatemapError, match=r"line 3: .*'posh'"):
        read_annotations([write(tmp_path, "compound\tcontrol_type\nx\ttrt\ny\tposh\n")], perturbations=["x"])
