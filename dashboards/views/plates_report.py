"""What came of a plate: what the check said of its delivery, and how the other plates of the run are."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import streamlit as st

from dashboards.components.tables import show_table
from dashboards.connection import ask
from dashboards.words import counted, number, plain, shortened
from hcs.client import Client
from schemas.acceptance import AcceptanceReport, Finding, Severity, Verdict
from schemas.api import Plate, RunPlate

PLATE = "plate"
VERDICTS = {Verdict.ACCEPT: "Accepted", Verdict.ACCEPT_WITH_HOLES: "Accepted with holes", Verdict.REJECT: "Rejected"}
_COLOURS = {Verdict.ACCEPT: "green", Verdict.ACCEPT_WITH_HOLES: "orange", Verdict.REJECT: "red"}
_ICONS = {
    Verdict.ACCEPT: ":material/check_circle:",
    Verdict.ACCEPT_WITH_HOLES: ":material/warning:",
    Verdict.REJECT: ":material/cancel:",
}
SEVERITIES = {
    Severity.FATAL: "rejects the plate",
    Severity.HOLE: "leaves something out",
    Severity.NOTE: "changes nothing",
}
_FINDINGS_IN_WORDS = 6
"""More of them are a table alone."""
PLATES_AT_ONCE = 25
"""Of which the sites are asked for; a screen may have hundreds."""


def show_standing(plate: Plate) -> None:
    """Draw in one line whether a plate was accepted and what it holds."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(VERDICTS[plate.verdict], icon=_ICONS[plate.verdict], color=_COLOURS[plate.verdict])  # type: ignore[arg-type]
        st.markdown(standing(plate), width="content")


def standing(plate: Plate) -> str:
    """Return in one line what a plate holds, as Markdown."""
    wells, quality = plate.quality.wells, plate.quality
    kinds = [(wells.get("negcon", 0), "negative"), (wells.get("poscon", 0), "positive")]
    controls = ", ".join(f"{n} {kind} control{'' if n == 1 else 's'}" for n, kind in kinds if n)
    parts = [
        f"batch {plain(shortened(plate.batch))}" if plate.batch else "",
        counted(sum(wells.values()), "well") + (f" ({controls})" if controls else ""),
        f"{counted(quality.sites, 'site')}: {quality.sites_failed:,} failed, {quality.sites_flagged:,} flagged",
        f"{number(quality.median_negcon_cells)} cells a site in the negative controls"
        if quality.median_negcon_cells is not None
        else "",
    ]
    return " \N{MIDDLE DOT} ".join(filter(None, parts))


def show_report(report: AcceptanceReport) -> None:
    """Draw what the check said of a delivery: each finding in words, and all of them as a table."""
    findings = sorted(report.findings, key=lambda finding: list(SEVERITIES).index(finding.severity))
    with st.expander(headline(findings), icon=":material/fact_check:"):
        st.markdown(delivered(report))
        for finding in findings[:_FINDINGS_IN_WORDS]:
            st.markdown(f"- {in_words(finding)}")
        if findings:
            show_table(findings_table(findings), key="findings", file_name=f"{report.plate}-findings.csv")


def headline(findings: Sequence[Finding]) -> str:
    """Return in a few words what was found, and whether it matters."""
    if not findings:
        return "Acceptance: nothing was found"
    kinds = [(Severity.FATAL, "rejecting the plate"), (Severity.HOLE, "leaving something out")]
    counts = [(sum(finding.severity is severity for finding in findings), words) for severity, words in kinds]
    worse = [f"{n:,} {words}" for n, words in counts if n]
    return f"Acceptance: {counted(len(findings), 'finding')}, {', '.join(worse) or 'none that changes a result'}"


