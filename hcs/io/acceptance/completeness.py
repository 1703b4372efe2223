"""Expected against delivered: wells x sites x channels x planes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import polars as pl

from hcs.io.acceptance.findings import finding
from hcs.io.layouts import Delivery
from schemas.acceptance import Finding, FindingKind, PlaneCounts, Severity


@dataclass(frozen=True)
class Expectation:
    """What a plate should have: the same sites in every well, all channels at every site."""

    wells: tuple[str, ...]
    sites: tuple[int, ...]
    channels: tuple[str, ...]
    n_planes: int

    @property
    def counts(self) -> PlaneCounts:
        """How many of each."""
        n_sites = len(self.wells) * len(self.sites)
        return PlaneCounts(
            wells=len(self.wells),
            sites=n_sites,
            channels=len(self.channels),
            images=n_sites * len(self.channels) * self.n_planes,
        )


def expect(delivery: Delivery, *, planned_wells: Collection[str]) -> Expectation:
    """Return what should have come.

    The wells are those planned, or without a platemap those that the delivery names; the number of sites and of z
    planes is the one that most wells have (the larger where two are equally common), and the sites are the most common
    numbers; the channels are the declared ones, or all that the delivery names.
    """
    named = pl.DataFrame(delivery.images)
    sites = named.select("well", "site").unique()
    n_sites = _mode(sites["well"].value_counts()["count"])
    common = Counter(sites["site"].to_list())
    usual = sorted(common, key=lambda site: (-common[site], site))[:n_sites]
    stacks = named.group_by("well", "site", "channel", "timepoint").len()["len"]
    return Expectation(
        wells=tuple(sorted(planned_wells or named["well"].unique())),
        sites=tuple(sorted(usual)),
        channels=delivery.declared_channels or tuple(sorted(named["channel"].unique())),
        n_planes=max(1, _mode(stacks)),
    )


def present_images(delivery: Delivery) -> pl.DataFrame:
    """Return the rows whose file is there."""
    return pl.DataFrame(delivery.images).filter(pl.col("size_bytes").is_not_null())


def delivered_counts(delivery: Delivery) -> PlaneCounts:
    """Return how many of each came."""
    present = present_images(delivery)
    return PlaneCounts(
        wells=present["well"].n_unique(),
        sites=present.select("well", "site").unique().height,
        channels=present["channel"].n_unique(),
        images=present.height,
    )


def _mode(counts: Iterable[int]) -> int:
    common = Counter(counts)
    return max(common, key=lambda count: (common[count], count), default=0)


def completeness_findings(delivery: Delivery, expected: Expectation) -> list[Finding]:
    """Return what is missing, given twice, or not understood."""
    present = present_images(delivery)
    return [
        *_no_images(delivery, present),
        *_missing_files(delivery),
        *_missing_wells(delivery.plate, present, expected),
        *_missing_sites(delivery.plate, present, expected),
        *_missing_channels(present, expected),
        *_missing_planes(delivery.plate, present, expected),
        *_several_timepoints(delivery.plate, present),
        *_duplicates(delivery),
        *_unrecognised(delivery),
    ]


def _no_images(delivery: Delivery, present: pl.DataFrame) -> tuple[Finding, ...]:
    return finding(
        FindingKind.NO_IMAGES,
        Severity.FATAL,
        place=delivery.plate,
        things=[] if present.height else ["no image file"],
        consequence="There is nothing to embed; deliver the images and check again.",
    )


def _missing_files(delivery: Delivery) -> tuple[Finding, ...]:
    missing = delivery.images.filter(pl.col("size_bytes").is_null())
    return finding(
        FindingKind.MISSING_FILE,
        Severity.HOLE,
        place=delivery.plate,
        things=missing["relative_path"].to_list(),
        consequence="The delivery names the file and it is not there; its site fails. Copy it and check again.",
    )


def _missing_wells(plate: str, present: pl.DataFrame, expected: Expectation) -> tuple[Finding, ...]:
    delivered = set(present["well"])
    return finding(
        FindingKind.MISSING_WELL,
        Severity.HOLE,
        place=plate,
        things=[well for well in expected.wells if well not in delivered],
        consequence="The well should be there and no image of it came; its treatment has one replicate fewer.",
    )


def _missing_sites(plate: str, present: pl.DataFrame, expected: Expectation) -> tuple[Finding, ...]:
    came: dict[str, set[int]] = defaultdict(set)
    for well, site in present.select("well", "site").iter_rows():
        came[well].add(site)
    missing = []
    for well in sorted(set(came) & set(expected.wells)):
        n_short = max(0, len(expected.sites) - len(came[well]))
        missing += [f"{well} site {site}" for site in expected.sites if site not in came[well]][:n_short]
    return finding(
        FindingKind.MISSING_SITE,
        Severity.HOLE,
        place=plate,
        things=missing,
        consequence="The well is described by fewer sites than the others of the plate.",
    )


def _missing_channels(present: pl.DataFrame, expected: Expectation) -> list[Finding]:
    sites = sorted(present.select("well", "site").unique().iter_rows())
    findings: list[Finding] = []
    for channel in expected.channels:
        came = set(present.filter(pl.col("channel") == channel).select("well", "site").iter_rows())
        everywhere = "The whole channel is missing: no site can be embedded; take it out of `channels` or deliver it."
        findings += finding(
            FindingKind.MISSING_CHANNEL,
            Severity.HOLE if came else Severity.FATAL,
            place=channel,
            things=[f"{well} site {site}" for well, site in sites if (well, site) not in came],
            consequence="The site fails: it is embedded from all of its channels." if came else everywhere,
        )
    return findings


def _missing_planes(plate: str, present: pl.DataFrame, expected: Expectation) -> tuple[Finding, ...]:
    keys = ["well", "site", "channel", "timepoint"]
    short = present.group_by(keys).len().filter(pl.col("len") < expected.n_planes).sort(keys)
    return finding(
        FindingKind.MISSING_FILE,
        Severity.HOLE,
        place=f"{plate} z planes",
        things=[f"{row['well']} site {row['site']} {row['channel']}" for row in short.iter_rows(named=True)],
        consequence=f"The stack has fewer than the usual {expected.n_planes} planes; it is projected from the others.",
    )


def _several_timepoints(plate: str, present: pl.DataFrame) -> tuple[Finding, ...]:
    timepoints = present["timepoint"].unique().sort().to_list()
    return finding(
        FindingKind.SEVERAL_TIMEPOINTS,
        Severity.HOLE,
        place=plate,
        things=[str(timepoint) for timepoint in timepoints] if len(timepoints) > 1 else [],
        consequence="A site of several time points fails; make one entry of `plates` for each, with the time point "
        "written into its pattern instead of {timepoint}.",
    )


def _duplicates(delivery: Delivery) -> tuple[Finding, ...]:
    return finding(
        FindingKind.DUPLICATE_IMAGE,
        Severity.HOLE,
        place=delivery.plate,
        things=delivery.duplicates["relative_path"].to_list(),
        consequence="Another file of the same plane comes first by path and is used; delete the wrong one.",
    )


def _unrecognised(delivery: Delivery) -> tuple[Finding, ...]:
    return finding(
        FindingKind.UNRECOGNISED_FILE,
        Severity.NOTE,
        place=delivery.plate,
        things=list(delivery.unrecognised),
        consequence=f"The layout {delivery.layout} has no use for the file; it is left out.",
    )
