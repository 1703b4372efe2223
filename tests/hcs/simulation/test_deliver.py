import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile
from polars.testing import assert_frame_equal

from hcs.errors import StorageError, UsageError
from hcs.io.layouts import read_delivery
from hcs.io.platemaps import read_plate_wells
from hcs.io.screen import load_screen
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import ScreenDesign, small_design
from hcs.simulation.library import CHANNELS
from hcs.simulation.plan import lay_out_screen
from hcs.simulation.sites import find_well, render_site
from hcs.simulation.truth import read_treatment_truth, treatment_truth
from schemas.screen import ScreenConfig

DESIGN = replace(small_design(wells=24, plates=2), site_px=64)


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("screen")
    simulate_screen(str(folder), design=DESIGN, seed=9)
    return folder


def test_the_screen_says_what_was_written(tmp_path: Path):
    seen: list[tuple[int, int]] = []

    screen = simulate_screen(
        str(tmp_path / "new" / "folder"),
        design=replace(DESIGN, n_plates=1),
        seed=1,
        progress=lambda done, total: seen.append((done, total)),
    )

    assert (screen.n_sites, screen.n_images) == (24, 120)
    assert Path(screen.screen_file).is_file()
    assert len(list((tmp_path / "new").rglob("*.tiff"))) == 120
    assert seen[-1] == (24, 24)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_every_image_that_load_data_names_is_there_and_no_other(delivered: Path):
    for table in delivered.rglob("load_data.csv"):
        rows = pl.read_csv(table, infer_schema=False)
        named = {
            (table.parent / row[f"PathName_Orig{channel}"] / row[f"FileName_Orig{channel}"]).resolve()
            for row in rows.iter_rows(named=True)
            for channel in CHANNELS
        }
        assert named == set(table.parent.resolve().rglob("*.tiff"))


def test_the_screen_file_names_files_that_are_there(delivered: Path):
    config = load_screen(str(delivered / "SCREEN.yaml"))

    assert [plate.barcode for plate in config.plates] == ["SIM00009001", "SIM00009002"]
    assert all((Path(plate.uri) / "load_data.csv").is_file() for plate in config.plates)
    assert all(Path(path).is_file() for path in (*config.platemaps, config.annotations))
    assert config.encoders == ScreenConfig.model_fields["encoders"].default
    assert config.pixels.tile == 64


def test_a_delivery_is_read_as_any_other(delivered: Path):
    config = load_screen(str(delivered / "SCREEN.yaml"))
    truth = pl.read_parquet(delivered / "truth" / "wells.parquet")

    deliveries = [read_delivery(plate, config) for plate in config.plates]
    wells = read_plate_wells(config, [plate.barcode for plate in config.plates])

    for delivery in deliveries:
        assert delivery.images.height == 24 * len(CHANNELS)
        assert delivery.images["size_bytes"].null_count() == 0
        assert (delivery.duplicates.height, delivery.unrecognised) == (0, ())
    keys = ["plate", "well", "perturbation", "concentration_micromolar", "control_type"]
    as_read = wells.with_columns(pl.col("control_type").cast(pl.String)).select(keys).sort("plate", "well")
    assert_frame_equal(as_read, truth.select(keys).sort("plate", "well"))


def test_images_hold_the_pixels_of_their_site(delivered: Path):
    plan = lay_out_screen(DESIGN, 9)
    plate, well = find_well(plan, plate="SIM00009002", well="C04")
    folder = next(delivered.rglob("SIM00009002"))
    row = pl.read_csv(folder / "load_data.csv").filter(pl.col("Metadata_Well") == "C04").row(0, named=True)

    pixels = [tifffile.imread(folder / "Images" / row[f"FileName_Orig{channel}"]) for channel in CHANNELS]

    np.testing.assert_array_equal(pixels, render_site(plan, plate, well, 1).pixels)


def test_processes_write_the_same_bytes(delivered: Path, tmp_path: Path):
    simulate_screen(str(tmp_path), design=DESIGN, seed=9, workers=2)

    assert _digests(tmp_path) == _digests(delivered)


def test_an_interrupted_screen_is_completed(delivered: Path, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        simulate_screen(str(tmp_path), design=DESIGN, seed=9, progress=_interrupt)
    assert not (tmp_path / "SCREEN.yaml").exists()

    simulate_screen(str(tmp_path), design=DESIGN, seed=9)

    assert _digests(tmp_path) == _digests(delivered)


def _interrupt(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_another_screen_is_not_mixed_into_a_folder(delivered: Path):
    before = _digests(delivered)

    with pytest.raises(UsageError, match="holds a screen of another design or seed"):
        simulate_screen(str(delivered), design=DESIGN, seed=10)

    assert _digests(delivered) == before


def test_a_moved_screen_is_still_whole(delivered: Path):
    for path in delivered.rglob("*"):
        if path.suffix in {".csv", ".txt", ".tsv", ".yaml", ".json"}:
            assert str(delivered) not in path.read_text()


def test_images_of_active_and_inactive_wells_have_the_same_size(delivered: Path):
    assert len({path.stat().st_size for path in delivered.rglob("*.tiff")}) == 1


def test_the_truth_can_be_read_back(delivered: Path):
    truth = read_treatment_truth(str(delivered))

    assert truth.drop("push").equals(treatment_truth(lay_out_screen(DESIGN, 9)).drop("push"))
    assert set(pl.read_parquet(delivered / "truth" / "wells.parquet")["plate"]) == {"SIM00009001", "SIM00009002"}


def test_a_folder_without_truth_is_said_to_have_none(tmp_path: Path):
    with pytest.raises(StorageError, match=r"treatments\.parquet"):
        read_treatment_truth(str(tmp_path))


@pytest.mark.parametrize(("seed", "workers"), [(-1, 1), (0, 0)])
def test_an_impossible_seed_or_number_of_workers_is_refused(tmp_path: Path, seed: int, workers: int):
    with pytest.raises(UsageError, match="a seed of at least 0 and at least 1 worker were expected"):
        simulate_screen(str(tmp_path), design=ScreenDesign(), seed=seed, workers=workers)
