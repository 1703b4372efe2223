"""One run: how far it is while it goes on, what failed, and what can be done about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import polars as pl
import streamlit as st

from dashboards.components.tables import show_table
from dashboards.connection import ask, connected, forget_answers
from dashboards.places import link
from dashboards.troubles import drawn
from dashboards.views.runs_map import standing_chart, standing_rows, standing_said
from dashboards.views.runs_words import happening, lasting, pace, share_done, state_named, units_given_up
from dashboards.words import counted, number, plain, shortened
from hcs.client import Client
from hcs.client.waiting import UNDER_WAY
from hcs.errors import ApiConflictError
from schemas.api import Failure, PlateProgress, Run, RunSummary
from schemas.api_plates import WellProgress
from schemas.work import RunState

SECONDS_BETWEEN_LOOKS = 2.0
PLATE = "plate"
_REASON_SENT = 200
"""Characters that the API takes of a reason."""

_PLATE_COLUMNS = {
    "plate": "Plate",
    "done": st.column_config.ProgressColumn("Sites done", format="%.0f %%", min_value=0, max_value=100),
    "sites": st.column_config.NumberColumn("Sites", width="small"),
    "sites_failed": st.column_config.NumberColumn("Failed", width="small"),
}
_WELL_COLUMNS = {
    "well": "Well", "state": "State", "sites": "Sites", "failed": "Sites failed",
}  # fmt: skip
_FAILURE_COLUMNS = {
    "plate": "Plate", "well": "Well", "site": "Site",
    "sites": st.column_config.NumberColumn("Sites lost", width="small"),
    "reason": st.column_config.TextColumn("Reason", width="large"),
}  # fmt: skip


def show_run(run: RunSummary) -> None:
    """Draw a run; while it goes on, look again every other second, and draw the whole page anew at its end."""
    is_under_way = run.state in UNDER_WAY
    look = st.fragment(run_every=SECONDS_BETWEEN_LOOKS if is_under_way else None)(_look)
    look(run.id, is_under_way)


def _look(run: str, is_under_way: bool) -> None:
    drawn(lambda: _show(run, is_under_way), part="run")


def _show(name: str, was_under_way: bool) -> None:
    run: Run = connected().run(name) if was_under_way else ask(Client.run, name)
    is_under_way = run.state in UNDER_WAY
    if was_under_way != is_under_way:
        forget_answers()
        st.rerun()
    st.header(f"{run.id}: {plain(shortened(run.screen))}", anchor=False)
    _show_figures(run)
    if is_under_way:
        st.progress(share_done(run.progress), text=pace(run.progress))
        st.caption(happening(run))
    if run.is_finished:
        _show_links(run)
    _show_actions(run, is_under_way)
    if run.progress.plates:
        _show_plates(run, fresh=is_under_way)
    if run.failures:
        _show_failures(run)
    if run.notes:
        st.subheader("Notes")
        st.markdown("\n".join(f"- {plain(note)}" for note in run.notes))


def _show_figures(run: Run) -> None:
    progress = run.progress
    cells = st.columns(4)
    cells[0].metric("State", state_named(run.state).capitalize())
    cells[1].metric("Sites done", f"{progress.sites_done:,} of {progress.sites:,}")
    if run.state in UNDER_WAY:
        cells[2].metric("Speed", number(progress.sites_per_second, digits=2, unit="sites/s"))
        cells[3].metric("Time left", lasting(progress.eta_seconds))
        return
    took = None if run.finished_at is None else (run.finished_at - (run.started_at or run.created_at)).total_seconds()
    cells[2].metric("Sites failed", f"{progress.sites_failed:,}")
    cells[3].metric("Took", lasting(took))


def _show_links(run: Run) -> None:
    with st.container(horizontal=True):
        link("hits", "Its hits", icon=":material/target:", run=run.id)
        link("plates", "Its plates", icon=":material/grid_on:", run=run.id)
        link("mechanisms", "Its mechanisms", icon=":material/hub:", run=run.id)


def _show_actions(run: Run, is_under_way: bool) -> None:
    if is_under_way:
        with st.popover("Cancel this run", icon=":material/stop_circle:"):
            st.markdown("No further work is begun. What is finished is kept, and the run can be resumed from there.")
            if st.button(f"Cancel {run.id}", key="cancel", type="primary"):
                _change(connected().cancel, run.id)
    elif run.state in {RunState.CANCELLED, RunState.FAILED}:
        st.caption("What was finished is kept.")
        if st.button("Resume this run", key="resume", type="primary", icon=":material/resume:"):
            _change(connected().retry, run.id)


def _show_plates(run: Run, *, fresh: bool) -> None:
    st.subheader("Plates")
    plates = {plate.barcode: plate for plate in run.progress.plates}
    left, right = st.columns(2, gap="large")
    with left:
        barcode = _chosen_plate(list(plates), under_work=_under_work(run.progress.plates) if fresh else None)
        standing: WellProgress = (
            connected().well_progress(run.id, barcode) if fresh else ask(Client.well_progress, run.id, barcode)
        )
        said = standing_said(standing)
        st.vega_lite_chart(
            standing_rows(standing), standing_chart(standing), width="content", alt=f"Map of {said}", key="standing"
        )
        st.caption(said)
    with right:
        show_table(plate_rows(run.progress.plates), key="plates", columns=_PLATE_COLUMNS, file_name=f"{run.id}.csv")
        title = f"Wells of {plain(shortened(barcode, longest=30))}"
        with st.expander(title, key="run_wells", bind="query-params") as area:
            if area.open:
                show_table(
                    standing_rows(standing).select(list(_WELL_COLUMNS)),
                    key="wells",
                    columns=_WELL_COLUMNS,
                    file_name=f"{run.id}-wells.csv",
                    height=260,
                )


def _under_work(plates: tuple[PlateProgress, ...]) -> str:
    """Return the plate to look at where nobody chose one: the first that is begun and not done, else the first."""
    open_ones = [plate for plate in plates if plate.units_done + plate.units_failed < plate.units]
    begun = [plate for plate in open_ones if plate.units_done]
    return (begun or open_ones or list(plates))[0].barcode


def _chosen_plate(barcodes: list[str], *, under_work: str | None) -> str:
    """Draw the choice of a plate; where one is under work, the map follows the work until somebody chooses."""
    following = [] if under_work is None else ["The one under work"]
    chosen = st.selectbox("Plate on the map", [*following, *barcodes], key=PLATE, bind="query-params")
    return under_work if under_work is not None and chosen not in barcodes else chosen


def plate_rows(plates: tuple[PlateProgress, ...]) -> pl.DataFrame:
    """Return how far each plate is."""
    return pl.DataFrame(
        [
            {
                "plate": plate.barcode,
                "done": 100 * plate.sites_done / plate.sites if plate.sites else 0.0,
                "sites": plate.sites,
                "sites_failed": plate.sites_failed,
            }
            for plate in plates
        ]
    )


def _show_failures(run: Run) -> None:
    st.subheader("Failures")
    reasons = Counter(failure.reason for failure in run.failures)
    shown = "" if run.n_failures == len(run.failures) else f"; the first {len(run.failures)} are shown"
    st.markdown(f"{counted(run.n_failures, 'failure')}, {counted(len(reasons), 'reason')}{shown}.")
    show_table(failure_rows(run.failures), key="failures", columns=_FAILURE_COLUMNS, file_name=f"{run.id}-failures.csv")
    given_up = dict.fromkeys(failure.reason for failure in run.failures if failure.well is None)
    if not given_up:
        st.caption("These images cannot be read; trying again reads the same. Mend the files and submit the screen.")
    elif run.state not in {RunState.CANCELLED, RunState.FAILED}:  # resuming such a run tries them again
        _show_retry(run, list(given_up))


def failure_rows(failures: Sequence[Failure]) -> pl.DataFrame:
    """Return what failed, with its place; a unit of work has several wells, and names none."""
    rows = [
        {
            "plate": failure.plate,
            "well": failure.well or "",
            "site": "" if failure.site is None else str(failure.site),
            "sites": failure.sites,
            "reason": failure.reason,
        }
        for failure in failures
    ]
    return pl.DataFrame(rows)


def _show_retry(run: Run, reasons: list[str]) -> None:
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    every = ""
    only = left.selectbox(
        f"Try {counted(units_given_up(run.progress), 'unit')} of work again that failed for",
        [every, *reasons],
        format_func=lambda reason: shortened(reason, longest=120) if reason else "any reason",
        key="only",
    )
    if right.button("Retry", key="retry", type="primary", icon=":material/replay:"):
        _change(connected().retry, run.id, only=only[:_REASON_SENT])


def _change(method: Callable[..., Run], run: str, **options: str) -> None:
    """Have a run changed; where what is there does not allow it any more, say so beside what is there now."""
    try:
        method(run, **options)
    except ApiConflictError as error:
        forget_answers()
        st.warning(plain(error.detail), icon=":material/info:")
    else:
        forget_answers()
        st.rerun()
