"""The list of runs, and the one among them that is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

import polars as pl
import streamlit as st

from dashboards.components.choices import RUNS_SHOWN, chosen_run
from dashboards.components.later import let_be_seen
from dashboards.components.tables import key_of_rows, show_table
from dashboards.connection import ask_all, connected
from dashboards.troubles import drawn
from dashboards.views.runs_parts import watch, what_is_said
from dashboards.views.runs_watch import SECONDS_BETWEEN_LOOKS, show_run
from dashboards.views.runs_words import lasting, state_named
from hcs.client import Client
from hcs.client.waiting import UNDER_WAY
from schemas.api import RunSummary

_TAKEN = "run_taken_from_table"
_ROWS_IN_SIGHT, _HEIGHT = 6, 250

_COLUMNS = {
    "done": st.column_config.ProgressColumn("Work done", format="%.0f %%", min_value=0, max_value=100, width="small"),
    "plates": st.column_config.NumberColumn("Plates", width="small"),
    "sites": st.column_config.NumberColumn("Sites", width="small"),
    "failed": st.column_config.NumberColumn("Failed", help="Units of work: a few wells each.", width="small"),
    "submitted": st.column_config.DatetimeColumn("Submitted", format="YYYY-MM-DD HH:mm"),
    "run": "Run", "screen": "Screen", "state": "State", "took": "Took", "version": "Version",
}  # fmt: skip


def show_runs() -> None:
    """Draw the list, newest first, and below it one run."""
    every: list[RunSummary] = ask_all(Client.runs)
    if every:
        is_under_way = any(run.state in UNDER_WAY for run in every[:RUNS_SHOWN])
        look = st.fragment(run_every=SECONDS_BETWEEN_LOOKS if is_under_way else None)(_look)
        look(is_under_way)
    run = chosen_run(finished=False)
    if said := what_is_said():
        st.info(said, icon=":material/history:")
    if run is not None:
        let_be_seen("runs")
        show_run(run)


def run_rows(runs: Sequence[RunSummary]) -> pl.DataFrame:
    """Return a row a run, in their order."""
    rows = [
        {
            "run": run.id,
            "screen": run.screen,
            "state": state_named(run.state),
            "done": 100 * run.units_done / run.units if run.units else 0.0,
            "failed": run.units_failed,
            "plates": run.plates,
            "sites": run.sites,
            "submitted": run.created_at,
            "took": _took(run.created_at, run.finished_at),
            "version": run.code_version,
        }
        for run in runs
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _look(is_under_way: bool) -> None:
    drawn(lambda: _show_list(is_under_way), part="list")


def _show_list(is_under_way: bool) -> None:
    """Draw the newest runs; those under way as they are now, since the others do not change."""
    every = list(islice(connected().runs(), RUNS_SHOWN)) if is_under_way else ask_all(Client.runs)[:RUNS_SHOWN]
    selected = show_table(
        run_rows(every),
        key=key_of_rows("runs", (run.id for run in every)),
        columns=_COLUMNS,
        file_name="runs.csv",
        selectable=True,
        height=_HEIGHT if len(every) > _ROWS_IN_SIGHT else None,
    )
    taken = every[selected[0]].id if selected else None
    before, st.session_state[_TAKEN] = st.session_state.get(_TAKEN), taken
    if taken is not None and taken != before:
        watch(taken)


def _took(began: datetime, ended: datetime | None) -> str:
    return lasting(None if ended is None else (ended - began).total_seconds())
