"""The pages with everything imported that they need, so that the first visitor does not wait for it."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from dashboards.front import Pages
from dashboards.places import PLACES

LATER = (
    "httpcore",
    "pandas",
    "pyarrow.parquet",
    "PIL.Image",
    "streamlit.dataframe_util",
    "streamlit.elements.lib.image_utils",
)
"""What Streamlit itself imports only when the first table, chart or picture is drawn."""

APP = Path(__file__).with_name("app.py")


def load() -> None:
    """Import the pages, and what is imported while one is drawn."""
    for name in (*LATER, *(f"dashboards.views.{place.path}" for place in PLACES)):
        importlib.import_module(name)


def main(options: dict[str, object]) -> None:
    """Serve the pages until a signal comes.

    Args:
        options: Of Streamlit's configuration.
    """
    load()
    Pages(APP).run(config=options)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
