"""The page of plates: what stands there is what the API says, and what is missing is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from apps import Opened
from plates import CHANNELS, cells
from runs import perform
from served import BROKEN, COMPOUNDS, SCRIPT, Finished, make_keys
from serving import serving
from streamlit.testing.v1 import AppTest

from dashboards.connection import forget_answers
from dashboards.views.plates_map import drawn_of
from dashboards.views.plates_report import findings_table, in_words
from dashboards.words import plain
from hcs.catalog import open_catalog
from hcs.client import Client
from hcs.io.tiff import tiff_bytes
from hcs.pipeline.local import LocalExecutor
from schemas.acceptance import Finding, FindingKind, Severity
from schemas.api import Well

TREATED = "B03"
"""The first well with a compound, whose name is a script."""


def texts(app: AppTest) -> str:
    return "\n".join(one.value for one in [*app.markdown, *app.caption, *app.info, *app.warning])


def figures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def chart(app: AppTest) -> dict[str, Any]:
    (drawn,) = app.get("vega_lite_chart")
    found: dict[str, Any] = json.loads(drawn.proto.spec)
    return found


def alt(app: AppTest) -> str:
    return str(app.get("vega_lite_chart")[0].proto.alt)


def pictures(app: AppTest) -> list[str]:
    return [image.proto.imgs[0].alt for image in app.get("image")]


def wells_of(plate: str) -> dict[str, Well]:
    with Client() as client:
        return {well.well: well for well in client.wells(plate)}


def test_a_plate_is_introduced_by_its_verdict_its_wells_and_its_sites(opened: Opened) -> None:
    app = opened("plates", plate="P2")

    with Client() as client:
        plate = client.plate("P2")
    assert app.selectbox(key="plate").value == "P2"
    assert "Accepted with holes" in texts(app) if plate.verdict == "accept_with_holes" else "Accepted" in texts(app)
    assert f"{plate.quality.sites} sites: {plate.quality.sites_failed} failed" in texts(app)
    assert "8 negative controls" in texts(app)
    assert app.expander[0].label.startswith(f"Acceptance: {len(plate.report.findings)} finding")
    for finding in plate.report.findings:
        assert finding.kind.value.replace("_", " ").capitalize() in texts(app)


def test_the_map_and_the_table_hold_what_the_api_measures(opened: Opened) -> None:
    app = opened("plates", plate="P1", measure="intensity:DNA", all_wells="true")

    with Client() as client:
        measures = client.measures("P1")
    raw = next(one for one in measures.measures if one.name == "intensity:DNA").raw
    known = [value for value in raw if value is not None]
    table = next(frame.value for frame in app.dataframe if "well" in frame.value.columns)
    (column,) = [name for name in table.columns if name.startswith("on the map")]
    assert table["well"].tolist() == list(measures.wells)
    assert table[column].dropna().tolist() == known
    assert f"from {min(known):.4g} to {max(known):.4g} grey value" in alt(app)


def test_a_map_without_rows_and_columns_shows_the_residuals(opened: Opened) -> None:
    app = opened("plates", plate="P1", measure="intensity:DNA", corrected="true")

    with Client() as client:
        measures = client.measures("P1")
    values = next(one for one in measures.measures if one.name == "intensity:DNA").corrected
    known = [value for value in values if value is not None]
    assert f"from {min(known):.4g} to {max(known):.4g} grey value" in alt(app)


def test_what_is_a_number_of_the_treatment_has_no_correction_for_places(opened: Opened) -> None:
    app = opened("plates", plate="P1", measure="effect", corrected="true")

    said = [well.call.effect for well in wells_of("P1").values() if well.call and well.call.effect is not None]
    assert app.toggle(key="corrected").disabled
    assert f"from {min(said):.4g} to {max(said):.4g}" in alt(app)


def test_a_well_shows_its_sites_its_quality_and_what_is_said_of_its_treatment(opened: Opened) -> None:
    app = opened("plates", plate="P1", well=TREATED)

    well = wells_of("P1")[TREATED]
    assert well.call is not None
    assert pictures(app) == [f"Well {TREATED} of plate P1, 1 site: AGP, DNA, Mito"]
    shown = figures(app)
    assert shown["Sites"] == "1"
    assert shown["Failed sites"] == "0"
    assert float(shown["Cells a site"]) == pytest.approx(well.cell_count, rel=0.01)
    assert float(shown["mAP"]) == pytest.approx(well.call.mean_average_precision, rel=0.01)
    assert ("a hit" in texts(app)) == well.call.is_hit
    assert chart(app)["vconcat"][0]["hconcat"][0]["layer"][0]["params"][0]["value"] == [{"well": TREATED}]


def test_another_well_is_chosen_by_keyboard_and_stands_in_the_address(opened: Opened) -> None:
    app = opened("plates", plate="P1", well=TREATED)

    app.selectbox(key="well").select("A01").run()

    assert pictures(app) == ["Well A01 of plate P1, 1 site: AGP, DNA, Mito"]
    assert "negative control" in texts(app)
    assert app.query_params["well"] in ("A01", ["A01"])


def test_a_well_stays_chosen_on_another_plate(opened: Opened) -> None:
    app = opened("plates", plate="P1", well="C03")

    app.selectbox(key="plate").select("P2").run()
    app.toggle(key="as_delivered").set_value(True).run()

    assert app.selectbox(key="well").value == "C03"
    assert pictures(app) == ["Well C03 of plate P2, 1 site: AGP, DNA, Mito"]


def test_channels_that_are_switched_off_leave_the_picture_and_stand_in_the_address(opened: Opened) -> None:
    app = opened("plates", plate="P1", well=TREATED, channels="DNA,Mito")
    assert pictures(app) == [f"Well {TREATED} of plate P1, 1 site: DNA, Mito"]

    app.button_group(key="channels").set_value(["DNA"]).run()

    assert pictures(app) == [f"Well {TREATED} of plate P1, 1 site: DNA"]
    assert app.query_params["channels"] in ("DNA", ["DNA"])


def test_a_contrast_of_percentiles_makes_another_picture(opened: Opened) -> None:
    app = opened("plates", plate="P1", well=TREATED)
    before = app.get("image")[0].proto.imgs[0].url

    app.selectbox(key="contrast").select("picture").run()
    app.slider(key="full").set_value(95.0).run()

    assert app.get("image")[0].proto.imgs[0].url != before


def test_provenance_names_the_hash_of_weights_and_of_every_image(opened: Opened) -> None:
    app = opened("plates", plate="P1", well=TREATED, provenance="true")

    with Client() as client:
        found = client.provenance("P1", TREATED)
    cells = {str(cell) for frame in app.dataframe for cell in frame.value.to_numpy().ravel()}
    assert len(found.images) == 3
    assert {image.sha256 for image in found.images} <= cells
    assert {encoder.weights_sha256 for encoder in found.encoders} <= cells
    assert {found.config_sha256, found.manifest_sha256} <= cells


def test_a_hostile_name_stays_text(opened: Opened) -> None:
    by_perturbation = {well.perturbation: well.well for well in wells_of("P1").values()}

    for name in COMPOUNDS:
        app = opened("plates", plate="P1", well=by_perturbation[name])
        assert f"**{plain(name)}**" in texts(app)
        assert SCRIPT not in texts(app)


def test_a_well_whose_file_is_no_image_says_so_and_the_rest_stays(opened: Opened) -> None:
    app = opened("plates", plate="P1", well=BROKEN)

    assert not pictures(app)
    assert "The pictures of this well cannot be shown" in app.warning[0].value
    assert figures(app)["Failed sites"] == "1"
    assert app.get("vega_lite_chart")


def test_a_plate_whose_images_were_moved_away_keeps_its_map(opened: Opened, finished: Finished) -> None:
    here, away = finished.folder / "P2", finished.folder / "away"
    here.rename(away)
    try:
        app = opened("plates", plate="P2", well="A02", as_delivered="true", sheet="true")
    finally:
        away.rename(here)

    said = [warning.value for warning in app.warning]
    assert any("pictures of this well cannot be shown" in text for text in said)
    assert any("contact sheet cannot be shown" in text for text in said)
    assert not pictures(app)
    assert app.get("vega_lite_chart")
    assert figures(app)["Sites"] == "1"


def test_a_contact_sheet_is_made_on_demand(opened: Opened) -> None:
    assert not pictures(opened("plates", plate="P1"))

    assert pictures(opened("plates", plate="P1", sheet="true")) == ["Contact sheet of plate P1: AGP, DNA, Mito"]


def test_all_plates_of_a_run_stand_in_a_table_with_their_verdicts(opened: Opened) -> None:
    app = opened("plates", plate="P1", all_plates="true")

    with Client() as client:
        plates = {plate.barcode: client.plate(plate.barcode) for plate in client.plates_of()}
    table = next(frame.value for frame in app.dataframe if "verdict" in frame.value.columns)
    assert table["plate"].tolist() == list(plates)
    assert table["batch"].tolist() == [plate.batch for plate in plates.values()]
    assert table["sites flagged"].tolist() == [plate.quality.sites_flagged for plate in plates.values()]


def test_many_plates_come_some_at_a_time(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.views.plates_report.PLATES_AT_ONCE", 1)
    app = opened("plates", plate="P1", all_plates="true")
    assert app.selectbox(key="plates_from").options == ["1 to 1: P1 to P1", "2 to 2: P2 to P2"]

    app.selectbox(key="plates_from").select(1).run()

    table = next(frame.value for frame in app.dataframe if "verdict" in frame.value.columns)
    assert table["plate"].tolist() == ["P2"]


def test_a_plate_and_a_well_that_are_not_there_are_said_and_the_page_stays(opened: Opened) -> None:
    app = opened("plates", plate="<b>P9</b>", well="Z99", measure="nonsense", site="many")

    said = "\n".join(warning.value for warning in app.warning)
    assert "This run has no plate" in said
    assert "<b>" not in said
    assert "no well Z99" in said
    assert app.selectbox(key="plate").value == "P1"
    assert app.selectbox(key="well").value is None
    assert app.selectbox(key="measure").value == "cell_count"
    assert "Click a well" in app.info[0].value


def test_a_run_that_is_deleted_under_the_visitor_is_said(
    opened: Opened, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("catalog.sqlite", "parts"):
        source = finished.folder / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    with serving(tmp_path / "catalog.sqlite", "--root", finished.folder) as server:
        monkeypatch.setenv("HCS_API_URL", server.url)
        app = opened("plates", run="run-1", plate="P1", well="A01")
        with Client() as client:
            client.delete("run-1")

        app.selectbox(key="well").select("A02").run()
        assert "It may have been deleted meanwhile" in app.warning[0].value
        assert app.get("vega_lite_chart")

        forget_answers()
        app.selectbox(key="well").select("A03").run()

    assert not app.exception
    assert app.title[0].value == "Plates"
    assert "Nothing was run yet" in app.info[0].value


def test_one_of_several_sites_can_be_looked_at(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = deliver_sites(tmp_path, sites=(1, 4, 7))
    with open_catalog(str(tmp_path / "catalog.sqlite")) as catalog:
        perform(catalog, path, LocalExecutor(threads=2))
    monkeypatch.setenv("HCS_API_KEY", make_keys(str(tmp_path / "catalog.sqlite")).read)
    with serving(tmp_path / "catalog.sqlite", "--root", tmp_path) as server:
        monkeypatch.setenv("HCS_API_URL", server.url)
        app = opened("plates", well="A02")
        assert pictures(app) == ["Well A02 of plate S1, 3 sites: AGP, DNA, Mito"]
        assert app.selectbox(key="site").options == ["All side by side", "Site 1", "Site 4", "Site 7"]

        app.selectbox(key="site").select("4").run()

        assert pictures(app) == ["Well A02 of plate S1, site 4: AGP, DNA, Mito"]
        assert app.query_params["site"] in ("4", ["4"])


def deliver_sites(folder: Path, *, sites: tuple[int, ...]) -> Path:
    """Deliver a plate of four wells with these sites, and return its SCREEN.yaml."""
    (folder / "S1").mkdir()
    for number, well in enumerate(("A01", "A02", "A03", "A04")):
        for site in sites:
            for index, channel in enumerate(CHANNELS):
                image = cells(100 * number + 10 * site + index)
                (folder / "S1" / f"{well}-{site}-{channel}.tif").write_bytes(tiff_bytes(image, pixel_size_um=1.0))
    (folder / "map.csv").write_text("well,perturbation,control_type\nA01,DMSO,negcon\nA02,CPD,treatment\n")
    screen = {
        "screen": "several sites",
        "plates": [{"uri": "S1"}],
        "platemaps": "map.csv",
        "pattern": "{well}-{site}-{channel}.tif",
        "encoders": ["named"],
        "pixels": {"tile": 64},
    }
    path = folder / "SCREEN.yaml"
    path.write_text(yaml.safe_dump(screen), encoding="utf-8")
    return path


def test_an_api_that_goes_away_is_said_where_it_was_asked(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("plates", plate="P1", well=TREATED)
    monkeypatch.setattr("dashboards.connection.PATIENCE_SECONDS", 0.2)
    monkeypatch.setenv("HCS_API_URL", "http://127.0.0.1:9")

    app.selectbox(key="well").select("A04").run()
    assert "The API does not answer" in app.error[0].value
    assert app.title[0].value == "Plates"


def test_a_finding_is_a_sentence_whose_names_stay_text() -> None:
    finding = Finding(
        kind=FindingKind.MISSING_WELL,
        severity=Severity.HOLE,
        place="<script>" + "P" * 400,
        count=12,
        examples=("A01", "A02", "[x](y)", "A04"),
        consequence="Nothing is known of it.",
    )

    said = in_words(finding)

    assert said.startswith("**Missing well**")
    assert "12 times" in said
    assert "leaves something out" in said
    assert "<script>" not in said
    assert "[x](y)" not in said
    assert len(said) < 300
    assert findings_table([finding])["place"].to_list() == [finding.place]


def test_a_plate_of_which_no_well_is_described_is_drawn(opened: Opened) -> None:
    del opened
    with Client() as client:
        measures = client.measures("P1")

    drawn = drawn_of(measures, {}, measure="call", corrected=False)

    assert drawn.values == [None] * len(measures.wells)
    assert set(drawn.contents) == {"-"}
