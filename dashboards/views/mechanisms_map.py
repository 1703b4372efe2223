"""The map of treatments with its clusters, what is selected on it, and how much chance would give."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboards.components.choices import PROFILE
from dashboards.components.tables import key_of_rows, show_table
from dashboards.connection import SECONDS_KEPT, connected
from dashboards.places import link
from dashboards.troubles import drawn
from dashboards.views.mechanisms_chart import (
    COLOURS,
    GROUPINGS,
    MARKS,
    drawn_points,
    groups_of,
    map_chart,
    map_said,
    point_rows,
)
from dashboards.views.mechanisms_words import (
    cluster_name,
    cluster_rows,
    clusters_said,
    figure_rows,
    figures_said,
    treatment_rows,
)
from dashboards.words import counted, plain, shortened
from schemas.api_results import MapPoint, RunMap

SECONDS_BETWEEN_LOOKS = 2.0
CLUSTER, COLOUR, EVERYTHING = "cluster", "colour", "everything"
ANY = "any"

_KEPT = "map_kept"
_CLUSTER_COLUMNS = {
    "cluster": "Cluster",
    "size": st.column_config.NumberColumn("Treatments", width="small"),
    "mechanism": "Most enriched mechanism",
    "carriers": st.column_config.TextColumn("Compounds with it"),
    "q": st.column_config.NumberColumn("q", format="%.2g", width="small"),
    "share_annotated": st.column_config.ProgressColumn("Annotated", format="%.0f %%", min_value=0, max_value=100),
    "members": st.column_config.TextColumn("Members", width="large"),
}
_TREATMENT_COLUMNS = {
    "name": "Treatment", "mechanism": "Mechanism", "cluster": "Cluster", "call": "Call",
    "q": st.column_config.NumberColumn("q", format="%.2g", width="small"),
    "effect": st.column_config.NumberColumn("Effect (\N{MULTIPLICATION SIGN} control)", format="%.3g"),
    "count": st.column_config.NumberColumn("Cell count ratio", format="%.2f"),
    "batches": "Batches", "plates": "Plates", "treatment": "Key",
}  # fmt: skip
_FIGURE_COLUMNS = {
    "figure": "Figure",
    "value": st.column_config.NumberColumn("Value", format="%.3g"),
    "shuffled": st.column_config.NumberColumn("Shuffled annotations", format="%.3g"),
    "n": st.column_config.NumberColumn("Profiles"),
    "reason": "Why there is none",
}


def show_map(run: str, profile: str) -> None:
    """Draw the map, what is selected on it and its clusters; while it is being made, look again by itself."""
    st.header("Map of treatments")
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    by = left.segmented_control(
        "Coloured by", COLOURS, default=COLOURS[0], required=True, key=COLOUR, bind="query-params"
    )
    everything = right.toggle(
        "Treatments that are no hits, too",
        key=EVERYTHING,
        bind="query-params",
        help="The profile of an inactive treatment is noise, and noise has no mechanism.",
    )
    is_there = _kept(run, profile, everything) is not None
    look = st.fragment(run_every=None if is_there else SECONDS_BETWEEN_LOOKS)(_look)
    look(run, profile, everything, by or COLOURS[0], is_there)


def _look(run: str, profile: str, everything: bool, by: str, was_there: bool) -> None:
    drawn(lambda: _show(run, profile, everything, by, was_there), part="map")


def _show(run: str, profile: str, everything: bool, by: str, was_there: bool) -> None:
    found = _asked(run, profile, everything)
    if (found is not None) != was_there:
        st.rerun()  # so that it is looked for again and again until it is there, and no longer
    if found is None:
        st.info(
            "The map is being made: seconds for the hits of a screen, a minute or two for thousands of treatments. "
            "It appears here by itself.",
            icon=":material/hourglass:",
        )
        return
    for note in found.notes:
        st.caption(plain(note))
    if not found.items:
        st.info("There is no hit to be drawn. Look at all treatments instead: the switch is above.")
        return
    wanted = _chosen_cluster(found)
    _show_points(found, by, wanted)
    st.header("Clusters")
    st.markdown(clusters_said(found.clusters))
    if found.clusters:
        show_table(
            cluster_rows(found.clusters), key="clusters", columns=_CLUSTER_COLUMNS, file_name=f"{run}-clusters.csv"
        )
    st.header("Against chance")
    st.markdown("\n".join(f"- {said}" for said in figures_said(found.figures)))
    st.caption("Annotations are dealt anew to the annotated compounds 200 times: that is what chance gives.")
    with st.expander("All figures as a table"):
        show_table(figure_rows(found.figures), key="figures", columns=_FIGURE_COLUMNS, file_name=f"{run}-figures.csv")


def _chosen_cluster(found: RunMap) -> str:
    names = [cluster_name(one.cluster) for one in found.clusters]
    return st.selectbox("Cluster", [ANY, *names], key=CLUSTER, bind="query-params")


def _show_points(found: RunMap, by: str, wanted: str) -> None:
    points = drawn_points(found.items)
    taken: list[MapPoint] | None = None
    words = "Click a point or draw a box to choose; all are listed until then."
    if not points:
        words = "They are too few to be laid out as a map."
    else:
        event = st.vega_lite_chart(
            point_rows(points, by=by, faint=lambda point: wanted != ANY and cluster_name(point.cluster) != wanted),
            map_chart(groups_of(points, by) if by in GROUPINGS else (), by=by),
            key=f"map-{found.run}-{found.profile}-{found.everything}",
            on_select="rerun",
            alt=map_said(points, by=by),
        )
        left_out = len(found.items) - len(points)
        more = f" The surest {MARKS:,} are drawn, {left_out:,} are not." if left_out else ""
        st.caption(f"What is near looks alike; how far apart clusters lie says little.{more}")
        taken = taken_by(points, event["selection"])
    if taken is None:
        taken = list(found.items)
    else:
        words = f"{counted(len(taken), 'treatment')} chosen on the map; a double click on it lets go."
    shown = [point for point in taken if wanted in {ANY, cluster_name(point.cluster)}]
    _show_treatments(found, shown, words)


def taken_by(points: Sequence[MapPoint], selection: Mapping[str, Any]) -> list[MapPoint] | None:
    """Return the points that are clicked and in the box, as far as there is either; None where nothing is selected."""
    clicked = {one["treatment"] for one in selection.get("point") or ()}
    box: Mapping[str, Sequence[float]] = selection.get("box") or {}
    if not clicked and not box:
        return None
    return [
        point
        for point in points
        if (not clicked or point.treatment in clicked)
        and _is_between(point.umap_x, box.get("x"))
        and _is_between(point.umap_y, box.get("y"))
    ]


def _is_between(value: float | None, ends: Sequence[float] | None) -> bool:
    return ends is None or (value is not None and min(ends) <= value <= max(ends))


def _show_treatments(found: RunMap, shown: Sequence[MapPoint], words: str) -> None:
    st.caption(words)
    if not shown:
        st.caption("None of them is in this cluster.")
        return
    selected = show_table(
        treatment_rows(shown),
        key=key_of_rows(f"map-{found.run}-{found.profile}", (point.treatment for point in shown)),
        columns=_TREATMENT_COLUMNS,
        file_name=f"{found.run}-map.csv",
        selectable=True,
        height=320 if len(shown) > 8 else None,
    )
    if not selected:
        return
    point = shown[selected[0]]
    link(
        "compound",
        f"Why is {plain(shortened(point.name or point.perturbation))} a hit?"
        if point.call == "active"
        else f"Look at {plain(shortened(point.name or point.perturbation))}",
        icon=":material/experiment:",
        run=found.run,
        perturbation=point.perturbation,
        **{PROFILE: found.profile},
    )


def _asked(run: str, profile: str, everything: bool) -> RunMap | None:
    """Return the map. It is kept for a moment, but never that it is not there yet."""
    kept = _kept(run, profile, everything)
    if kept is not None:
        return kept
    found = connected().map(run, profile=profile, everything=everything)
    st.session_state[_KEPT] = None if found is None else ((run, profile, everything), time.monotonic(), found)
    return found


def _kept(run: str, profile: str, everything: bool) -> RunMap | None:
    of, when, found = st.session_state.get(_KEPT) or (None, 0.0, None)
    return found if of == (run, profile, everything) and time.monotonic() - when < SECONDS_KEPT else None
