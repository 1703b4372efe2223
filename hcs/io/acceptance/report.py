"""The acceptance report of one delivered plate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from hcs.errors import UsageError
from hcs.io.acceptance.completeness import completeness_findings, delivered_counts, expect, present_images
from hcs.io.acceptance.findings import finding, in_order, verdict_of
from hcs.io.acceptance.images import CheckedImage, check_images, image_findings
from hcs.io.acceptance.platemap import fit_platemap, platemap_findings
from hcs.io.layouts import Delivery
from hcs.io.storage import reads_at_once
from schemas.acceptance import AcceptanceReport, Finding, FindingKind, Severity
from schemas.screen import ScreenConfig

DECODE = ("headers", "all")


@dataclass(frozen=True)
class Examination:
    """What came of a plate, and the size (height, width) of every image that can be read, by its path."""

    report: AcceptanceReport
    sizes: Mapping[str, tuple[int, int]]


def accept(
    delivery: Delivery,
    wells: pl.DataFrame,
    *,
    config: ScreenConfig,
    decode: str = "headers",
    threads: int | None = None,
) -> AcceptanceReport:
    """Return what came of a plate against what should have come, and what may be done with it.

    Rejected is a plate without a readable image, and one of whose wells the platemap has none. Anything missing,
    broken or doubled, and a lack of negative controls, make it acceptable with holes. Notes change nothing.

    Args:
        delivery: Of `read_delivery`.
        wells: Of `read_plate_wells`, for this plate or for many.
        config: Its controls, exclusions, annotations and projection count.
        decode: `headers` reads where each image begins and ends; `all` decodes each.
        threads: That read images at once; None takes as many as their store is fast with.

    Raises:
        UsageError: If `decode` is neither.
        StoreUnavailableError: If the store of the images does not answer, or refuses the key.
    """
    return examine(delivery, wells, config=config, decode=decode, threads=threads).report


def examine(
    delivery: Delivery,
    wells: pl.DataFrame,
    *,
    config: ScreenConfig,
    decode: str = "headers",
    threads: int | None = None,
) -> Examination:
    """Return the report of `accept`, which takes the same and raises the same, and what else was seen on the way."""
    if decode not in DECODE:
        raise UsageError(f"expected decode to be {' or '.join(DECODE)}, got {decode!r}")
    checked = check_images(
        delivery,
        is_decoded=decode == "all",
        projection=config.pixels.projection,
        threads=threads or reads_at_once(delivery.uri),
    )
    fit = fit_platemap(wells, plate=delivery.plate, delivered=set(present_images(delivery)["well"]), config=config)
    expected = expect(delivery, planned_wells=fit.planned)
    findings = in_order(
        [
            *delivery.findings,
            *completeness_findings(delivery, expected),
            *image_findings(checked, plate=delivery.plate),
            *_nothing_readable(checked, delivery.plate),
            *platemap_findings(fit, plate=delivery.plate, config=config),
        ]
    )
    report = AcceptanceReport(
        plate=delivery.plate,
        uri=delivery.uri,
        layout=delivery.layout,
        verdict=verdict_of(findings),
        channels=expected.channels,
        expected=expected.counts,
        delivered=delivered_counts(delivery),
        n_negcon_wells=len(fit.delivered_of("negcon")),
        n_poscon_wells=len(fit.delivered_of("poscon")),
        n_treatment_wells=len(fit.delivered_of("treatment")),
        findings=findings,
    )
    sizes = {item.relative_path: (item.header.height, item.header.width) for item in checked if item.header is not None}
    return Examination(report=report, sizes=sizes)


def _nothing_readable(checked: list[CheckedImage], plate: str) -> tuple[Finding, ...]:
    is_hopeless = bool(checked) and all(item.header is None for item in checked)
    return finding(
        FindingKind.NO_IMAGES,
        Severity.FATAL,
        place=plate,
        things=[f"none of {len(checked)} files can be read"] if is_hopeless else [],
        consequence="There is nothing to embed; export the plate again.",
    )
