"""A scientist's day in a browser: what stands on the screen is held against the truth of a simulated screen."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import Dashboard, browsing, dashboard, needs_browser, settle
from commands import hcs
from PIL import Image
from playwright.sync_api import Browser, Download, Page, expect

from hcs.client import Client

pytestmark = [pytest.mark.slow, needs_browser]

OURS = [
    "color-contrast", "image-alt", "svg-img-alt", "label", "button-name", "link-name", "document-title", "html-has-lang",
    "heading-order", "duplicate-id-aria", "list", "listitem", "aria-valid-attr", "aria-valid-attr-value",
]  # fmt: skip
"""Rules of axe-core that a page of ours can break; others are Streamlit's own affair."""
SERIOUS = {"serious", "critical"}
MINUTE = 60_000


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delivered screen of two plates, its SCREEN.yaml, and the truth beside it."""
    folder = tmp_path_factory.mktemp("day") / "screen"
    assert hcs("simulate", folder, "--plates", 2, "--wells", 24, "--seed", 905).returncode == 0
    text = (folder / "SCREEN.yaml").read_text()
    (folder / "SCREEN.yaml").write_text(f"{text.rstrip()}\nencoders: [named]\n")
    return folder


@pytest.fixture(scope="module")
def served(screen: Path) -> Iterator[Dashboard]:
    with dashboard(screen.parent / "catalog.sqlite", "--root", screen) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser: Browser, served: Dashboard) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    yield page
    page.close()


def test_from_a_delivery_to_a_file_of_hits(page: Page, served: Dashboard, screen: Path) -> None:
    wells = pl.read_parquet(screen / "truth" / "wells.parquet")

    page.goto(served.url)
    expect(page.get_by_text("Nothing was run yet")).to_be_visible(timeout=MINUTE)
    page.get_by_role("link", name="Submit a screen").click()
    page.get_by_label("or paste its text").fill((screen / "SCREEN.yaml").read_text())
    page.get_by_label("or paste its text").press("Control+Enter")
    page.get_by_label("Folder that relative paths start at").fill(str(screen))
    page.get_by_label("Folder that relative paths start at").press("Enter")
    page.get_by_role("button", name="Check what was delivered").click()
    expect(page.get_by_text("2 plates: 2 accept")).to_be_visible(timeout=MINUTE)
    page.get_by_test_id("stBaseButton-primary").filter(has_text="Submit").click()

    expect(page.get_by_text("Sites done").first).to_be_visible(timeout=MINUTE)
    expect(page.get_by_role("link", name="Its hits")).to_be_visible(timeout=3 * MINUTE)
    settle(page)
    expect(page.get_by_test_id("stMetricValue").nth(1)).to_have_text(f"{len(wells)} of {len(wells)}")

    page.get_by_role("link", name="Its plates").click()
    settle(page)
    negcon = wells.filter(pl.col("control_type") == "negcon").sort("plate", "well").row(0, named=True)
    page.goto(f"{served.url}/plates?run=run-1&plate={negcon['plate']}&well={negcon['well']}")
    picture = page.get_by_test_id("stImage").locator("img").first
    expect(picture).to_be_visible(timeout=MINUTE)
    shown = page.request.get(str(picture.evaluate("image => image.src")))
    colours = Image.open(io.BytesIO(shown.body())).convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 1_000, "a picture of cells has many colours"
    expect(page.get_by_text(str(negcon["perturbation"])).first).to_be_visible()

    page.goto(f"{served.url}/hits?q=1.0")
    settle(page)
    with page.expect_download() as waited:
        page.get_by_role("button", name="Download CSV").click()
    check_file(waited.value, served)


def check_file(download: Download, served: Dashboard) -> None:
    with open(download.path(), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with Client(*api_of(served)) as client:
        asked = list(client.hits(q_max=1.0, control_type="treatment", run="run-1"))
    assert [row["perturbation"] for row in rows] == [hit.perturbation for hit in asked]
