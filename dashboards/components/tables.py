"""Tables as a page shows them: at most so many rows at once, and all of them as a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from dashboards.words import NOTHING, counted

ROWS_SHOWN = 1_000
"""More are not sent to a browser; the file holds all."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def show_table(
    frame: pl.DataFrame,
    *,
    key: str,
    columns: Mapping[str, Any] | None = None,
    file_name: str,
    selectable: bool = False,
    on_select: Callable[[], None] | None = None,
    selected_row: int | None = None,
    height: int | None = None,
) -> list[int]:
    """Draw a table with a download of exactly its rows, and return the places of the rows that are selected.

    Args:
        frame: Its columns, in their order.
        key: Of the widget.
        columns: Column -> a title, or one of `st.column_config`; a column that is not there keeps its name.
        file_name: Of the download, a CSV.
        selectable: Whether a row can be selected; then at most one place comes back.
        on_select: Called before the page is drawn again because of a row.
        selected_row: Place of the row that is selected when the widget is drawn first.
        height: Pixels.
    """
    config = dict(columns or {})
    selected: list[int] = []
    shown = frame.head(ROWS_SHOWN)
    sized: dict[str, Any] = {} if height is None else {"height": height}
    if selectable:
        event = st.dataframe(
            shown,
            hide_index=True,
            column_config=config,
            key=key,
            placeholder=NOTHING,
            on_select=on_select or "rerun",
            selection_mode="single-row",
            selection_default=None if selected_row is None else {"selection": {"rows": [selected_row]}},
            **sized,
        )
        selected = list(event["selection"]["rows"])
    else:
        st.dataframe(shown, hide_index=True, column_config=config, key=key, placeholder=NOTHING, **sized)
    more = f", the first {ROWS_SHOWN:,} are shown" if frame.height > ROWS_SHOWN else ""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{counted(frame.height, 'row')}{more}", width="content")
        st.download_button(
            "Download CSV",
            csv_of(frame),
            file_name=file_name,
            mime="text/csv",
            key=f"{key}-file",
            icon=":material/download:",
        )
    return selected


def key_of_rows(name: str, rows: Iterable[str]) -> str:
    """Return the key of a table in which rows are selected by their place: other rows are another table."""
    return f"{name}-{hashlib.sha256('|'.join(rows).encode()).hexdigest()[:12]}"


def csv_of(frame: pl.DataFrame) -> bytes:
    """Return a table as CSV in which no cell is taken for a formula: `=1+1` is written `'=1+1` (OWASP)."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    guarded = [
        pl.when(pl.any_horizontal([pl.col(name).str.starts_with(sign) for sign in _FORMULA]))
        .then(pl.lit("'") + pl.col(name))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    ]
    return frame.with_columns(guarded).write_csv().encode()


def frame_of_rows(rows: Sequence[Any], names: Sequence[str]) -> pl.DataFrame:
    """Return some fields of records of the API as a table, the columns there also without rows."""
    kept = [{name: _cell(getattr(row, name)) for name in names} for row in rows]
    return pl.DataFrame(kept, schema=None if kept else dict.fromkeys(names, pl.String), infer_schema_length=None)


def _cell(value: Any) -> Any:
    return "; ".join(map(str, value)) if isinstance(value, tuple | list) else value
