from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from plates import CHANNELS, PIXELS, deliver, encoders, plate_images

from hcs.embedding.engine import pin_for
from hcs.embedding.loading import load_encoder
from hcs.errors import CancelledError, DeliveryError, StorageError
from hcs.io.tables import read_embedding_table, read_table
from hcs.pipeline.plan import PartsPlace, PlannedPlate, embed_units, survey_unit
from hcs.pipeline.sites import embed_tiles
from hcs.pipeline.stopwatch import Stopwatch
from hcs.pipeline.surveys import read_survey
from hcs.pipeline.workbench import Workbench
from schemas.work import Receipt, UnitSpec


def perform(plate: PlannedPlate, parts: Path) -> tuple[Receipt, list[Receipt], tuple[UnitSpec, ...]]:
    """Survey and embed a plate on one bench."""
    bench, place, pin = Workbench(), PartsPlace(uri=str(parts), folder="run-1"), pin_for(3 * 4)
    surveyed = bench.perform(survey_unit(plate, pixels=PIXELS, pin=pin, parts=place))
    (part,) = surveyed.parts
    units = embed_units(
        plate,
        pixels=PIXELS,
        encoders=encoders(),
        pin=pin,
        parts=place,
        survey=(str(parts / part.relative_path), part.sha256),
    )
    return surveyed, [bench.perform(unit) for unit in units], units


def vectors(receipts: list[Receipt], parts: Path, encoder: str) -> dict[str, NDArray[np.float32]]:
    found = {}
    for receipt in receipts:
        for part in receipt.parts:
            if part.kind == "embedding" and part.encoder == encoder:
                keys, matrix = read_embedding_table(str(parts / part.relative_path), expected_sha256=part.sha256)
                found |= dict(zip(keys["well"].to_list(), matrix, strict=True))
    return found


def test_a_plate_becomes_rows_vectors_and_witnesses(tmp_path: Path) -> None:
    plate = deliver(tmp_path / "plate", plate_images())

    surveyed, receipts, _ = perform(plate, tmp_path / "parts")

    assert surveyed.n_sites == 4
    assert sum(receipt.n_sites for receipt in receipts) == 4
    assert not any(receipt.n_failed_sites for receipt in receipts)
    assert vectors(receipts, tmp_path / "parts", "named")["A01"].shape == (12,)
    assert vectors(receipts, tmp_path / "parts", "mobilenetv3_small_100.untrained")["A01"].shape == (3 * 1024,)
    tables = {part.kind: read_table(str(tmp_path / "parts" / part.relative_path)) for part in receipts[0].parts}
    assert tables["images"]["witness"].to_list() == ["w"] * 3
    assert tables["channels"]["channel"].to_list() == list(CHANNELS)
    embedded = tables["embedding"]
    info = {item.name: item for item in encoders()}[embedded["encoder"][0]]
    assert set(embedded["weights_sha256"]) == {info.weights_sha256}
    assert len(receipts[0].model_dump_json()) < 10_000


