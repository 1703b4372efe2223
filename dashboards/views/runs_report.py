"""The acceptance report of a screen that nobody has submitted yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import polars as pl
import streamlit as st

from dashboards.components.tables import show_table
from dashboards.views.runs_words import SEVERITIES, VERDICTS
from dashboards.words import NOTHING, counted, plain, shortened
from schemas.acceptance import AcceptanceReport, PlaneCounts, Severity, Verdict
from schemas.api_plates import PlateCheck, ScreenCheck

_WORST_FIRST = (Severity.FATAL, Severity.HOLE, Severity.NOTE)
_PLATE_COLUMNS = {
    "plate": "Plate", "verdict": "Verdict", "wells": "Wells", "images": "Images", "channels": "Channels",
    "controls": st.column_config.TextColumn("Controls, negative + positive", width="medium"),
    "treatments": st.column_config.NumberColumn("Treated wells", width="small"),
    "findings": st.column_config.NumberColumn("Findings", width="small"),
}  # fmt: skip
_FINDING_COLUMNS = {
    "plate": "Plate", "severity": "What it does", "finding": "Finding", "place": "Place",
    "count": st.column_config.NumberColumn("Times", width="small"),
    "consequence": st.column_config.TextColumn("What follows", width="large"),
    "examples": "Examples",
}  # fmt: skip


def show_report(check: ScreenCheck) -> None:
    """Draw what the check found: the verdict in words, a line a plate, and every finding."""
    st.header("Acceptance report")
    said = verdict_said(check.plates)
    draw = {Verdict.ACCEPT: st.success, Verdict.ACCEPT_WITH_HOLES: st.warning, Verdict.REJECT: st.error}
    icons = {
        Verdict.ACCEPT: ":material/check_circle:",
        Verdict.ACCEPT_WITH_HOLES: ":material/warning:",
        Verdict.REJECT: ":material/block:",
    }
    draw[check.verdict](said, icon=icons[check.verdict])
    for plate in check.plates:
        if plate.reason:
            st.markdown(f"- **{plain(shortened(plate.barcode))}**: {plain(plate.reason)}")
    for note in check.notes:
        st.caption(plain(note))
    show_table(plate_rows(check.plates), key="report", columns=_PLATE_COLUMNS, file_name="acceptance.csv")
    findings = finding_rows(check.plates)
    if findings.height:
        show_table(findings, key="findings", columns=_FINDING_COLUMNS, file_name="findings.csv")


def verdict_said(plates: Sequence[PlateCheck]) -> str:
    """Return the verdicts of all plates in a sentence."""
    counts = Counter(plate.verdict for plate in plates)
    said = [f"{counts[verdict]:,} {VERDICTS[verdict]}" for verdict in Verdict if counts[verdict]]
    left_out = " A run leaves out what is rejected." if 0 < counts[Verdict.REJECT] < len(plates) else ""
    return f"{counted(len(plates), 'plate')}: {'; '.join(said)}.{left_out}"


def plate_rows(plates: Sequence[PlateCheck]) -> pl.DataFrame:
    """Return a row a plate: its verdict, and what came of what should have come."""
    return pl.DataFrame([_plate_row(plate) for plate in plates], infer_schema_length=None)


def finding_rows(plates: Sequence[PlateCheck]) -> pl.DataFrame:
    """Return a row a finding; those that do most harm come first."""
    found = [
        {
            "plate": plate.barcode,
            "severity": SEVERITIES[finding.severity],
            "finding": finding.kind.value.replace("_", " "),
            "place": finding.place,
            "count": finding.count,
            "consequence": finding.consequence,
            "examples": "; ".join(finding.examples),
        }
        for severity in _WORST_FIRST
        for plate in plates
        if plate.report is not None
        for finding in plate.report.findings
        if finding.severity is severity
    ]
    return pl.DataFrame(found, infer_schema_length=None)


def _plate_row(plate: PlateCheck) -> dict[str, object]:
    report = plate.report
    row: dict[str, object] = {"plate": plate.barcode, "verdict": VERDICTS[plate.verdict]}
    if report is None:
        return row | {
            "wells": NOTHING, "images": NOTHING, "channels": NOTHING, "controls": NOTHING,
            "treatments": None, "findings": None,
        }  # fmt: skip
    return row | {
        "wells": _of(report, "wells"),
        "images": _of(report, "images"),
        "channels": ", ".join(report.channels) or NOTHING,
        "controls": f"{report.n_negcon_wells} + {report.n_poscon_wells}",
        "treatments": report.n_treatment_wells,
        "findings": len(report.findings),
    }


def _of(report: AcceptanceReport, name: str) -> str:
    def count(counts: PlaneCounts) -> int:
        return int(getattr(counts, name))

    return f"{count(report.delivered):,} of {count(report.expected):,}"
