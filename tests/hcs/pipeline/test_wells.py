"""The wells of a plate of a small real run, put together by hand."""

from __future__ import annotations

import polars as pl
import pytest
import yaml
from plates import CHANNELS, deliver, plate_images
from runs import perform

from hcs.catalog import calls_on_plate, channel_rows, get_run, open_catalog, site_rows, stored_flags
from hcs.errors import NotFoundError
from hcs.pipeline.flags import flag_sites, flagged_in_run
from hcs.pipeline.local import LocalExecutor
from hcs.pipeline.wells import count_plate, summarize_sites, view_wells

BRIGHT, BROKEN = "A12", "A03"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of one plate with twelve wells: one is saturated, one is broken, and two are not in the platemap."""
    folder = tmp_path_factory.mktemp("run")
    images = plate_images(12)
    for channel in CHANNELS:
        images[BRIGHT, channel][:10] = 65_535
    deliver(folder / "P", images)
    (folder / "P" / f"{BROKEN}-DNA.tif").write_bytes(b"no image")
    rows = [
        f"A{n:02d},{'DMSO' if n <= 6 else f'CPD{n % 2}'},{'negcon' if n <= 6 else 'treatment'}" for n in range(1, 11)
    ]
    (folder / "map.csv").write_text("well,perturbation,control_type\n" + "\n".join(rows) + "\n")
    screen = {
        "screen": "s", "plates": [{"uri": "P"}], "platemaps": "map.csv", "pattern": "{well}-{channel}.tif",
        "encoders": ["named"], "pixels": {"tile": 64},
    }  # fmt: skip
    (folder / "SCREEN.yaml").write_text(yaml.safe_dump(screen))
    with open_catalog(str(folder / "catalog.sqlite")) as catalog:
        perform(catalog, folder / "SCREEN.yaml", LocalExecutor(threads=1))
        yield catalog, get_run(catalog)


def test_every_well_that_is_described_or_was_read_has_a_row(run):
    catalog, record = run

    wells = view_wells(catalog, record, "P")

    assert wells["well"].to_list() == [f"A{n:02d}" for n in range(1, 13)]
    by_well = {row["well"]: row for row in wells.to_dicts()}
    counts = dict(site_rows(catalog, record.id).select("well", "cell_count").iter_rows())
    assert all(row["cell_count"] == counts[well] for well, row in by_well.items())
    assert by_well[BROKEN]["sites_failed"] == 1
    assert by_well["A11"]["control_type"] == "empty"
    assert by_well["A11"]["perturbation"] is None


def test_what_is_said_of_a_treatment_stands_beside_each_of_its_wells_and_beside_no_control(run):
    catalog, record = run
    said = {row["treatment"]: row for row in calls_on_plate(catalog, record.id, "P").to_dicts()}

    for row in view_wells(catalog, record, "P").to_dicts():
        if row["control_type"] == "treatment":
            assert (row["call"], row["q_value"], row["effect"]) == tuple(
                said[row["treatment"]][name] for name in ("call", "q_value", "effect")
            )
        else:
            assert row["call"] is None


def test_flags_and_counts_are_those_of_the_sites(run):
    catalog, record = run
    flagged = flag_sites(channel_rows(catalog, record.id)).filter(pl.col("flags") != "")

    counts = count_plate(catalog, record, "P")
    wells = view_wells(catalog, record, "P")

    assert flagged["well"].to_list() == counts.flagged["well"].to_list()
    assert stored_flags(catalog, record.id, "P").rows() == flagged.rows(), "the run has published them"
    assert flagged_in_run(catalog, record.id).rows() == flagged.rows()
    assert BRIGHT in flagged["well"].to_list()
    flags = {row["well"]: row["flags"] for row in wells.to_dicts() if row["flags"]}
    assert {well: "|".join(found) for well, found in flags.items()} == dict(flagged.select("well", "flags").iter_rows())
    assert (counts.sites, counts.sites_failed) == (12, 1)
    assert counts.wells == {"negcon": 6, "treatment": 4}
    negcon = wells.filter(pl.col("control_type") == "negcon")["cell_count"]
    assert counts.median_negcon_cells == negcon.median()


def test_an_unknown_plate_is_refused(run):
    catalog, record = run

    for ask in (view_wells, count_plate):
        with pytest.raises(NotFoundError, match="no plate"):
            ask(catalog, record, "P9")


def test_sites_are_summed_up_by_well():
    sites = pl.DataFrame(
        {
            "plate": ["P", "P", "P", "Q"],
            "well": ["A01", "A01", "A02", "A01"],
            "status": ["ok", "failed", "failed", "ok"],
            "cell_count": [4, None, None, 8],
        }
    )

    assert summarize_sites(sites).rows() == [("P", "A01", 2, 1, 4.0), ("P", "A02", 1, 1, None), ("Q", "A01", 1, 0, 8.0)]
