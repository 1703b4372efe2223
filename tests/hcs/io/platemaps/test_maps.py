from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import PlatemapError
from hcs.io.platemaps.maps import parse_platemap, read_text_table
from hcs.io.wells import row_letters


def parse(folder: Path, content: str | bytes, name: str = "p.csv") -> pl.DataFrame:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return parse_platemap(read_text_table(str(path), what="a platemap"), source=str(path))


@settings(deadline=None, max_examples=40)
@given(
    places=st.lists(st.tuples(st.integers(1, 16), st.integers(1, 24)), unique=True, min_size=1, max_size=6),
    spelling=st.sampled_from(["A01", "A1", "a1", "a01"]),
    column=st.sampled_from(
        ["well", "Well", "well_position", "Metadata_Well", "WELL POSITION", "Metadata_well-position"]
    ),
    separator=st.sampled_from([",", ";", "\t"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_every_way_to_write_the_wells_names_the_same_wells(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    places: list[tuple[int, int]],
    spelling: str,
    column: str,
    separator: str,
    mark: str,
) -> None:
    def written(row: int, number: int) -> str:
        text = f"{row_letters(row)}{number:02d}" if "0" in spelling else f"{row_letters(row)}{number}"
        return text.lower() if spelling.startswith("a") else text

    lines = [f"{column}{separator}compound", *(f'"{written(*place)}"{separator}x' for place in places)]

    wells = parse(tmp_path_factory.mktemp("p"), mark + "\r\n".join(lines))

    assert wells["well"].to_list() == [f"{row_letters(row)}{number:02d}" for row, number in places]


@pytest.mark.parametrize(
    "content", ["row,column,drug\nB,3,x\n", "Row;Col;drug\n2;03;x\n", '\ufeffrow,col,drug\r\nB,"""03""",x\r\n']
)
def test_rows_and_columns_name_a_well(tmp_path: Path, content: str) -> None:
    assert parse(tmp_path, content).select("well", "perturbation").rows() == [("B03", "x")]


@pytest.mark.parametrize(
    "column", ["perturbation", "broad_sample", "Metadata_JCP2022", "compound", "pert_iname", "Drug"]
)
def test_perturbations_are_read_under_every_name(tmp_path: Path, column: str) -> None:
    assert parse(tmp_path, f"well,{column}\nA1,x\n")["perturbation"].to_list() == ["x"]


def test_an_identifier_comes_before_a_name(tmp_path: Path) -> None:
    wells = parse(tmp_path, "well,pert_iname,broad_sample\nA1,aspirin,BRD-1\n")

    assert wells.select("perturbation", "name").rows() == [("BRD-1", "aspirin")]


def test_millimoles_become_micromolar_and_a_dose_stays_a_step(tmp_path: Path) -> None:
    wells = parse(tmp_path, "well,compound,mmoles_per_liter,dose\nA1,x,0.005,3\nA2,y,,\nA3,z,0,0\n")

    assert wells["concentration_micromolar"].to_list() == [5.0, None, 0.0]
    assert wells["dose_step"].to_list() == [3.0, None, 0.0]


def test_micromolar_comes_before_millimoles(tmp_path: Path) -> None:
    wells = parse(tmp_path, "well,compound,mmoles_per_liter,concentration_micromolar\nA1,x,1,7\nA2,y,1,\n")

    assert wells["concentration_micromolar"].to_list() == [7.0, 1000.0]


def test_other_columns_are_kept_with_sorted_keys(tmp_path: Path) -> None:
    wells = parse(tmp_path, "well,compound,zebra,plate_map_name,Ärger,solvent,row\nA1,x,1,M,ö,DMSO,9\nA2,y,,M,,,\n")

    assert [json.loads(text) for text in wells["metadata"]] == [
        {"row": "9", "solvent": "DMSO", "zebra": "1", "Ärger": "ö"},
        {},
    ]
    assert wells["metadata"][0] == '{"row": "9", "solvent": "DMSO", "zebra": "1", "Ärger": "ö"}'


def test_missing_values_are_nothing_in_every_spelling(tmp_path: Path) -> None:
    wells = parse(tmp_path, "well,compound,moa\nA1,NA,nan\nA2,,N/A\nA3,null,NA\n")

    assert wells["perturbation"].null_count() == wells["mechanism"].null_count() == 3


def test_wrong_rows_are_listed_by_line_and_none_is_loaded(tmp_path: Path) -> None:
    rows = ["A1,x,1,", "Q99,y,1,", "A2,z,many,", "A01,w,1,", "A3,v,1,posh", "A4,,1,trt", "A5,u,-1,"]
    content = "\n".join(["well,compound,mmoles_per_liter,control_type", *rows])

    with pytest.raises(PlatemapError) as caught:
        parse(tmp_path, content)

    message = str(caught.value)
    assert "6 rows are wrong, so none is loaded" in message
    for said in (
        "line 3: ",
        "'Q'",
        "line 4: expected a number with a decimal point as mmoles_per_liter, got 'many'",
        "lines 2, 5: well A01 is given 2 times",
        "line 6: expected treatment (trt), negcon",
        "'posh'",
        "line 7: well A04 is a treatment without a perturbation",
        "line 8: expected a concentration of at least 0, got -1000.0",
    ):
        assert said in message


@pytest.mark.parametrize("text", ["inf", "1e999", "0,5", "5 uM", "=1+1"])
def test_a_concentration_that_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PlatemapError, match="expected a number with a decimal point"):
        parse(tmp_path, f'well;compound;concentration_micromolar\nA1;x;"{text}"\n')


def test_a_table_without_wells_names_its_columns(tmp_path: Path) -> None:
    with pytest.raises(PlatemapError, match=r"expected a column well, .* got compound, row"):
        parse(tmp_path, "compound,row\nx,A\n")


@pytest.mark.parametrize("name", ["p.xlsx", "p.parquet"])
def test_what_is_no_text_table_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PlatemapError, match="csv, tsv or txt"):
        parse(tmp_path, "well\nA1\n", name)


def test_hostile_names_are_stored_as_they_stand(tmp_path: Path) -> None:
    names = ["'; drop table wells; --", "=HYPERLINK(1)", "x" * 10_000, "{{7*7}}", "名前"]
    lines = "\n".join(f'A{number},"{name}"' for number, name in enumerate(names, start=1))

    assert parse(tmp_path, f"well,compound\n{lines}\n")["perturbation"].to_list() == names