def delivered(report: AcceptanceReport) -> str:
    """Return how much of what was expected came, as Markdown."""
    came, due = report.delivered, report.expected
    counts = ", ".join(
        f"{getattr(came, name):,} of {getattr(due, name):,} {name}" for name in ("wells", "sites", "channels", "images")
    )
    channels = ", ".join(plain(channel) for channel in report.channels)
    return f"{counts} came ({channels}), in the layout {plain(report.layout)}."


def in_words(finding: Finding) -> str:
    """Return one finding as a sentence in Markdown."""
    kind = finding.kind.value.replace("_", " ").capitalize()
    place = plain(shortened(finding.place))
    examples = ", ".join(plain(shortened(example)) for example in finding.examples[:3])
    some = f" ({examples}{', ...' if finding.count > 3 else ''})" if examples else ""
    times = "" if finding.count == 1 else f", {finding.count:,} times"
    return f"**{kind}** at {place}{times}{some}: it {SEVERITIES[finding.severity]}. {plain(finding.consequence)}"


def findings_table(findings: Sequence[Finding]) -> pl.DataFrame:
    """Return a row a finding, the worst first."""
    return pl.DataFrame(
        {
            "finding": [finding.kind.value.replace("_", " ") for finding in findings],
            "severity": [f"{finding.severity.value}: {SEVERITIES[finding.severity]}" for finding in findings],
            "place": [finding.place for finding in findings],
            "count": [finding.count for finding in findings],
            "examples": ["; ".join(finding.examples) for finding in findings],
            "consequence": [finding.consequence for finding in findings],
        }
    )


def show_plates(plates: Sequence[RunPlate], *, run: str, chosen: str) -> None:
    """Draw the plates of a run with their sites, some at a time; a row that is clicked is the plate shown."""
    title = f"Plates of {run}: {len(plates):,}"
    with st.expander(title, icon=":material/list:", key="all_plates", bind="query-params") as area:
        if not area.open:
            return
        shown = plates
        if len(plates) > PLATES_AT_ONCE:
            starts = range(0, len(plates), PLATES_AT_ONCE)
            first = st.selectbox("Plates", starts, format_func=lambda at: _span(at, plates), key="plates_from")
            shown = plates[first : first + PLATES_AT_ONCE]
        frame = plates_table([ask(Client.plate, plate.barcode, run=run) for plate in shown])
        key = f"plates-{chosen}"

        def take_row() -> None:
            rows = st.session_state[key]["selection"]["rows"]
            if rows:
                st.session_state[PLATE] = shown[rows[0]].barcode

        show_table(frame, key=key, file_name=f"{run}-plates.csv", selectable=True, on_select=take_row)
        st.caption("Select a row to look at its plate.")


def plates_table(plates: Sequence[Plate]) -> pl.DataFrame:
    """Return a row a plate: verdict, batch, and what became of its sites."""
    texts, numbers = pl.String, pl.Int64
    return pl.DataFrame(
        {
            "plate": pl.Series([plate.barcode for plate in plates], dtype=texts),
            "batch": pl.Series([plate.batch for plate in plates], dtype=texts),
            "verdict": pl.Series([VERDICTS[plate.verdict] for plate in plates], dtype=texts),
            "findings": pl.Series([len(plate.report.findings) for plate in plates], dtype=numbers),
            "sites": pl.Series([plate.quality.sites for plate in plates], dtype=numbers),
            "sites failed": pl.Series([plate.quality.sites_failed for plate in plates], dtype=numbers),
            "sites flagged": pl.Series([plate.quality.sites_flagged for plate in plates], dtype=numbers),
            "cells a site in negatives": pl.Series(
                [plate.quality.median_negcon_cells for plate in plates], dtype=pl.Float64
            ),
        }
    )


def _span(first: int, plates: Sequence[RunPlate]) -> str:
    last = min(first + PLATES_AT_ONCE, len(plates))
    ends = shortened(plates[first].barcode, longest=24), shortened(plates[last - 1].barcode, longest=24)
    return f"{first + 1} to {last}: {ends[0]} to {ends[1]}"
