"""axe-core on every page, light and dark: nothing serious on the parts that are ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import Dashboard, browsing, dashboard, needs_browser, settle
from playwright.sync_api import Browser, Page
from served import Finished

pytestmark = [pytest.mark.slow, needs_browser]

SERIOUS = {"serious", "critical"}
PAGES = (
    "/",
    "/plates?well=C01&all_wells=true&provenance=true",
    "/hits?q=1",
    "/compound?perturbation=CPD4",
    "/mechanisms",
    "/runs",
)


@pytest.fixture(scope="module")
def served(finished: Finished) -> Iterator[Dashboard]:
    with dashboard(finished.catalog, "--root", finished.folder) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_violation(browser: Browser, served: Dashboard, finished: Finished, theme: str) -> None:
    page = browser.new_page(color_scheme=theme, viewport={"width": 1400, "height": 900})  # type: ignore[arg-type]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    found = [line for path in PAGES for line in violations(page, served.url + path)]
    found += primary_button(page, served, finished)
    page.close()

    assert found == []
    assert [url for url in asked if not url.startswith((served.url, "data:", "blob:"))] == []


def violations(page: Page, url: str | None = None) -> list[str]:
    """What axe-core finds on a page once it is drawn: its address, the rule and the element."""
    if url is not None:
        page.goto(url)
    settle(page)
    page.wait_for_timeout(300)  # what fades in has another contrast until then
    return [
        f"{page.url} {violation['id']} {node['html'][:160]}"
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]


def primary_button(page: Page, served: Dashboard, finished: Finished) -> list[str]:
    """What is found where a screen was checked and may be submitted: the report, and the one coloured button."""
    page.goto(f"{served.url}/runs?part=Submit+a+screen")
    field = page.get_by_label("or paste its text")
    field.fill(
        f"screen: x\nplates: [{{uri: {finished.folder}/P1, barcode: P1}}]\npattern: '{{well}}-{{channel}}.tif'\n"
    )
    field.press("Control+Enter")
    page.get_by_role("button", name="Check what was delivered").click()
    page.get_by_test_id("stBaseButton-primary").wait_for()
    return violations(page)
