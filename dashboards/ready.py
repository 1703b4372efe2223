"""Streamlit with everything imported that the pages need, so that the first visitor does not wait for it."""

from __future__ import annotations

import importlib

from streamlit.web.cli import main

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


def load() -> None:
    """Import the pages, and what is imported while one is drawn."""
    for name in (*LATER, *(f"dashboards.views.{place.path}" for place in PLACES)):
        importlib.import_module(name)


if __name__ == "__main__":
    load()
    main(prog_name="streamlit")
