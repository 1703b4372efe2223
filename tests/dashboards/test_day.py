"""A scientist's day in a browser: what stands on the screen is held against the truth of a simulated screen."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from browser import Dashboard, browsing, dashboard, needs_browser, settle
from commands import hcs
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from hcs.catalog import HitLimits, find_hits, open_catalog, wells_of

pytestmark = [pytest.mark.slow, needs_browser]

SEED = 905
MINUTE = 60_000
"""Milliseconds, for what a busy machine takes its time for."""


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delivered screen of eight small plates in two batches, and the truth beside it."""
    folder = tmp_path_factory.mktemp("day") / "screen"
    made = hcs("simulate", folder, "--batches", 2, "--plates", 4, "--wells", 24, "--seed", SEED)
    assert made.code == 0, made.err
    with (folder / "SCREEN.yaml").open("a") as file:
        file.write("encoders: [named]\n")
    return folder


@pytest.fixture(scope="module")
def catalog(screen: Path) -> Path:
    return screen.parent / "catalog.sqlite"


@pytest.fixture(scope="module")
def served(screen: Path, catalog: Path) -> Iterator[Dashboard]:
    with dashboard(catalog, "--root", screen) as served:
        yield served


@pytest.fixture(scope="module")
def page(served: Dashboard) -> Iterator[Page]:
    with browsing() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
        page.set_default_timeout(MINUTE)
        yield page


def test_from_a_delivery_to_a_file_of_hits(page: Page, served: Dashboard, screen: Path, catalog: Path) -> None:
    truth = pl.read_parquet(screen / "truth" / "wells.parquet")

    submit(page, served, screen)
    watch(page, n_sites=truth.height)
    look_at_a_plate(page, truth)
    hit = find_by_mechanism(page, served, catalog)
    look_at_a_compound(page, hit, truth, catalog)
    download(page, served, catalog)


def submit(page: Page, served: Dashboard, screen: Path) -> None:
    """Open the pages of an empty catalog, and submit the screen after its report."""
    page.goto(served.url)
    expect(page.get_by_text("Nothing was run yet")).to_be_visible(timeout=MINUTE)
    page.get_by_role("link", name="Submit a screen").click()
    text = page.get_by_role("textbox", name="or paste its text")
    text.fill((screen / "SCREEN.yaml").read_text())
    text.press("Control+Enter")
    folder = page.get_by_role("textbox", name="Folder that relative paths start at")
    folder.fill(str(screen))
    folder.press("Enter")
    page.get_by_role("button", name="Check what was delivered").click()
    expect(page.get_by_text("Acceptance report")).to_be_visible(timeout=MINUTE)
    expect(page.get_by_text(re.compile(r"^8 plates: 8 accept"))).to_be_visible()
    page.get_by_role("button", name="Submit", exact=True).click()


def watch(page: Page, *, n_sites: int) -> None:
    """Watch the run until it is done."""
    expect(page.get_by_text("run-1: simulated-905")).to_be_visible(timeout=MINUTE)
    expect(page.get_by_role("link", name="Its hits")).to_be_visible(timeout=4 * MINUTE)
    settle(page)
    assert metric(page, "State") == "Complete"
    assert metric(page, "Sites done") == f"{n_sites} of {n_sites}"


def look_at_a_plate(page: Page, truth: pl.DataFrame) -> None:
    """Choose a treated well of a plate, and see what the truth says of it, and cells."""
    page.get_by_role("link", name="Its plates").click()
    settle(page)
    well = truth.filter(control_type="treatment").sort("plate", "well").row(0, named=True)
    choose(page, "Plate", well["plate"])
    choose(page, "Well", well["well"])
    expect(page.get_by_text(str(well["perturbation"]).removeprefix("SIM-")).first).to_be_visible()
    picture = page.get_by_test_id("stImage").locator("img").first
    expect(picture).to_be_visible()
    shown = page.request.get(str(picture.evaluate("image => image.src"))).body()
    colours = Image.open(io.BytesIO(shown)).convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 1_000, "a picture of cells has many colours"
    assert f"plate={well['plate']}" in page.url
    assert f"well={well['well']}" in page.url


def find_by_mechanism(page: Page, served: Dashboard, catalog: Path) -> dict[str, object]:
    """Ask for the mechanism of the surest hit, and return that hit."""
    with open_catalog(str(catalog)) as store:
        hits = find_hits(store, HitLimits(control_types=("treatment",)))
        hit = hits.row(0, named=True)
        same = find_hits(store, HitLimits(control_types=("treatment",), mechanism=hit["mechanism"]))
    page.goto(served.url)
    settle(page)
    assert metric(page, "Hits at q \N{LESS-THAN OR EQUAL TO} 0.05") == str(hits.height)
    page.get_by_role("link", name="Which treatments are active").click()
    settle(page)
    choose(page, "Mechanism", str(hit["mechanism"]))
    expect(page.get_by_text(re.compile(rf"^{same.height} treatments? "))).to_be_visible()
    choose(page, "Treatment", str(hit["name"]))
    return hit


def look_at_a_compound(page: Page, hit: dict[str, object], truth: pl.DataFrame, catalog: Path) -> None:
    """Read on its own page why it is a hit, and see its cells beside the controls'."""
    page.get_by_role("link", name="Why, and what its cells look like").click()
    settle(page)
    wells = truth.filter(perturbation=hit["perturbation"])
    expect(page.get_by_text(re.compile(rf"{hit['name']}.* is a hit"))).to_be_visible()
    expect(
        page.get_by_text(re.compile(f"one of its {wells.height} wells on {wells['plate'].n_unique()} plates"))
    ).to_be_visible()
    expect(page.get_by_text(re.compile(f"annotated as {hit['mechanism']}"))).to_be_visible()
    expect(page.get_by_test_id("stImage").locator("img").nth(5)).to_be_visible()
    with open_catalog(str(catalog)) as store:
        described = wells_of(store, run=1).filter(perturbation=hit["perturbation"])
    assert (
        described.select("plate", "well").sort("plate", "well").rows()
        == wells.select("plate", "well").sort("plate", "well").rows()
    )


def download(page: Page, served: Dashboard, catalog: Path) -> None:
    """Take every treatment home, hits or not."""
    page.goto(f"{served.url}/hits?q=1.0")
    settle(page)
    with page.expect_download() as waited:
        page.get_by_role("button", name="Download CSV").click()
    with open(waited.value.path(), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with open_catalog(str(catalog)) as store:
        asked = find_hits(store, HitLimits(q_max=1.0, control_types=("treatment",)))
    effects = {row["perturbation"]: float(row["effect"]) for row in rows}
    assert len(rows) == asked.height
    assert effects == pytest.approx(dict(asked.select("perturbation", "effect").iter_rows()))
    assert sorted(float(row["q_value"]) for row in rows) == [float(row["q_value"]) for row in rows], "the surest first"


def metric(page: Page, label: str) -> str:
    """Return what stands below a label."""
    box = page.get_by_test_id("stMetric").filter(has_text=label).first
    return box.get_by_test_id("stMetricValue").inner_text()


def choose(page: Page, label: str, name: str) -> None:
    """Choose from a list as by keyboard: type a part of the name, and take the first that is offered."""
    box: Locator = page.get_by_role("combobox", name=re.compile(rf"(^|\b){label}\b")).first
    box.click()
    box.fill(name)
    box.press("Enter")
    settle(page)
