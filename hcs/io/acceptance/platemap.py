"""Whether the platemap fits the plate, and what it has to compare with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from hcs.io.acceptance.findings import finding
from hcs.io.wells import row_and_column, smallest_format
from schemas.acceptance import Finding, FindingKind, Severity
from schemas.screen import ScreenConfig

ENOUGH_CONTROLS = 16
"""Negative control wells of a plate from which it is whitened and scaled on its own."""


@dataclass(frozen=True)
class PlatemapFit:
    """The wells that a platemap describes on one plate, against those delivered."""

    described: pl.DataFrame
    delivered: frozenset[str]
    excluded: dict[str, str]

    @property
    def orphans(self) -> list[str]:
        """Wells with a perturbation that the plate's format does not have.

        The format is known where at least half of its wells were delivered.
        """
        n_rows, n_columns = smallest_format(self.delivered)
        if 2 * len(self.delivered) < n_rows * n_columns:
            return []
        places = {well: row_and_column(well) for well in self._planned}
        return [well for well, (row, column) in places.items() if row > n_rows or column > n_columns]

    @property
    def planned(self) -> list[str]:
        """Wells with a perturbation that the plate can have, sorted."""
        orphans = set(self.orphans)
        return [well for well in self._planned if well not in orphans]

    @property
    def _planned(self) -> list[str]:
        return self.described.filter(pl.col("control_type") != "empty")["well"].sort().to_list()

    def delivered_of(self, control_type: str) -> list[str]:
        """Return the delivered wells of a control type that nobody excluded, sorted."""
        own = self.described.filter(pl.col("control_type") == control_type)["well"].sort()
        return [well for well in own if well in self.delivered and well not in self.excluded]


def fit_platemap(wells: pl.DataFrame, *, plate: str, delivered: Collection[str], config: ScreenConfig) -> PlatemapFit:
    """Return how a platemap's wells of one plate lie against those delivered."""
    excluded = {item.well: item.reason for item in config.exclude_wells if item.plate == plate}
    return PlatemapFit(pl.DataFrame(wells).filter(pl.col("plate") == plate), frozenset(delivered), excluded)


def platemap_findings(fit: PlatemapFit, *, plate: str, config: ScreenConfig) -> list[Finding]:
    """Return what does not fit, which controls there are not, and what a person took out."""
    if fit.described.is_empty():
        return [*_no_platemap(plate), *_excluded(fit, plate)]
    described = set(fit.described["well"])
    findings = [
        *finding(
            FindingKind.PLATEMAP_ORPHAN_WELL,
            Severity.HOLE,
            place=plate,
            things=fit.orphans,
            consequence="The platemap describes a well that this plate's format does not have; is it another plate's?",
        ),
        *_excluded(fit, plate),
    ]
    if fit.delivered and not described & fit.delivered:
        return [*findings, *_mismatch(fit, plate)]
    return [
        *findings,
        *finding(
            FindingKind.WELL_NOT_IN_PLATEMAP,
            Severity.HOLE,
            place=plate,
            things=sorted(fit.delivered - described),
            consequence="The well is embedded and stored, and takes part in no call; add it to the platemap.",
        ),
        *(_controls(fit, plate) if fit.delivered else ()),
        *_not_annotated(fit, plate, config),
    ]


def _no_platemap(plate: str) -> tuple[Finding, ...]:
    return finding(
        FindingKind.PLATEMAP_MISSING,
        Severity.HOLE,
        place=plate,
        things=["no row for this plate"],
        consequence="What was done to the wells is not known: they are embedded and stored, calls are refused. Give "
        "`platemaps`, and compare the barcode with the one it writes.",
    )


def _mismatch(fit: PlatemapFit, plate: str) -> tuple[Finding, ...]:
    return finding(
        FindingKind.PLATEMAP_MISMATCH,
        Severity.FATAL,
        place=plate,
        things=[f"delivered: {', '.join(sorted(fit.delivered)[:5])}", f"described: {', '.join(fit.planned[:5])}"],
        consequence="No delivered well is in the platemap, so one of the two is another plate's; give the right one.",
    )


def _controls(fit: PlatemapFit, plate: str) -> list[Finding]:
    negative, positive = fit.delivered_of("negcon"), fit.delivered_of("poscon")
    return [
        *finding(
            FindingKind.NO_NEGATIVE_CONTROL,
            Severity.HOLE,
            place=plate,
            things=[] if negative else ["no negative control among the delivered wells"],
            consequence="The plate is embedded and stored, calls on it are refused (exit 3); name the negative "
            "controls in `controls: {negcon: [...]}` or in the platemap's control_type.",
        ),
        *finding(
            FindingKind.FEW_NEGATIVE_CONTROLS,
            Severity.NOTE,
            place=plate,
            things=negative if len(negative) < ENOUGH_CONTROLS else [],
            consequence=f"With fewer than {ENOUGH_CONTROLS} the profiles are not whitened and the plate's scale is "
            "shrunk towards that of all plates.",
        ),
        *finding(
            FindingKind.NO_POSITIVE_CONTROL,
            Severity.NOTE,
            place=plate,
            things=[] if positive else ["no positive control among the delivered wells"],
            consequence="Nothing shows that the assay worked on this plate; the calls are made all the same.",
        ),
    ]


def _not_annotated(fit: PlatemapFit, plate: str, config: ScreenConfig) -> tuple[Finding, ...]:
    treatments = fit.described.filter(pl.col("control_type") == "treatment")
    if config.annotations is None and treatments["mechanism"].is_null().all():
        return ()
    unknown = treatments.filter(pl.col("mechanism").is_null())["perturbation"].unique().sort().to_list()
    return finding(
        FindingKind.PERTURBATION_NOT_ANNOTATED,
        Severity.NOTE,
        place=plate,
        things=unknown,
        consequence="No mechanism is known of it: it is called, and is no evidence for a mechanism.",
    )


def _excluded(fit: PlatemapFit, plate: str) -> tuple[Finding, ...]:
    return finding(
        FindingKind.EXCLUDED_WELL,
        Severity.NOTE,
        place=plate,
        things=[f"{well}: {reason}" for well, reason in sorted(fit.excluded.items())],
        consequence="A person took the well out; it is embedded and stored, and takes part in no call.",
    )
