from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import UsageError
from hcs.io.pictures import LONGEST_WEBP_SIDE, picture_bytes, picture_format, with_axes, write_picture


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 99), height=st.integers(1, 20), width=st.integers(1, 20))
def test_a_png_holds_every_pixel_and_equal_pictures_are_equal_bytes(seed: int, height: int, width: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)

    content = picture_bytes(picture, form="PNG")

    np.testing.assert_array_equal(imagecodecs.png_decode(content), picture)
    assert content == picture_bytes(picture[::-1][::-1], form="PNG")


def test_a_webp_is_close_to_the_picture(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :96]
    picture = np.stack([2 * y, 2 * x, 255 - y - x], axis=-1).astype(np.uint8)

    write_picture(picture, str(tmp_path / "folder" / "a.WebP"))

    read = imagecodecs.webp_decode((tmp_path / "folder" / "a.WebP").read_bytes())
    assert read.shape == picture.shape
    assert np.abs(read.astype(int) - picture).mean() < 4


@settings(deadline=None, max_examples=25)
@given(n_rows=st.integers(1, 32), n_columns=st.integers(1, 48), side=st.integers(1, 40))
def test_names_of_rows_and_columns_stand_beside_the_picture_and_not_on_it(
    n_rows: int, n_columns: int, side: int
) -> None:
    picture = np.full((n_rows * side, n_columns * side, 3), 99, np.uint8)
    rows, columns = ["A"] * n_rows, ["1"] * n_columns

    sheet = with_axes(picture, rows=rows, columns=columns)

    margin = sheet.shape[0] - picture.shape[0]
    assert sheet.shape == (picture.shape[0] + margin, picture.shape[1] + margin, 3)
    np.testing.assert_array_equal(sheet[margin:, margin:], picture)
    assert (sheet[:margin] != sheet[0, 0]).any(), "columns are named"
    assert (sheet[:, :margin] != sheet[0, 0]).any(), "rows are named"


def test_a_name_stands_beside_its_own_place() -> None:
    picture = np.full((400, 600, 3), 99, np.uint8)

    named, bare = (with_axes(picture, rows=["A", "B"], columns=["1", name, "3"]) for name in ("2", ""))

    _, x, _ = np.nonzero(named != bare)
    margin = named.shape[0] - 400
    assert margin + 200 <= x.min()
    assert x.max() < margin + 400


@pytest.mark.parametrize("name", ["a.jpg", "a", "png", "a.png/"])
def test_another_ending_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(UsageError, match=r"\.png or \.webp"):
        picture_format(name)


def test_what_webp_cannot_hold_is_refused_and_png_can(tmp_path: Path) -> None:
    picture = np.zeros((1, LONGEST_WEBP_SIDE + 1, 3), dtype=np.uint8)

    with pytest.raises(UsageError, match=r"16,383.*--size"):
        write_picture(picture, str(tmp_path / "a.webp"))
    write_picture(picture, str(tmp_path / "a.png"))

    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
