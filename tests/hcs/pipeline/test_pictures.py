"""Pictures of a small run whose images can be taken away and changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from plates import CHANNELS, deliver, plate_images
from runs import perform

from hcs.catalog import Catalog, RunRecord, get_run, open_catalog
from hcs.errors import DeliveryError, InputChangedError, NotFoundError, UnreadableImageError, UsageError
from hcs.imaging.composite import compose, default_colours, percentile_ranges, shrink
from hcs.imaging.correct import correct_site, scale_site
from hcs.pipeline.images import PlateImages
from hcs.pipeline.images import plate_images as read_images
from hcs.pipeline.local import LocalExecutor
from hcs.pipeline.pictures import View, picture_plate, picture_well, read_shown

SIDE, MARGIN = 96, 4


@dataclass(frozen=True)
class Delivered:
    """A finished run, and the folder of its one plate."""

    catalog: Catalog
    run: RunRecord
    folder: Path

    def images(self) -> PlateImages:
        return read_images(self.catalog, self.run, "P")

    def file(self, well: str, site: int, channel: str) -> Path:
        return self.folder / f"{well}-{site}-{channel}.tif"

    def planes(self, well: str, site: int) -> np.ndarray:
        return np.stack([tifffile.imread(self.file(well, site, channel)) for channel in CHANNELS])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivered]:
    """Wells A01, A02, B03 with two sites, and B01 with one that is broken and one that was not delivered."""
    folder = tmp_path_factory.mktemp("run")
    plain = plate_images(8)
    wells = [("A01", 1), ("A01", 2), ("A02", 1), ("A02", 2), ("B03", 1), ("B03", 2), ("B01", 1)]
    images = {
        (f"{well}-{site}", channel): plain[f"A{number:02d}", channel]
        for number, (well, site) in enumerate(wells, start=1)
        for channel in CHANNELS
    }
    deliver(folder / "P", images)
    (folder / "P" / "B01-1-DNA.tif").write_bytes(b"no image")
    screen = {
        "screen": "s",
        "plates": [{"uri": "P"}],
        "pattern": "{well}-{site}-{channel}.tif",
        "encoders": ["named"],
        "pixels": {"tile": 64},
    }
    (folder / "SCREEN.yaml").write_text(yaml.safe_dump(screen))
    with open_catalog(str(folder / "catalog.sqlite")) as catalog:
        perform(catalog, folder / "SCREEN.yaml", LocalExecutor(threads=1))
        yield Delivered(catalog, get_run(catalog), folder / "P")


@pytest.fixture
def kept(finished: Delivered) -> Iterator[Delivered]:
    """The run, whose delivery is put back afterwards."""
    copy = finished.folder.with_name("copy")
    shutil.copytree(finished.folder, copy)
    yield finished
    shutil.rmtree(finished.folder, ignore_errors=True)
    copy.rename(finished.folder)


def place(picture: np.ndarray, row: int, column: int, side: int = SIDE) -> np.ndarray:
    top, left = (MARGIN + index * (side + MARGIN) for index in (row, column))
    return picture[top : top + side, left : left + side]


def test_a_well_is_its_corrected_sites_in_the_range_of_the_plate(finished: Delivered) -> None:
    images = finished.images()

    shown = picture_well(images, "a1")

    assert shown.grid == ((("A01", 1), ("A01", 2)),)
    assert [channel.channel for channel in shown.channels] == sorted(CHANNELS)
    for site in (1, 2):
        grey = scale_site(correct_site(finished.planes("A01", site), images.survey), images.survey)
        colours = np.array(default_colours(CHANNELS), dtype=float)
        expected = np.minimum(np.einsum("cyx,ck->yxk", grey, colours), 255)
        np.testing.assert_allclose(place(shown.picture, 0, site - 1), expected, atol=3)


def test_wells_of_a_plate_share_their_ranges_and_contrast_is_of_what_is_shown(finished: Delivered) -> None:
    images, view = finished.images(), View(contrast=(1, 99), raw=True)

    shared = [picture_well(images, well).channels for well in ("A01", "B03")]
    own = picture_well(images, "B03", site=2, view=view)

    assert shared[0] == shared[1]
    planes = finished.planes("B03", 2)
    ranges = percentile_ranges([planes], low=1, high=99)
    assert [(c.low, c.high) for c in own.channels] == [(limits.low, limits.high) for limits in ranges]
    expected = compose(planes, ranges=ranges, colours=default_colours(CHANNELS))
    np.testing.assert_array_equal(place(own.picture, 0, 0), expected)


def test_raw_pixels_are_as_bright_as_corrected_ones_on_average(finished: Delivered) -> None:
    images = finished.images()

    corrected = picture_well(images, "A02").picture
    raw = picture_well(images, "A02", view=View(raw=True)).picture

    assert raw.mean() == pytest.approx(corrected.mean(), rel=0.1)


def test_channels_are_chosen_in_any_case_and_order_and_one_is_grey(finished: Delivered) -> None:
    images = finished.images()

    shown = picture_well(images, "A01", view=View(channels=("mito", "DNA")))
    grey = picture_well(images, "A01", view=View(channels=("dna",))).picture

    assert [channel.channel for channel in shown.channels] == ["Mito", "DNA"]
    np.testing.assert_array_equal(grey[..., 0], grey[..., 1])
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


def test_a_smaller_picture_is_of_planes_that_were_shrunk(finished: Delivered) -> None:
    images = finished.images()

    shown = picture_well(images, "A01", site=1, view=View(longest_side=20, raw=True, contrast=(0, 100)))

    planes = shrink(finished.planes("A01", 1), longest_side=20)
    expected = compose(planes, ranges=percentile_ranges([planes], low=0, high=100), colours=default_colours(CHANNELS))
    np.testing.assert_array_equal(place(shown.picture, 0, 0, 20), expected)


def test_a_plate_is_a_sheet_with_every_well_at_its_place(finished: Delivered) -> None:
    said: list[tuple[int, int]] = []

    sheet = picture_plate(finished.images(), threads=2, progress=lambda done, total: said.append((done, total)))

    assert sheet.grid == ((("A01", 1), ("A02", 1), None), (("B01", 1), None, ("B03", 1)))
    assert said == [(1, 4), (2, 4), (3, 4), (4, 4)]
    well = picture_well(finished.images(), "B03", site=1).picture
    np.testing.assert_array_equal(place(sheet.picture, 1, 2), place(well, 0, 0))
    (hole,) = sheet.holes
    assert hole.startswith("B01 site 1: run-1 could not use site 1")
    np.testing.assert_array_equal(place(sheet.picture, 1, 0), place(sheet.picture, 0, 2))  # both marked


def test_the_threads_that_read_change_no_pixel(finished: Delivered) -> None:
    alone, three = (picture_plate(finished.images(), site=2, threads=threads) for threads in (0, 3))

    np.testing.assert_array_equal(alone.picture, three.picture)
    assert alone.holes == three.holes


@pytest.mark.parametrize("longest_side", [None, 20, 10_000])
def test_a_site_is_the_same_whether_threads_share_its_planes(finished: Delivered, longest_side: int | None) -> None:
    asked = {"channels": CHANNELS, "view": View(longest_side=longest_side)}

    alone, shared = (read_shown(finished.images(), ("A01", 1), threads=threads, **asked) for threads in (0, 3))

    assert len(alone) == len(CHANNELS)
    np.testing.assert_array_equal(alone, shared)


def test_a_well_of_which_no_site_can_be_shown_says_why(finished: Delivered) -> None:
    with pytest.raises(UnreadableImageError, match=r"run-1 could not use site 1 of well B01.*B01-1-DNA\.tif"):
        picture_well(finished.images(), "B01")
    with pytest.raises(NotFoundError, match="knows no site 2 of well B01"):
        picture_well(finished.images(), "B01", site=2)


def test_an_image_that_is_gone_is_a_hole_beside_the_others(kept: Delivered) -> None:
    kept.file("A01", 2, "AGP").unlink()

    shown = picture_well(kept.images(), "A01")

    assert len(shown.holes) == 1
    assert shown.holes[0].startswith("A01 site 2: ")
    assert "A01-2-AGP.tif" in shown.holes[0]
    dna = picture_well(kept.images(), "A01", view=View(channels=("DNA",)))
    assert dna.holes == ()  # of channels that are not shown nothing is read
    with pytest.raises(UnreadableImageError, match="No such file"):
        picture_well(kept.images(), "A01", site=2)


def test_an_image_that_changed_is_not_shown_as_what_the_run_has_read(kept: Delivered) -> None:
    shutil.copy(kept.file("A02", 1, "AGP"), kept.file("A01", 2, "AGP"))

    with pytest.raises(InputChangedError, match=r"A01-2-AGP\.tif is another one now"):
        picture_well(kept.images(), "A01", site=2)


def test_a_delivery_that_moved_is_said_to_have(kept: Delivered) -> None:
    kept.folder.rename(kept.folder.with_name("elsewhere"))

    with pytest.raises(DeliveryError, match=r"nothing lies at .*/P; put them back, or .*`hcs run` once more"):
        kept.images()

    shutil.rmtree(kept.folder.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("well", "options", "said"),
    [
        ("H12", {}, r"no well H12 of plate P.*it has A01, A02"),
        ("A3", {}, r"no well A03 .*did you mean B03, A0"),
        ("nonsense", {}, r"expected a well from A01 to AF48, got 'nonsense'"),
        ("A01", {"site": 7}, r"no site 7 of plate P; it has 1, 2"),
        ("A01", {"view": View(channels=("DMA",))}, r"no channel 'DMA' of plate P; did you mean DNA\?"),
        ("A01", {"view": View(channels=("xyz",))}, r"no channel 'xyz'.*it has AGP, DNA, Mito"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    finished: Delivered, well: str, options: dict[str, object], said: str
) -> None:
    with pytest.raises(NotFoundError, match=said):
        picture_well(finished.images(), well, **options)  # type: ignore[arg-type]


def test_an_unknown_plate_is_answered_with_the_nearest_and_a_channel_is_named_once(finished: Delivered) -> None:
    with pytest.raises(NotFoundError, match=r"run-1 has no plate 'X' .*it has P"):
        read_images(finished.catalog, finished.run, "X")
    with pytest.raises(UsageError, match="every channel once"):
        picture_well(finished.images(), "A01", view=View(channels=("DNA", "dna")))


def test_a_channel_has_the_colour_that_is_asked_for_and_the_others_their_own(finished: Delivered) -> None:
    plain = picture_well(finished.images(), "A01", site=1)
    view = View(colours=(("dna", (1, 2, 3)),))

    shown = picture_well(finished.images(), "A01", site=1, view=view)

    assert {item.channel: item.colour for item in shown.channels} == {
        item.channel: (1, 2, 3) if item.channel == "DNA" else item.colour for item in plain.channels
    }
    assert not np.array_equal(shown.picture, plain.picture)
    alone = picture_well(
        finished.images(), "A01", site=1, view=View(channels=("DNA",), colours=(("DNA", (0, 255, 0)),))
    )
    assert alone.channels[0].colour == (0, 255, 0)
