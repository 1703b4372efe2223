from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.io.layouts.relocate import DeclaredFile, declared_file, declared_url, match_folders

PARTS = st.lists(st.sampled_from(["data", "P1", "P2", "Images", "raw"]), max_size=4)


def test_paths_of_every_machine_are_taken_apart() -> None:
    expected = DeclaredFile(("data", "P1", "Images"), "a.tif")

    assert declared_file("/data/P1/Images", "a.tif") == expected
    assert declared_file("/data/P1/Images/", "a.tif") == expected
    assert declared_file("file:/data/P1", "Images/a.tif") == expected
    assert declared_file("data\\P1\\Images\\", "a.tif") == expected
    assert declared_file("../data/./P1/Images", "a.tif") == expected
    assert declared_url("s3://data/P1/Images/a.tif") == expected
    assert declared_url("s3://data/P1/Images/a%20b.tif").name == "a b.tif"


@settings(deadline=None, max_examples=100)
@given(root=PARTS, inside=PARTS, elsewhere=PARTS)
def test_a_delivery_copied_anywhere_is_found_again(root: list[str], inside: list[str], elsewhere: list[str]) -> None:
    names = ["a.tif", "b.tif"]
    declared = [DeclaredFile((*root, *inside), name) for name in names]
    delivered = ["/".join([*inside, name]) for name in names]

    matches = match_folders(declared, delivered, root="/" + "/".join(elsewhere))

    assert matches[declared[0].folder].folder == "/".join(inside)


def test_the_longest_agreeing_end_wins() -> None:
    declared = [DeclaredFile(("x", "P1", "Images"), "a.tif")]

    matches = match_folders(declared, ["P2/Images/a.tif", "P1/Images/a.tif", "Images/a.tif"], root="/r")

    assert matches[declared[0].folder].folder == "P1/Images"


def test_a_plate_that_did_not_come_does_not_get_its_neighbours_images() -> None:
    declared = [DeclaredFile(("x", plate, "Images"), "a.tif") for plate in ("P1", "P2")]

    matches = match_folders(declared, ["P2/Images/a.tif"], root="/r")

    assert set(matches) == {("x", "P2", "Images")}


def test_a_renamed_root_is_no_obstacle() -> None:
    declared = [DeclaredFile(("x", "BR1__2021", "Images"), "a.tif")]

    assert match_folders(declared, ["a.tif"], root="/r/BR1")[declared[0].folder].folder == ""
    assert match_folders(declared, ["Images/a.tif"], root="/r/BR1")[declared[0].folder].folder == "Images"


def test_two_folders_that_fit_equally_well_are_not_guessed_between() -> None:
    declared = [DeclaredFile(("x",), "a.tif")]

    assert match_folders(declared, ["A/a.tif", "B/a.tif"], root="/r") == {}


@pytest.mark.parametrize("folder", ["/etc", "../../etc", "C:\\Windows"])
def test_nothing_outside_the_delivery_is_ever_named(folder: str) -> None:
    declared = [declared_file(folder, "../../passwd")]

    assert match_folders(declared, ["a.tif"], root="/r") == {}
    assert ".." not in declared[0].folder
