"""What must stand on the screen before a page answers anything, asked of the browser again and again."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, TimeoutError

MINUTE = 60_000
POLLING = 20
"""Milliseconds between looks: one in each frame would itself be part of what is measured."""

LOOK = """
() => {
  const here = element => element && !element.closest('[data-stale=true]') && element.getClientRects().length > 0;
  const painted = canvas => {
    if (!canvas.width || !canvas.height) return false;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    for (let i = 3; i < pixels.length; i += 4) if (pixels[i]) return true;
    return false;
  };
  const all = (selector, test) => [...document.querySelectorAll(selector)].filter(one => test(one) && here(one));
  const marks = chart => chart.querySelectorAll('svg g[class*=role-mark] path').length;
  window.seen = {
    title: text => all('h1', one => one.textContent.trim() === text).length > 0,
    text: (kind, pattern) => all(kind, one => new RegExp(pattern).test(one.textContent)).length > 0,
    charts: (least = 1) => all('[data-testid=stVegaLiteChart]',
      one => marks(one) >= least || [...one.querySelectorAll('canvas')].some(painted)).length,
    tables: () => all('[data-testid=stDataFrame]', one => [...one.querySelectorAll('canvas')].some(painted)).length,
    picture: alt => all('img', one => one.alt.startsWith(alt) && one.complete && one.naturalWidth > 0).length > 0,
    described: text => all('[data-testid=stVegaLiteChart]', one => one.outerHTML.includes(text)).length > 0,
  };
}
"""
"""Defines `seen`. What Streamlit keeps of the page before, greyed out, is not seen, nor is a chart without marks."""

SIGHTS = {
    "home": "seen.title('High-content screening') && seen.text('[data-testid=stMetricValue]', '\\\\d')"
    " && seen.text('a', 'Which treatments are active')",
    "hits": "seen.title('Hits') && seen.text('[data-testid=stMarkdown]', 'treatments?.*(a hit|hits|shown)')"
    " && seen.charts() === 2",
    "plates": "seen.title('Plates') && seen.charts({wells}) === 1",
    "compound": "seen.title('Compound') && seen.text('[data-testid=stMarkdown]', '(is a hit|is no hit)')"
    " && seen.text('li', '^Alike')",
    "mechanisms": "seen.title('Mechanisms') && seen.text('h2', 'Among the hits') && seen.tables() >= 1",
    "runs": "seen.title('Runs') && seen.tables() >= 1",
}
"""Page -> what must be seen: the sentence and both charts, the map of a plate, the verdict with its reasons, the
mechanisms' table, the list of runs."""


def sight_of(name: str, *, wells: int) -> str:
    """Return what must be seen on a page, as an expression of JavaScript."""
    return SIGHTS[name].replace("{wells}", str(wells))


def wait_to_see(page: Page, sight: str) -> None:
    """Return when it is there."""
    try:
        page.wait_for_function(f"() => window.seen && {sight}", timeout=MINUTE, polling=POLLING)
    except TimeoutError as error:
        raise AssertionError(f"{page.url}: {sight} was not seen in a minute, but {page.inner_text('body')}") from error


def prepared(make: Callable[[], Page]) -> Page:
    """Return a new page that knows how to look."""
    page = make()
    page.add_init_script(f"({LOOK})()")
    return page
