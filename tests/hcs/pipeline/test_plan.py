from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.pipeline.plan import (
    SITES_A_UNIT,
    SURVEY_SITES,
    PartsPlace,
    PlannedPlate,
    by_site,
    embed_units,
    is_brightfield,
    missing_channels,
    planes_of,
    survey_order,
    survey_unit,
    wells_a_unit,
)
from schemas.encoders import EncoderInfo, WeightsOrigin
from schemas.screen import PixelsConfig
from schemas.work import PlaneRef, RunPin, UnitSpec

PIN = RunPin(instruction_set="AVX2", batch_size=20, torch="2.13.0")
PARTS = PartsPlace(uri="parts", folder="run-1")
CHANNELS = ("AGP", "DNA")


def encoder(**changes: object) -> EncoderInfo:
    fields: dict[str, object] = {
        "name": "named",
        "architecture": "named",
        "weights_sha256": "0" * 64,
        "weights_origin": WeightsOrigin.NONE,
        "embedding_size": 4,
        "mean": 0.0,
        "std": 1.0,
        "licence": "BSD-3-Clause",
    }
    return EncoderInfo.model_validate(fields | changes)


def make_plate(wells: int = 24, sites: int = 1, **changes: object) -> PlannedPlate:
    names = [f"{row}{column:02d}" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)][:wells]
    planes = tuple(
        PlaneRef(well=well, site=site, channel=channel, relative_path=f"{well}-{site}-{channel}.tif", size_bytes=100)
        for well in names
        for site in range(1, sites + 1)
        for channel in CHANNELS
    )
    fields: dict[str, object] = {"screen": "s", "plate": "P", "root": "/a", "planes": planes, "channels": CHANNELS}
    return PlannedPlate(**(fields | changes))  # type: ignore[arg-type]  # a table of keywords


def units_of(plate: PlannedPlate, **changes: object) -> tuple[UnitSpec, ...]:
    fields: dict[str, object] = {
        "pixels": PixelsConfig(),
        "encoders": [encoder()],
        "pin": PIN,
        "parts": PARTS,
        "survey": ("parts/s", "1" * 64),
    }
    return embed_units(plate, **(fields | changes))  # type: ignore[arg-type]  # a table of keywords


@settings(deadline=None, max_examples=30)
@given(wells=st.integers(1, 384), sites=st.integers(1, 9))
def test_every_plane_is_in_exactly_one_unit_and_wells_are_whole(wells: int, sites: int) -> None:
    plate = make_plate(wells, sites)

    units = units_of(plate)

    assert Counter(plane for unit in units for plane in unit.planes) == Counter(plate.planes)
    wells_of_units = [{plane.well for plane in unit.planes} for unit in units]
    assert sum(map(len, wells_of_units)) == wells
    assert len(units) >= min(8, wells)
    assert all(len(by_site(unit.planes)) <= max(SITES_A_UNIT, sites) for unit in units)


def test_keys_do_not_know_where_the_images_lie() -> None:
    here, there = make_plate(root="/a"), make_plate(root="s3://bucket/b")
    elsewhere = PartsPlace(uri="s3://parts", folder="run-9")

    assert [unit.key for unit in units_of(here)] == [unit.key for unit in units_of(there, parts=elsewhere)]


@pytest.mark.parametrize(
    "changes",
    [
        {"pixels": PixelsConfig(tile=128)},
        {"encoders": [encoder(weights_sha256="2" * 64)]},
        {"encoders": [encoder(mean=0.5)]},
        {"encoders": [encoder(), encoder(name="other")]},
        {"pin": PIN.model_copy(update={"batch_size": 21})},
        {"pin": PIN.model_copy(update={"instruction_set": "AVX512"})},
        {"survey": ("parts/s", "3" * 64)},
    ],
)
def test_everything_that_determines_a_result_changes_every_key(changes: dict[str, object]) -> None:
    plate = make_plate()

    assert not {unit.key for unit in units_of(plate)} & {unit.key for unit in units_of(plate, **changes)}


@pytest.mark.parametrize("changes", [{"plate": "Q"}, {"screen": "t"}])
def test_another_plate_with_the_same_file_names_has_other_keys(changes: dict[str, object]) -> None:
    assert not {u.key for u in units_of(make_plate())} & {u.key for u in units_of(make_plate(**changes))}


def test_a_file_of_another_size_changes_the_key_of_its_unit_alone() -> None:
    plate = make_plate(24)
    changed = (plate.planes[0].model_copy(update={"size_bytes": 99}), *plate.planes[1:])

    before, after = units_of(plate), units_of(make_plate(24, planes=changed))

    assert [a.key == b.key for a, b in zip(before, after, strict=True)].count(False) == 1


def test_a_witness_changes_no_key() -> None:
    plate = make_plate(24)
    touched = tuple(plane.model_copy(update={"witness": "later"}) for plane in plate.planes)

    assert [u.key for u in units_of(plate)] == [u.key for u in units_of(make_plate(24, planes=touched))]


def test_a_survey_takes_complete_sites_scattered_over_the_plate_whatever_their_order() -> None:
    plate = make_plate(96)
    without_agp = {f"A{column:02d}" for column in range(1, 13)}
    planes = tuple(p for p in plate.planes if not (p.well in without_agp and p.channel == "AGP"))

    order = survey_order(make_plate(96, planes=planes))
    backwards = survey_order(make_plate(96, planes=planes[::-1]))

    assert order == backwards
    assert len(order) == 96 - 12
    assert not {well for well, _ in order} & without_agp
    assert len({well[0] for well, _ in order[:SURVEY_SITES]}) > 2


def test_a_survey_has_twice_the_sites_it_needs_so_that_unreadable_ones_can_be_replaced() -> None:
    spec = survey_unit(make_plate(96), pixels=PixelsConfig(), pin=PIN, parts=PARTS)

    assert len(by_site(spec.planes)) == 2 * SURVEY_SITES
    assert spec.encoders == ()


def test_a_barcode_with_a_slash_stays_one_folder() -> None:
    (spec, *_) = units_of(make_plate(plate="../P 1"))

    assert spec.parts_folder == "run-1/..%2FP%201"


def test_missing_files_and_other_channels_are_not_planned() -> None:
    images = pl.DataFrame(
        {
            "plate": ["P"] * 3,
            "well": ["B01", "A01", "A01"],
            "site": [1, 1, 1],
            "channel": ["DNA", "DNA", "Brightfield"],
            "z": [1] * 3,
            "timepoint": [1] * 3,
            "relative_path": ["b", "a", "c"],
            "size_bytes": [None, 5, 5],
            "witness": [None, "w", "w"],
        }
    )

    planes = planes_of(images, channels=["DNA"])

    assert [(plane.well, plane.channel, plane.witness) for plane in planes] == [("A01", "DNA", "w")]
    assert missing_channels(planes, ["DNA", "ER"]) == ("ER",)


@pytest.mark.parametrize(
    ("name", "expected"), [("Brightfield", True), ("BF_low", True), ("DPC", True), ("DNA", False), ("AGP", False)]
)
def test_brightfield_is_known_by_its_name(name: str, expected: bool) -> None:
    assert is_brightfield(name) is expected


def test_a_plate_without_wells_still_has_a_size_of_unit() -> None:
    assert wells_a_unit(0, n_sites=0) == 1
