"""The layouts, platemaps and acceptance on what instruments and labs really delivered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tifffile

from hcs.io.acceptance import accept
from hcs.io.draft import draft_screen
from hcs.io.layouts import Delivery, read_delivery
from hcs.io.pixels import Site, read_site
from hcs.io.platemaps import read_plate_wells
from hcs.io.screen import load_screen
from hcs.screenfile import FILL_IN
from schemas.acceptance import AcceptanceReport, FindingKind, Verdict
from schemas.screen import ScreenConfig
from schemas.work import PlaneRef


def check(entry: dict[str, Any], **fields: Any) -> tuple[Delivery, AcceptanceReport]:
    config = ScreenConfig.model_validate({"screen": "real", "plates": [entry], **fields})
    delivery = read_delivery(config.plates[0], config)
    wells = read_plate_wells(config, [delivery.plate])
    return delivery, accept(delivery, wells, config=config, decode="all")


def first_site(delivery: Delivery, channels: list[str], **options: Any) -> Site:
    images = pl.DataFrame(delivery.images)
    rows = images.filter((pl.col("well") == images["well"][0]) & (pl.col("site") == images["site"][0]))
    planes = [PlaneRef(**row) for row in rows.drop("plate").to_dicts()]
    return read_site(delivery.uri, planes, channels=channels, projection=options.get("projection", "max"))


def test_the_foxo_plate(real_data: Path) -> None:
    delivery, report = check(
        {"uri": str(real_data / "sbs_foxo_plate")},
        pattern="Channel{channel}-{_}-{row}-{column}.tif",
        channels={"1": "GFP", "2": "DNA"},
    )

    assert (report.plate, report.layout, report.channels) == ("sbs_foxo_plate", "files", ("DNA", "GFP"))
    assert report.expected == report.delivered
    assert (report.delivered.wells, report.delivered.sites, report.delivered.images) == (48, 48, 96)
    assert {finding.kind for finding in report.findings} == {
        FindingKind.PLATEMAP_MISSING,
        FindingKind.UNRECOGNISED_FILE,
    }
    site = first_site(delivery, ["GFP", "DNA"])
    expected = [tifffile.imread(real_data / "sbs_foxo_plate" / f"Channel{key}-01-A-01.tif") for key in (1, 2)]
    np.testing.assert_array_equal(site.pixels, np.stack(expected))
    assert (site.pixels.shape, site.pixels.dtype, site.top_of_range) == ((2, 640, 640), np.uint8, 255)


def test_two_sirna_plates_in_one_folder(real_data: Path) -> None:
    for plate in ("PK-10B-pl1", "PK-11B-pl1"):
        delivery, report = check(
            {"uri": str(real_data / "imagehts_sirna" / "submorph" / "source"), "barcode": plate},
            pattern="{plate}/Well-{row}{column}/{channel}.jpeg",
            channels={"Hoechst": "DNA", "Tritc": "Tritc", "FITC": "FITC"},
        )

        assert report.plate == plate
        assert (report.delivered.wells, report.delivered.images) == (6, 18)
        assert delivery.images["well"].unique().sort().to_list() == ["A03", "A05", "B03", "B05", "C03", "D03"]
        assert delivery.unrecognised == ()
        assert first_site(delivery, ["DNA", "FITC", "Tritc"]).pixels.shape == (3, 510, 1024)


def test_a_phenix_site_by_its_load_data(real_data: Path) -> None:
    delivery, report = check({"uri": str(real_data / "opera_phenix_jump" / "harmony_v5")})

    assert (report.plate, report.layout) == ("BR00122249", "cpg")
    assert report.channels == ("AGP", "Brightfield", "DPC", "ER", "Mito", "RNA")
    assert report.expected == report.delivered
    assert delivery.unrecognised == ("config_v5.yml", "images/Index.idx.xml")
    site = first_site(delivery, list(report.channels))
    assert (site.pixels.shape, site.pixels.dtype, site.top_of_range) == ((6, 1080, 1080), np.uint16, 65535)


def test_a_phenix_plate_is_also_found_from_its_images_folder(real_data: Path) -> None:
    delivery, _ = check({"uri": str(real_data / "opera_phenix_jump" / "harmony_v5" / "images")})

    assert delivery.plate == "BR00122249"
    assert delivery.images["size_bytes"].null_count() == 0


def test_a_phenix_plate_without_images_is_rejected(real_data: Path) -> None:
    _, report = check({"uri": str(real_data / "opera_phenix_jump" / "harmony_v7")})

    assert report.verdict is Verdict.REJECT
    assert (report.expected.images, report.delivered.images) == (7, 0)


def test_a_phenix_site_against_a_whole_platemap(real_data: Path) -> None:
    annotations = real_data / "annotations"

    _, report = check(
        {"uri": str(real_data / "opera_phenix_jump" / "harmony_v5")},
        platemaps=str(annotations / "JUMP-Target-1_compound_platemap.tsv"),
        annotations=str(annotations / "JUMP-Target-1_compound_metadata.tsv"),
    )

    assert report.verdict is Verdict.ACCEPT_WITH_HOLES
    assert (report.expected.wells, report.delivered.wells) == (384, 1)
    (missing,) = [finding for finding in report.findings if finding.kind is FindingKind.MISSING_WELL]
    assert missing.count == 383


def test_a_cellvoyager_export_with_its_z_planes(real_data: Path) -> None:
    delivery, report = check(
        {"uri": str(real_data / "cellvoyager")},
        pattern="{plate}/{_}_{well}_T{timepoint}F{site}L{_}A{_}Z{z}C{channel}.tif",
        channels={"01": "DNA", "02": "RNA"},
    )

    assert (report.delivered.wells, report.delivered.sites, report.delivered.images) == (3, 12, 96)
    assert report.expected == report.delivered
    assert first_site(delivery, ["DNA", "RNA"]).pixels.shape == (2, 2000, 2000)


def test_an_imagexpress_export_that_counts_from_zero(real_data: Path) -> None:
    delivery, report = check(
        {"uri": str(real_data / "imagexpress" / "9987_Plate_3434")},
        pattern="TimePoint_{timepoint}/ZStep_{z}/{_}_{well}_s{site}_w{channel}.TIF",
    )

    assert delivery.images["z"].unique().sort().to_list() == [1, 2, 3]
    assert FindingKind.NUMBERED_FROM_ZERO in {finding.kind for finding in report.findings}
    stack = [tifffile.imread(delivery.uri + f"/TimePoint_1/ZStep_{z}/9987_B02_s1_w1.TIF") for z in range(3)]
    np.testing.assert_array_equal(first_site(delivery, ["1"]).pixels[0], np.max(stack, axis=0))


@pytest.mark.parametrize(
    ("folder", "delivered", "stains"),
    [
        ("sbs_foxo_plate", {"sbs_foxo_plate": (48, 48, 96)}, ["GFP", "DNA"]),
        ("imagehts_sirna", {"PK-10B-pl1": (6, 6, 18), "PK-11B-pl1": (6, 6, 18)}, []),
        ("cellvoyager", {"cellvoyager": (3, 12, 96)}, ["DNA", "RNA"]),
        (
            "imagexpress",
            {"9987_Plate_3420": (1, 1, 1), "9987_Plate_3434": (2, 4, 36), "9987_Plate_3435": (2, 4, 8)},
            ["DNA"],
        ),
        ("opera_phenix_jump/harmony_v5", {"BR00122249": (1, 1, 6)}, []),
        ("operetta/operetta_plate", {"operetta_plate": (1, 2, 2)}, []),
    ],
)
def test_a_draft_of_a_real_delivery_is_accepted_once_it_is_filled_in(
    real_data: Path, tmp_path: Path, folder: str, delivered: dict[str, tuple[int, int, int]], stains: list[str]
) -> None:
    text = draft_screen(str(real_data / folder)).replace(f"platemaps: {FILL_IN}", "")

    for stain in stains:
        text = text.replace(f": {FILL_IN}", f": {stain}", 1)
    (tmp_path / "SCREEN.yaml").write_text(text)
    config = load_screen(str(tmp_path / "SCREEN.yaml"))
    deliveries = [read_delivery(entry, config) for entry in config.plates]
    reports = [accept(delivery, read_plate_wells(config, list(delivered)), config=config) for delivery in deliveries]
    counts = {report.plate: report.delivered for report in reports}
    assert {plate: (came.wells, came.sites, came.images) for plate, came in counts.items()} == delivered
    assert {report.verdict for report in reports} == {Verdict.ACCEPT_WITH_HOLES}
    holes = {finding.kind for report in reports for finding in report.findings if finding.severity == "hole"}
    assert holes == {FindingKind.PLATEMAP_MISSING}


def test_channels_of_a_real_delivery_are_called_as_the_instrument_does(real_data: Path) -> None:
    assert '"1": "Fluorescein (FITC)"' in draft_screen(str(real_data / "operetta" / "operetta_plate"))
    assert "the instrument calls it 405, in Cell Painting usually DNA" in draft_screen(str(real_data / "cellvoyager"))
    assert 'channels: {"1": DNA, "2": FITC, "3": "Texas Red"}' in draft_screen(str(real_data / "imagexpress"))
    assert "Hoechst: DNA" in draft_screen(str(real_data / "imagehts_sirna"))
