from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hcs.errors import DeliveryError, PatternError, UnknownLayoutError
from hcs.io.layouts import LAYOUTS, find_layout, read_delivery
from schemas.screen import ScreenConfig


def test_auto_takes_a_load_data_table_before_a_template(make_files: Callable[..., Path]) -> None:
    folder = make_files()

    assert find_layout(str(folder), pattern="{well}_s{site}_{channel}.tif").name == "files"
    (folder / "load_data.csv").write_text("")
    assert find_layout(str(folder), pattern="{well}_s{site}_{channel}.tif").name == "cpg"


def test_a_table_of_something_else_beside_a_delivery_is_not_its_own(make_files: Callable[..., Path]) -> None:
    folder = make_files()
    table = folder.parent / "load_data_other.csv"
    table.write_text("Metadata_Well,Metadata_Site,FileName_OrigDNA\nA01,1,other.tif\n")
    pattern = "{well}_s{site}_{channel}.tif"

    assert find_layout(str(folder), pattern=pattern).name == "files"
    table.write_text("nonsense")
    assert find_layout(str(folder), pattern=pattern).name == "files"
    table.write_text("Metadata_Well,Metadata_Site,FileName_OrigDNA\nA01,1,A01_s1_DNA.tif\n")
    assert find_layout(str(folder), pattern=pattern).name == "cpg"


def test_a_layout_is_found_by_its_name(make_files: Callable[..., Path]) -> None:
    folder = str(make_files())

    assert [find_layout(folder, layout.name) for layout in LAYOUTS] == list(LAYOUTS)


def test_an_unknown_layout_offers_the_nearest_names(make_files: Callable[..., Path]) -> None:
    with pytest.raises(UnknownLayoutError, match=r"did you mean cpg\?"):
        find_layout(str(make_files()), "cgp")


def test_images_that_nothing_explains_are_described(make_files: Callable[..., Path]) -> None:
    with pytest.raises(DeliveryError, match=r"8 files, 8 of them images \(A01_s1_DNA.tif, .*give `pattern`"):
        find_layout(str(make_files()))


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")

    with pytest.raises(DeliveryError, match=r"1 files, 0 of them images \(notes.txt\)"):
        find_layout(str(tmp_path), pattern="{well}.tif")


def test_a_delivery_that_is_not_there_is_said(tmp_path: Path) -> None:
    config = ScreenConfig.model_validate({"screen": "s", "plates": [{"uri": str(tmp_path / "nowhere")}]})

    with pytest.raises(DeliveryError, match="nowhere: No such file"):
        read_delivery(config.plates[0], config)


def test_the_layout_files_needs_a_template(make_files: Callable[..., Path]) -> None:
    config = ScreenConfig.model_validate({"screen": "s", "plates": [{"uri": str(make_files()), "layout": "files"}]})

    with pytest.raises(PatternError, match="give `pattern`"):
        read_delivery(config.plates[0], config)
