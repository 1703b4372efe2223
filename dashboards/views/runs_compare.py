"""Two runs, or two profiles of one, held against one another: hits gained and lost."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import streamlit as st

from dashboards.components.addresses import chosen
from dashboards.components.choices import COMBINED, PROFILE, PROFILE_HELP, chosen_profile, chosen_run, is_finished
from dashboards.components.tables import key_of_rows, show_table
from dashboards.connection import ask, ask_all
from dashboards.places import link
from dashboards.words import counted, dose, plain, shortened
from hcs.client import Client
from schemas.api import RunSummary
from schemas.api_results import ComparedCall, Comparison

OTHER, OTHER_PROFILE, CHANGE = "other", "other_profile", "change"
EVERY = "All"
CHANGES = {EVERY: None, "Gained": "gained", "Lost": "lost", "In both": "both"}
_KINDS = {"treatment": "treatment", "poscon": "positive control"}

_EFFECT = "Distance from the negative controls, as a multiple of theirs."
_RATIO = "Cells, as a ratio to the negative controls of the plate."
_NAMES = {
    "change": "Change", "name": "Treatment", "dose": "Dose", "mechanism": "Mechanism",
    "q_before": st.column_config.NumberColumn("q, other side", format="%.2g"),
    "q_after": st.column_config.NumberColumn("q", format="%.2g"),
    "effect_before": st.column_config.NumberColumn("Effect, other side", format="%.3g", help=_EFFECT),
    "effect_after": st.column_config.NumberColumn("Effect", format="%.3g", help=_EFFECT),
    "count_before": st.column_config.NumberColumn("Count, other side", format="%.2f", help=_RATIO),
    "count_after": st.column_config.NumberColumn("Count", format="%.2f", help=_RATIO),
    "control_type": "What it is", "perturbation": "Perturbation",
}  # fmt: skip


def show_comparison() -> None:
    """Draw the choice of both sides, what differs in words, and the table."""
    left, right = st.columns(2, gap="large")
    with left:
        run = chosen_run()
        if run is None:
            return
        profile = chosen_profile(run)
    with right:
        other = _other_run(run)
        other_profile = _other_profile(run, other, profile)
    if other.id == run.id and other_profile == profile:
        st.info("Both sides are the same: choose another run, or another profile.", icon=":material/compare_arrows:")
        return
    found: Comparison = ask(Client.compare, run.id, other.id, profile=profile, other_profile=other_profile)
    cells = st.columns(4)
    cells[0].metric("Hits gained", found.gained)
    cells[1].metric("Hits lost", found.lost)
    cells[2].metric("Hits in both", found.both)
    st.markdown(said_of(found))
    if not found.items:
        return
    change = st.segmented_control("Show", list(CHANGES), default=EVERY, required=True, key=CHANGE, bind="query-params")
    shown = [call for call in found.items if CHANGES[change or EVERY] in {None, call.change}]
    if not shown:
        st.caption("There is none of these.")
        return
    selected = show_table(
        comparison_rows(shown),
        key=key_of_rows(f"compared-{found.run}-{found.other}", (call.treatment for call in shown)),
        columns=_NAMES,
        file_name=f"{found.run}-against-{found.other}.csv",
        selectable=True,
    )
    _show_links(found, shown[selected[0]] if selected else None)


def said_of(found: Comparison) -> str:
    """Return the comparison in a sentence of Markdown."""
    here, there = _side(found.run, found.profile), _side(found.other, found.other_profile)
    if not found.items:
        return f"Neither {here} nor {there} has a hit at q {found.q_max:g}."
    total = found.lost + found.both
    kept = f"{found.both} of {counted(total, 'hit')} of {there} {'is' if found.both == 1 else 'are'} also in {here}"
    return f"{kept}; {counted(found.gained, 'hit')} of {here} {'is' if found.gained == 1 else 'are'} new."


def comparison_rows(calls: Sequence[ComparedCall]) -> pl.DataFrame:
    """Return a row a treatment that is a hit on some side, with what either says of it."""
    rows = [
        {
            "change": "in both" if call.change == "both" else call.change,
            "name": call.name or call.perturbation,
            "dose": dose(call.concentration_micromolar, call.dose_step),
            "mechanism": call.mechanism or "",
            "q_before": call.before and call.before.q_value,
            "q_after": call.after and call.after.q_value,
            "effect_before": call.before and call.before.effect,
            "effect_after": call.after and call.after.effect,
            "count_before": call.before and call.before.cell_count_ratio,
            "count_after": call.after and call.after.cell_count_ratio,
            "control_type": _KINDS[call.control_type],
            "perturbation": call.perturbation,
        }
        for call in calls
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _other_run(run: RunSummary) -> RunSummary:
    """Draw the choice of what a run is held against: first the one before it of the same screen, else itself."""
    by_name = {one.id: one for one in ask_all(Client.runs) if is_finished(one)}
    older = list(by_name.values())[list(by_name).index(run.id) + 1 :]
    first = next((one.id for one in older if one.screen == run.screen), run.id)
    ordered = [first, *(name for name in by_name if name != first)]
    name = chosen(
        "Against",
        ordered,
        key=OTHER,
        always=True,
        format_func=lambda one: "the same run" if one == run.id else f"{one}: {shortened(by_name[one].screen)}",
    )
    return by_name[name or first]


def _other_profile(run: RunSummary, other: RunSummary, profile: str) -> str:
    """Draw the choice of the other side's profile: first the same one, or another one of the same run."""
    names = [one.name for one in ask(Client.profiles_of, other.id)] or [COMBINED]
    if other.id == run.id:
        first = next((name for name in names if name != profile), profile)
    else:
        first = profile if profile in names else names[0]
    ordered = [first, *(name for name in names if name != first)]
    return st.selectbox("Its profile", ordered, key=OTHER_PROFILE, bind="query-params", help=PROFILE_HELP)


def _show_links(found: Comparison, call: ComparedCall | None) -> None:
    if call is None:
        st.caption("Select a row to look at the compound.")
        return
    name = plain(shortened(call.name or call.perturbation))
    cells = st.columns(2)
    for cell, run, profile in ((cells[0], found.run, found.profile), (cells[1], found.other, found.other_profile)):
        with cell:
            link(
                "compound",
                f"{name} in {_side(run, profile)}",
                icon=":material/experiment:",
                run=run,
                perturbation=call.perturbation,
                **{PROFILE: profile},
            )


def _side(run: str, profile: str) -> str:
    return f"{run} ({plain(shortened(profile))})"