@settings(deadline=None, max_examples=4)
@given(order=st.permutations(CHANNELS))
def test_permuting_channel_names_with_their_pixels_changes_nothing_and_pixels_alone_do(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("channels")
    images = plate_images(2)
    renamed = dict(zip(CHANNELS, order, strict=True))
    reordered = {key: images[key] for key in sorted(images, key=lambda key: renamed[key[1]], reverse=True)}
    swapped = {(well, renamed[channel]): image for (well, channel), image in images.items()}

    before = perform(deliver(folder / "a", images), folder / "pa")[1]
    with_names = perform(deliver(folder / "b", reordered), folder / "pb")[1]
    pixels_alone = perform(deliver(folder / "c", swapped), folder / "pc")[1]

    for info in encoders():
        ours = vectors(before, folder / "pa", info.name)
        theirs = vectors(with_names, folder / "pb", info.name)
        other = vectors(pixels_alone, folder / "pc", info.name)
        assert all(np.array_equal(ours[well], theirs[well]) for well in ours)
        is_identity = tuple(order) == CHANNELS
        assert all(np.array_equal(ours[well], other[well]) is is_identity for well in ours)
        blocks = {name: ours["A01"].reshape(3, -1)[index] for index, name in enumerate(CHANNELS)}
        moved = {name: other["A01"].reshape(3, -1)[index] for index, name in enumerate(CHANNELS)}
        assert all(np.array_equal(blocks[name], moved[renamed[name]]) for name in CHANNELS)


def test_the_rows_of_a_plane_ref_may_come_in_any_order(tmp_path: Path) -> None:
    plate = deliver(tmp_path / "plate", plate_images(2))
    backwards = PlannedPlate(**{**vars(plate), "planes": plate.planes[::-1]})

    first, second = perform(plate, tmp_path / "p1")[1], perform(backwards, tmp_path / "p2")[1]

    ours, theirs = vectors(first, tmp_path / "p1", "named"), vectors(second, tmp_path / "p2", "named")
    assert all(np.array_equal(ours[well], theirs[well]) for well in ours)


def test_a_site_that_cannot_be_read_is_a_row_with_its_reason_and_no_place_of_the_machine(tmp_path: Path) -> None:
    plate = deliver(tmp_path / "plate", plate_images())
    (tmp_path / "plate" / "A02-DNA.tif").write_bytes(b"II*\0")

    surveyed, receipts, _ = perform(plate, tmp_path / "parts")

    assert surveyed.n_failed_sites == 1
    parts = [part for receipt in receipts for part in receipt.parts if part.kind == "sites"]
    rows = pl.concat([read_table(str(tmp_path / "parts" / part.relative_path)) for part in parts])
    (failed,) = rows.filter(pl.col("status") == "failed").iter_rows(named=True)
    assert failed["well"] == "A02"
    assert "A02-DNA.tif" in failed["reason"]
    assert str(tmp_path) not in failed["reason"]
    assert sorted(vectors(receipts, tmp_path / "parts", "named")) == ["A01", "A03", "A04"]


def test_a_site_without_one_channel_fails_and_says_which(tmp_path: Path) -> None:
    images = plate_images()
    del images["A03", "Mito"]

    _, receipts, _ = perform(deliver(tmp_path / "plate", images), tmp_path / "parts")

    parts = [part for receipt in receipts for part in receipt.parts if part.kind == "sites"]
    rows = pl.concat([read_table(str(tmp_path / "parts" / part.relative_path)) for part in parts])
    assert "Mito" in rows.filter(pl.col("well") == "A03")["reason"][0]


def test_a_plate_of_which_nothing_can_be_read_has_no_survey(tmp_path: Path) -> None:
    plate = deliver(tmp_path / "plate", plate_images(2))
    for path in (tmp_path / "plate").iterdir():
        path.write_bytes(b"no image")

    with pytest.raises(DeliveryError, match="none of 2"):
        perform(plate, tmp_path / "parts")


def test_a_survey_that_is_not_the_registered_one_is_refused(tmp_path: Path) -> None:
    surveyed, _, _ = perform(deliver(tmp_path / "plate", plate_images(2)), tmp_path / "parts")
    uri = tmp_path / "parts" / surveyed.parts[0].relative_path
    assert read_survey(str(uri), expected_sha256=surveyed.parts[0].sha256).channels == CHANNELS
    uri.write_bytes(uri.read_bytes()[:-1] + b"\0")

    with pytest.raises(StorageError, match="SHA-256"):
        read_survey(str(uri), expected_sha256=surveyed.parts[0].sha256)


def test_the_same_unit_twice_is_the_same_bytes(tmp_path: Path) -> None:
    plate = deliver(tmp_path / "plate", plate_images())

    first, second = perform(plate, tmp_path / "p1"), perform(plate, tmp_path / "p2")

    assert [part.sha256 for part in first[0].parts] == [part.sha256 for part in second[0].parts]
    assert [[part.sha256 for part in r.parts] for r in first[1]] == [[p.sha256 for p in r.parts] for r in second[1]]


def test_work_that_is_cancelled_stops_between_two_sites(tmp_path: Path) -> None:
    watch = Stopwatch()
    watch.cancelled.set()
    plate = deliver(tmp_path / "plate", plate_images(2))
    spec = survey_unit(plate, pixels=PIXELS, pin=pin_for(12), parts=PartsPlace(uri=str(tmp_path), folder="r"))

    with pytest.raises(CancelledError):
        Workbench().perform(spec, watch=watch)


def test_a_vector_is_the_mean_over_the_tiles_of_each_channel(tmp_path: Path) -> None:
    encoder = load_encoder(encoders()[1])
    tiles = np.random.default_rng(0).uniform(size=(4, 3, 64, 64)).astype(np.float32)

    vector = embed_tiles(tiles, encoder, batch_size=12)

    for channel in range(3):
        alone = encoder.embed(np.ascontiguousarray(tiles[:, channel]), batch_size=12).mean(axis=0)
        np.testing.assert_allclose(vector.reshape(3, -1)[channel], alone, rtol=1e-5, atol=1e-9)
