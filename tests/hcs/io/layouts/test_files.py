from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hcs.errors import DeliveryError, PatternError
from hcs.io.layouts import Delivery, read_delivery
from schemas.acceptance import FindingKind
from schemas.screen import ScreenConfig

PATTERN = "{well}_s{site}_{channel}.tif"


def deliver(
    folder: Path, *, pattern: str | None = PATTERN, channels: dict[str, str] | None = None, **entry: str
) -> Delivery:
    config = ScreenConfig.model_validate(
        {"screen": "s", "plates": [{"uri": str(folder), **entry}], "pattern": pattern, "channels": channels}
    )
    return read_delivery(config.plates[0], config)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"II*\0")


def test_every_file_becomes_one_plane(make_files: Callable[..., Path]) -> None:
    delivery = deliver(make_files())

    assert (delivery.plate, delivery.layout) == ("P1", "files")
    assert delivery.images.select("well", "site", "channel", "z", "timepoint").rows() == [
        (well, site, channel, 1, 1) for well in ("A01", "A02") for site in (1, 2) for channel in ("DNA", "ER")
    ]
    assert delivery.images["relative_path"][0] == "A01_s1_DNA.tif"
    assert delivery.images["size_bytes"].min() > 0
    assert delivery.images["witness"].str.starts_with("mtime:").all()
    assert delivery.duplicates.is_empty()


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(["A01_s1_DNA.tif", "A01_s1_ER.tif", "B01_s1_DNA.tif", "B01_s1_ER.tif"]))
def test_the_order_in_which_files_were_written_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("d") / "P"
    touch(folder, *order)

    assert deliver(folder).images["relative_path"].to_list() == sorted(order)


def test_channels_get_the_names_of_stains_and_the_others_are_left_out(make_files: Callable[..., Path]) -> None:
    delivery = deliver(make_files(channels=("1", "2", "3")), channels={"1": "DNA", "2": "ER"})

    assert delivery.images["channel"].unique().sort().to_list() == ["DNA", "ER"]
    assert delivery.declared_channels == ("DNA", "ER")
    (finding,) = delivery.findings
    assert (finding.kind, finding.place, finding.count) == (FindingKind.UNMAPPED_CHANNEL, "channel 3", 4)


def test_stains_may_be_named_by_themselves(make_files: Callable[..., Path]) -> None:
    delivery = deliver(make_files(channels=("DNA", "ER")), channels={"ch1": "DNA", "ch2": "ER"})

    assert delivery.images["channel"].unique().sort().to_list() == ["DNA", "ER"]


def test_channels_that_nobody_named_are_refused(make_files: Callable[..., Path]) -> None:
    with pytest.raises(DeliveryError, match=r"the delivery has DNA, ER; write its keys"):
        deliver(make_files(), channels={"w1": "Nucleus"})


def test_two_channels_never_become_one_stain(make_files: Callable[..., Path]) -> None:
    with pytest.raises(DeliveryError, match="DNA, ER are all named Mito"):
        deliver(make_files(), channels={"DNA": "Mito", "ER": "Mito"})


def test_two_files_of_one_plane_are_told_and_the_first_by_path_is_kept(tmp_path: Path) -> None:
    touch(tmp_path / "P", "A01_s1_DNA.tif", "A1_s1_DNA.tif", "a01_s01_DNA.tif")

    delivery = deliver(tmp_path / "P")

    assert delivery.images["relative_path"].to_list() == ["A01_s1_DNA.tif"]
    assert delivery.duplicates["relative_path"].to_list() == ["A1_s1_DNA.tif", "a01_s01_DNA.tif"]
    assert delivery.duplicates.columns == delivery.images.columns


def test_what_does_not_fit_is_reported(tmp_path: Path) -> None:
    touch(tmp_path / "P", "A01_s1_DNA.tif", "thumb.tif", "notes/readme.txt", "._A01_s1_DNA.tif", "Q99_s1_DNA.tif")

    assert deliver(tmp_path / "P").unrecognised == (
        "._A01_s1_DNA.tif",
        "Q99_s1_DNA.tif",
        "notes/readme.txt",
        "thumb.tif",
    )


def test_sites_counted_from_zero_are_counted_from_one_and_it_is_said(make_files: Callable[..., Path]) -> None:
    delivery = deliver(make_files(sites=(0, 1)))

    assert delivery.images["site"].unique().sort().to_list() == [1, 2]
    assert [finding.kind for finding in delivery.findings] == [FindingKind.NUMBERED_FROM_ZERO]


