"""Take the pictures of the dashboard that the documentation shows: `make screenshots` after `make demo`.

    python docs/screenshots.py demo-out/catalog.sqlite docs/images [--prefix dashboard] [--plate P --well W ...]

The dashboard is started as `hcs dashboard` does, and looked at in Chromium.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from browser import browsing, dashboard, settle
from playwright.sync_api import Page

WIDTH, HEIGHT = 1400, 1000
HEIGHTS = {"plates": 1300, "compound": 1500, "mechanisms": 1500}
"""Of pages on which more has to be seen."""
QUALITY = 88


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prefix", default="dashboard")
    parser.add_argument("--run", default="run-1")
    parser.add_argument("--plate", default="SIM00000002")
    parser.add_argument("--well", default="C05")
    parser.add_argument("--perturbation", default="SIM-896842")
    parser.add_argument("--pages", nargs="+", default=["home", "plates", "hits", "compound", "mechanisms", "runs"])
    return parser.parse_args()


def addresses(options: argparse.Namespace) -> dict[str, str]:
    """Return the address of each page, from its slash on."""
    run = {"run": options.run}
    states: dict[str, dict[str, str]] = {
        "home": run,
        "plates": {**run, "plate": options.plate, "well": options.well},
        "hits": run,
        "compound": {**run, "perturbation": options.perturbation},
        "mechanisms": run,
        "runs": run,
    }
    return {page: ("/" if page == "home" else f"/{page}") + f"?{urlencode(states[page])}" for page in options.pages}


def take(page: Page, url: str, path: Path) -> None:
    """Write what stands at an address, when it is all there."""
    page.goto(url)
    settle(page)
    page.wait_for_function("() => !document.body.innerText.includes('being made')", timeout=180_000)
    page.wait_for_function("() => [...document.images].every(image => image.complete)")
    settle(page)
    page.wait_for_timeout(1_000)  # charts are drawn after their page
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.save(path, quality=QUALITY, method=6)
    sys.stdout.write(f"{path}\n")


def main() -> None:
    """Take them."""
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    with dashboard(options.catalog) as served, browsing() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        for name, address in addresses(options).items():
            page.set_viewport_size({"width": WIDTH, "height": HEIGHTS.get(name, HEIGHT)})
            take(page, f"{served.url}{address}", options.out / f"{options.prefix}-{name}.webp")


if __name__ == "__main__":
    main()
