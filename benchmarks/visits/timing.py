"""Visits as people make them, each with the seconds until something is seen."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from answers.filling import DOSES, IMAGED, N_NEGCON, N_POSCON, REPLICATES, Size
from browser import CHROMIUM, FLAGS, settle
from playwright.sync_api import Browser, Page, ViewportSize

from visits.sights import MINUTE, SIGHTS, prepared, sight_of, wait_to_see

VIEWPORT: ViewportSize = {"width": 1400, "height": 900}
TIMES_BEFORE = 3
"""Visits of each page before: Chromium keeps what it compiled when it meets a file again."""
EMPTY = "empty browser"
LOAD, MOVE = "load", "move"

_MOVES = {
    "home": ("hits", "Home"),
    "hits": ("home", "Which treatments are active, by which mechanism?"),
    "plates": ("home", "What came, and is it good?"),
    "compound": ("hits", "Why, and what its cells look like"),
    "mechanisms": ("home", "Which treatments look alike?"),
    "runs": ("home", "Submit a screen, watch it run, compare two"),
}
"""Page -> where a visitor comes from, and by which link."""


@dataclass(frozen=True)
class Served:
    """A dashboard, and what is in its catalog."""

    url: str
    size: Size
    wide_run: str
    wide: Size


class Visitor:
    """Goes to pages in states dealt by chance, the same ones each time."""

    def __init__(self, browser: Browser, served: Served, *, folder: Path) -> None:
        """Open a browser that has been here before: it has the files of Streamlit, and has compiled them.

        Args:
            browser: Others, that have never been here, are contexts of this one.
            served: What is looked at.
            folder: Empty, for what the browser that has been here keeps.
        """
        self._browser, self._served, self._rng = browser, served, random.Random(7)  # noqa: S311
        self._context = browser.browser_type.launch_persistent_context(
            folder, executable_path=CHROMIUM, args=list(FLAGS), viewport=VIEWPORT
        )
        for _ in range(TIMES_BEFORE):
            for name in SIGHTS:
                page = prepared(self._context.new_page)
                self._seconds_to_load(page, name)
                settle(page)
                page.close()

    def first_visits(self, name: str, n: int) -> list[float]:
        """Return the seconds of visits of a page with a browser that has never been here."""
        took = []
        for _ in range(n):
            context = self._browser.new_context(viewport=VIEWPORT)
            page = prepared(context.new_page)
            took.append(self._seconds_to_load(page, name))
            context.close()
        return took

    def loads(self, name: str, n: int) -> list[float]:
        """Return the seconds from an address in a new tab to what must be seen."""
        took = []
        for _ in range(n):
            page = prepared(self._context.new_page)
            took.append(self._seconds_to_load(page, name))
            page.close()
        return took

    def moves(self, name: str, n: int) -> list[float]:
        """Return the seconds from a click on a link of another page to what must be seen."""
        before, label = _MOVES[name]
        took = []
        for _ in range(n):
            page = self._open(
                self._address(before, selecting=name == "compound"), sight_of(before, wells=self._served.size.wells)
            )
            settle(page)
            link = page.get_by_role("link", name=label, exact=False).first
            link.scroll_into_view_if_needed()
            begin = time.perf_counter()
            link.click()
            wait_to_see(page, sight_of(name, wells=self._served.size.wells))
            took.append(time.perf_counter() - begin)
            page.close()
        return took

    def clicks(self, wells: list[str], n: int, *, whole: bool = False) -> list[float]:
        """Return the seconds from a click on a well of the map to its picture, every well for the first time.

        Args:
            wells: With images.
            n: How many are clicked.
            whole: Whether the picture of all its sites is waited for, not that of the first one.
        """
        took = []
        address = f"{self._served.url}/plates?{urlencode({'plate': IMAGED, 'run': 'run-1'})}"
        page = self._open(address, sight_of("plates", wells=self._served.size.wells))
        for well in self._rng.sample(wells, min(n, len(wells))):
            settle(page)
            place = _place_of(page, self._served.size.names.index(well))
            begin = time.perf_counter()
            page.mouse.click(*place)
            sites = f"plate {IMAGED}, {self._served.size.sites} sites" if whole else ""
            wait_to_see(page, f"seen.picture('Well {well} of {sites}')")
            took.append(time.perf_counter() - begin)
        page.close()
        return took

    def wide_maps(self, n: int) -> list[float]:
        """Return the seconds from the choice of another plate of 1,536 wells to its map."""
        state = {"run": self._served.wide_run, "plate": self._served.wide.barcodes[0]}
        page = self._open(f"{self._served.url}/plates?{urlencode(state)}", sight_of("plates", wells=1))
        took = []
        for number in range(n):
            settle(page)
            barcode = self._served.wide.barcodes[(number + 1) % self._served.wide.plates]
            page.evaluate("() => document.querySelector('[data-testid=stVegaLiteChart]').dataset.before = 'yes'")
            page.get_by_label("Plate", exact=True).fill(barcode)
            page.get_by_role("option", name=barcode).wait_for(timeout=MINUTE)
            begin = time.perf_counter()
            page.keyboard.press("Enter")
            wait_to_see(page, "seen.charts() === 1 && !document.querySelector('[data-before=yes]')")
            took.append(time.perf_counter() - begin)
        page.close()
        return took

    def one_session(self, name: str) -> None:
        """Look at a page as somebody who comes, sees it whole and goes for good."""
        context = self._browser.new_context(viewport=VIEWPORT)
        page = prepared(context.new_page)
        self._seconds_to_load(page, name)
        settle(page)
        context.close()

    def leave(self) -> None:
        """Close the browser."""
        self._context.close()

    def _seconds_to_load(self, page: Page, name: str) -> float:
        address, sight = self._address(name), sight_of(name, wells=self._served.size.wells)
        begin = time.perf_counter()
        page.goto(address, wait_until="commit")
        wait_to_see(page, sight)
        return time.perf_counter() - begin

    def _open(self, address: str, sight: str) -> Page:
        page = prepared(self._context.new_page)
        page.goto(address, wait_until="commit")
        wait_to_see(page, sight)
        return page

    def _address(self, name: str, *, selecting: bool = False) -> str:
        """Return a page in another state: of any run, and of any plate or compound of it.

        Args:
            name: The page.
            selecting: Whether on the page of hits a treatment is selected, hit or not, so that all are listed.
        """
        size = self._served.size
        state = {"run": f"run-{self._rng.randint(1, size.runs)}"}
        compound = next(self._compounds())
        if name == "plates":
            state["plate"] = self._rng.choice(size.barcodes)
        elif name == "compound":
            state["perturbation"] = compound
        elif name == "hits" and selecting:
            state |= {"q": "1.0", "treatment": f"{compound}@{DOSES[0]:g}"}
        path = "" if name == "home" else name
        return f"{self._served.url}/{path}?{urlencode(state)}"

    def _compounds(self) -> Iterator[str]:
        size = self._served.size
        treated = size.wells - N_NEGCON - N_POSCON
        most = treated // len(DOSES) * max(1, size.plates // REPLICATES)
        while True:
            yield f"CPD-{self._rng.randrange(most):05d}"


def _place_of(page: Page, number: int) -> tuple[float, float]:
    """Return where on the screen the middle of a well is, that is drawn as an element."""
    path = page.locator("[data-testid=stVegaLiteChart] svg g.mark-rect").first.locator("path").nth(number)
    path.scroll_into_view_if_needed()
    box = path.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