class TestPlates:
    """Which plate a file belongs to."""

    PATTERN = "{plate}/Well-{row}{column}/{channel}.jpeg"

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        for plate in ("PK-10B-pl1", "PK-11B-pl1"):
            touch(tmp_path / "root", f"{plate}/Well-A003/Hoechst.jpeg", f"{plate}/Well-A003/FITC.jpeg")
        return tmp_path / "root"

    @pytest.mark.parametrize("plate", ["PK-10B-pl1", "PK-11B-pl1"])
    def test_a_barcode_picks_its_plate_out_of_a_shared_folder(self, root: Path, plate: str) -> None:
        delivery = deliver(root, pattern=self.PATTERN, barcode=plate)

        assert delivery.plate == plate
        assert delivery.images["relative_path"].to_list() == [
            f"{plate}/Well-A003/FITC.jpeg",
            f"{plate}/Well-A003/Hoechst.jpeg",
        ]
        assert delivery.unrecognised == ()

    def test_several_plates_without_a_barcode_are_refused(self, root: Path) -> None:
        with pytest.raises(DeliveryError, match="PK-10B-pl1, PK-11B-pl1; give one entry"):
            deliver(root, pattern=self.PATTERN)

    def test_a_barcode_that_is_none_of_several_plates_is_refused(self, root: Path) -> None:
        with pytest.raises(DeliveryError, match="expected one plate"):
            deliver(root, pattern=self.PATTERN, barcode="other")

    def test_a_barcode_beats_the_only_plate_in_the_names(self, tmp_path: Path) -> None:
        touch(tmp_path / "x", "exp7/Well-A003/Hoechst.jpeg")

        assert deliver(tmp_path / "x", pattern=self.PATTERN, barcode="BR1").plate == "BR1"
        assert deliver(tmp_path / "x", pattern=self.PATTERN).plate == "exp7"

    def test_without_a_plate_field_the_folder_names_the_plate(self, make_files: Callable[..., Path]) -> None:
        folder = make_files("BR00117035")

        assert deliver(folder).plate == "BR00117035"
        assert deliver(Path(f"{folder}/")).plate == "BR00117035"
        assert deliver(folder, barcode="X").plate == "X"


def test_an_entry_s_own_pattern_and_channels_beat_the_screens(make_files: Callable[..., Path]) -> None:
    config = ScreenConfig.model_validate(
        {
            "screen": "s",
            "plates": [{"uri": str(make_files()), "pattern": PATTERN, "channels": {"DNA": "Nucleus"}}],
            "pattern": "{well}.png",
            "channels": {"w1": "DNA"},
        }
    )

    delivery = read_delivery(config.plates[0], config)

    assert delivery.images["channel"].unique().to_list() == ["Nucleus"]


def test_a_file_that_holds_all_channels_gives_one_plane_for_each(tmp_path: Path) -> None:
    (tmp_path / "P").mkdir()
    tifffile.imwrite(tmp_path / "P" / "A01.ome.tif", np.zeros((2, 8, 9), np.uint16), metadata={"axes": "CYX"})

    delivery = deliver(tmp_path / "P", pattern="{well}.ome.tif", channels={"0": "DNA", "1": "ER"})

    assert delivery.images.select("channel", "relative_path").rows() == [
        ("DNA", "A01.ome.tif#channel=0"),
        ("ER", "A01.ome.tif#channel=1"),
    ]
    assert delivery.unrecognised == ()


def test_a_file_of_the_only_channel_needs_no_channel_in_its_name(tmp_path: Path) -> None:
    touch(tmp_path / "P", "A01.tif")

    delivery = deliver(tmp_path / "P", pattern="{well}.tif", channels={"dapi": "DNA"})

    assert delivery.images.select("channel", "relative_path").rows() == [("DNA", "A01.tif")]


def test_a_template_without_channel_and_without_channels_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "P", "A01.tif")

    with pytest.raises(PatternError, match=r"expected \{channel\}, or `channels`"):
        deliver(tmp_path / "P", pattern="{well}.tif")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a01_S1_dna.TIF", "upper and lower case"),
        ("old/A01_s1_DNA.tif", "lie in folders"),
        ("x.tif", "letter by letter"),
    ],
)
def test_a_template_that_fits_nothing_says_how_near_it_is(tmp_path: Path, name: str, hint: str) -> None:
    touch(tmp_path / "P", name)

    with pytest.raises(DeliveryError, match=hint) as caught:
        deliver(tmp_path / "P")

    assert name in str(caught.value)


def test_the_table_is_the_same_wherever_the_delivery_lies(make_files: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_files()
    before = pl.DataFrame(deliver(folder).images)
    moved = tmp_path / "elsewhere" / "P1"
    moved.parent.mkdir()
    folder.rename(moved)

    assert pl.DataFrame(deliver(moved).images).equals(before)
