"""A drafted SCREEN.yaml, filled in where it says so, is one that the delivery is accepted with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hcs.errors import DeliveryError, ScreenFileError, UnknownLayoutError
from hcs.io.acceptance import accept
from hcs.io.draft import draft_screen
from hcs.io.layouts import read_delivery
from hcs.io.platemaps import read_plate_wells
from hcs.io.screen import load_screen
from hcs.screenfile import FILL_IN
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design
from schemas.acceptance import AcceptanceReport, Verdict
from schemas.screen import ScreenConfig

PLATEMAP = "well,perturbation,control_type\nA01,DMSO,negcon\nA02,CPD,trt\n"


def written(folder: Path, text: str) -> ScreenConfig:
    path = folder / "drafted.yaml"
    path.write_text(text)
    return load_screen(str(path))


def reports(config: ScreenConfig) -> list[AcceptanceReport]:
    deliveries = [read_delivery(entry, config) for entry in config.plates]
    wells = read_plate_wells(config, [delivery.plate for delivery in deliveries])
    return [accept(delivery, wells, config=config) for delivery in deliveries]


def image(path: Path, *, pages: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((pages, 8, 9) if pages > 1 else (8, 9), np.uint16)
    tifffile.imwrite(path, pixels, **({"imagej": True, "metadata": {"axes": "CYX"}} if pages > 1 else {}))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "kinases"
    design = small_design(batches=2, plates=1, wells=24)
    simulate_screen(str(folder), design=replace(design, site_px=64), seed=3, workers=1)
    return folder


def test_a_simulated_screen_is_described_unedited(simulated: Path, tmp_path: Path) -> None:
    text = draft_screen(str(simulated))

    config = written(tmp_path, text)
    own = load_screen(str(simulated / "SCREEN.yaml"))
    assert FILL_IN not in text.replace(f"what says {FILL_IN}", "")
    assert config.screen == "kinases"
    described = [(plate.uri, plate.barcode, plate.layout, plate.batch) for plate in config.plates]
    assert described == [(plate.uri, plate.barcode, plate.layout, plate.batch) for plate in own.plates]
    assert {report.verdict for report in reports(config)} == {Verdict.ACCEPT}
    assert reports(config) == reports(own.model_copy(update={"pixels": config.pixels}))


def test_one_simulated_plate_finds_its_platemap_in_the_folder_of_its_batch(simulated: Path, tmp_path: Path) -> None:
    folder = next(path for path in sorted(simulated.rglob("load_data.csv"))).parent

    config = written(tmp_path, draft_screen(f"{folder}/"))

    (report,) = reports(config)
    assert report.verdict is Verdict.ACCEPT
    assert report.n_negcon_wells > 0
    assert config.plates[0].batch == folder.parents[1].name


def test_results_that_lie_beside_a_delivery_do_not_come_back_as_annotations(simulated: Path, tmp_path: Path) -> None:
    """The tutorial saves `calls.csv` there: a mechanism that was predicted is nothing that was known."""
    calls = simulated.parent / "calls.csv"
    calls.write_text("perturbation,mechanism,mechanism_source,q_value\nSIM-1,kinase inhibitor,predicted,0.01\n")
    try:
        text = draft_screen(str(simulated))
    finally:
        calls.unlink()

    config = written(tmp_path, text)
    assert config.annotations == load_screen(str(simulated / "SCREEN.yaml")).annotations
    assert "calls.csv holds results (mechanism_source, q_value), and is left out" in " ".join(
        line.lstrip("# ") for line in text.splitlines()
    )


def test_files_with_a_platemap_beside_them_need_no_filling(make_files, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = make_files("BR1")
    (tmp_path / "platemap.csv").write_text(PLATEMAP)

    config = written(tmp_path, draft_screen(str(folder)))

    (report,) = reports(config)
    assert (config.pattern, config.channels) == ("{well}_s{site}_{channel}.tif", {"DNA": "DNA", "ER": "ER"})
    assert config.platemaps == str(tmp_path / "platemap.csv")
    assert (report.plate, report.verdict, report.n_negcon_wells) == ("BR1", Verdict.ACCEPT, 1)


def test_what_cannot_be_seen_is_marked_and_refused_until_it_is_filled_in(make_files, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = draft_screen(str(make_files(channels=("w1", "w2"))))

    with pytest.raises(ScreenFileError, match=r"at channels\.1, channels\.2, platemaps;"):
        written(tmp_path, text)

    (tmp_path / "map.csv").write_text(PLATEMAP)
    filled = text.replace(f'"1": {FILL_IN}', '"1": DNA').replace(f'"2": {FILL_IN}', '"2": GFP')
    (report,) = reports(written(tmp_path, filled.replace(f"platemaps: {FILL_IN}", "platemaps: map.csv")))
    assert (report.verdict, report.channels) == (Verdict.ACCEPT, ("DNA", "GFP"))


def test_a_platemap_without_controls_offers_the_most_frequent_perturbations(make_files, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = make_files(wells=("A01", "A02", "A03"))
    (folder / "map.tsv").write_text("well\tcompound\nA01\tsolvent\nA02\tx\nA03\tsolvent\n")

    text = draft_screen(str(folder))

    assert f"controls: {{negcon: [{FILL_IN}]}}" in text
    assert "most frequent perturbations are solvent (2 wells), x (1 wells)" in text
    (report,) = reports(written(tmp_path, text.replace(f"[{FILL_IN}]", "[solvent]")))
    assert report.n_negcon_wells == 2


def test_a_table_of_wells_that_does_not_say_what_was_done_is_named(make_files) -> None:  # type: ignore[no-untyped-def]
    folder = make_files()
    (folder / "doses.csv").write_text("Row,Column,Doses\nA,1,3\n")

    text = draft_screen(str(folder))

    assert "doses.csv has wells, but no column that says what was done" in text
    assert f"platemaps: {FILL_IN}" in text


def test_a_platemap_of_other_wells_is_not_taken(make_files) -> None:  # type: ignore[no-untyped-def]
    folder = make_files()
    (folder / "map.csv").write_text("well,perturbation\nH12,DMSO\n")

    text = draft_screen(str(folder))

    assert "map.csv: none of the delivered wells is described there" in text
    assert f"platemaps: {FILL_IN}" in text


def test_plates_that_name_their_images_differently_get_a_pattern_each(tmp_path: Path) -> None:
    for well in ("A01", "A02"):
        image(tmp_path / "d" / "first" / f"{well}_s1_w1.tif")
        image(tmp_path / "d" / "second" / "deep" / f"x_{well}.TIF")

    text = draft_screen(str(tmp_path / "d"))

    config = written(tmp_path, text.replace(FILL_IN, "DNA").replace("platemaps: DNA", ""))
    assert [plate.barcode for plate in config.plates] == ["first", "second"]
    assert [report.delivered.images for report in reports(config)] == [2, 2]


def test_plates_in_folders_share_one_pattern_and_are_told_apart_by_their_barcodes(tmp_path: Path) -> None:
    for plate in ("P-1b", "P-2"):
        for well in ("A01", "B02"):
            image(tmp_path / "d" / plate / well / "Hoechst.tif")

    config = written(tmp_path, draft_screen(str(tmp_path / "d")).replace(f"platemaps: {FILL_IN}", ""))

    assert (config.pattern, config.channels) == ("{plate}/{well}/{channel}.tif", {"Hoechst": "DNA"})
    assert [report.plate for report in reports(config)] == ["P-1b", "P-2"]
    assert [report.delivered.images for report in reports(config)] == [2, 2]


def test_the_first_of_several_time_points_is_described(tmp_path: Path) -> None:
    for time in ("01", "02"):
        for well in ("A01", "B02"):
            image(tmp_path / "d" / f"TimePoint_{time}" / f"x_{well}_w1.tif")

    text = draft_screen(str(tmp_path / "d"))

    assert "time points 01, 02 were found" in text
    (report,) = reports(written(tmp_path, text.replace(FILL_IN, "DNA").replace("platemaps: DNA", "")))
    assert report.delivered.images == 2
    assert not [finding for finding in report.findings if finding.kind == "several_timepoints"]


def test_channels_inside_the_files_are_counted(tmp_path: Path) -> None:
    for well in ("A01", "B02"):
        image(tmp_path / "d" / f"{well}.tif", pages=3)

    text = draft_screen(str(tmp_path / "d"))

    assert text.count(f": {FILL_IN}  # which stain?") == 3
    for stain in ("DNA", "ER", "AGP"):
        text = text.replace(f": {FILL_IN}  # which", f": {stain}  # which", 1)
    (report,) = reports(written(tmp_path, text.replace(f"platemaps: {FILL_IN}", "")))
    assert report.channels == ("AGP", "DNA", "ER")


def test_images_that_no_template_is_found_for_are_left_to_a_person(tmp_path: Path) -> None:
    image(tmp_path / "d" / "cat.tif")

    text = draft_screen(str(tmp_path / "d"))

    assert "no template was found for names such as cat.tif" in text
    assert yaml.safe_load(text)["pattern"] == FILL_IN


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 100
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(folder=NAMES, names=st.lists(NAMES, min_size=1, max_size=3, unique_by=str.casefold))
def test_whatever_names_there_are_the_draft_is_yaml(
    tmp_path_factory: pytest.TempPathFactory, folder: str, names: list[str]
) -> None:
    top = tmp_path_factory.mktemp("any") / folder
    for name in names:
        image(top / f"{name}.tif")

    if all(name.startswith(".") for name in names):
        with pytest.raises(DeliveryError, match="expected a delivery with images"):
            draft_screen(str(top))
        return
    content = yaml.safe_load(draft_screen(str(top)))

    assert content["plates"][0]["uri"] == str(top)
    assert {"screen", "plates", "pattern", "platemaps"} <= set(content)


@pytest.mark.parametrize("make", ["nothing", "empty", "documents", "file"])
def test_what_is_no_delivery_is_refused_with_what_was_seen(tmp_path: Path, make: str) -> None:
    place = tmp_path / "place"
    if make == "file":
        place.write_text("x")
    elif make != "nothing":
        place.mkdir()
    if make == "documents":
        (place / "letter.docx").write_text("x")
    said = {"nothing": "No such file", "file": "Not a directory", "empty": "got 0 files", "documents": "letter.docx"}

    with pytest.raises(DeliveryError, match=said[make]):
        draft_screen(str(place))


def test_a_layout_can_be_asked_for_and_an_unknown_one_is_refused(simulated: Path, make_files) -> None:  # type: ignore[no-untyped-def]
    plate = next(iter(sorted(simulated.rglob("load_data.csv")))).parent

    assert 'pattern: "Images/r{row}c{column}f{site}p{z}-ch{channel}sk' in draft_screen(str(plate), layout="files")
    with pytest.raises(UnknownLayoutError, match="did you mean files"):
        draft_screen(str(plate), layout="file")
    with pytest.raises(DeliveryError, match=r"load_data\.csv"):
        draft_screen(str(make_files()), layout="cpg")
