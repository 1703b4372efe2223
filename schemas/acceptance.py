"""What the check of a delivered plate says, before anything runs."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from schemas.screen import Record


class FindingKind(StrEnum):
    """Every kind of thing that can be wrong with a delivery. Names are stable: scripts match on them."""

    NO_IMAGES = "no_images"
    MISSING_WELL = "missing_well"
    MISSING_SITE = "missing_site"
    MISSING_CHANNEL = "missing_channel"
    MISSING_FILE = "missing_file"
    DUPLICATE_IMAGE = "duplicate_image"
    UNREADABLE_IMAGE = "unreadable_image"
    IMPLAUSIBLE_IMAGE = "implausible_image"
    SIZE_MISMATCH = "size_mismatch"
    PIXEL_TYPE_MISMATCH = "pixel_type_mismatch"
    UNRECOGNISED_FILE = "unrecognised_file"
    UNREADABLE_FOLDER = "unreadable_folder"
    UNMAPPED_CHANNEL = "unmapped_channel"
    NUMBERED_FROM_ZERO = "numbered_from_zero"
    SEVERAL_TIMEPOINTS = "several_timepoints"
    IMAGES_RELOCATED = "images_relocated"
    PLATEMAP_MISSING = "platemap_missing"
    PLATEMAP_ORPHAN_WELL = "platemap_orphan_well"
    WELL_NOT_IN_PLATEMAP = "well_not_in_platemap"
    PLATEMAP_MISMATCH = "platemap_mismatch"
    NO_NEGATIVE_CONTROL = "no_negative_control"
    FEW_NEGATIVE_CONTROLS = "few_negative_controls"
    NO_POSITIVE_CONTROL = "no_positive_control"
    PERTURBATION_NOT_ANNOTATED = "perturbation_not_annotated"
    EXCLUDED_WELL = "excluded_well"


class Severity(StrEnum):
    """`note` changes nothing, `hole` leaves something out of the results, `fatal` rejects the plate."""

    NOTE = "note"
    HOLE = "hole"
    FATAL = "fatal"


class Verdict(StrEnum):
    """What may be done with a plate."""

    ACCEPT = "accept"
    ACCEPT_WITH_HOLES = "accept_with_holes"
    REJECT = "reject"


class Finding(Record):
    """One kind of thing found at one place, with how often and what follows from it."""

    kind: FindingKind = Field(description="Name of what was found; it is stable.")
    severity: Severity = Field(description="What it does to the results.")
    place: str = Field(description="A plate, a well, a channel or a file, relative to the delivery.")
    count: int = Field(ge=1, description="How often.")
    examples: tuple[str, ...] = Field(default=(), max_length=10, description="The first of them.")
    consequence: str = Field(description="What happens to the results, and what can be done about it.")


class PlaneCounts(Record):
    """How many of each a plate has. `images` are single channel planes on disk."""

    wells: int = Field(ge=0, description="Of the plate.")
    sites: int = Field(ge=0, description="Over all wells.")
    channels: int = Field(ge=0, description="Channels of a site.")
    images: int = Field(ge=0, description="Single planes.")


class AcceptanceReport(Record):
    """The verdict on one delivered plate."""

    plate: str = Field(description="Barcode of the plate.")
    uri: str = Field(description="Where it was delivered.")
    layout: str = Field(description="How the delivery is laid out, by which its files were read.")
    verdict: Verdict = Field(description="What may be done with the plate.")
    channels: tuple[str, ...] = Field(description="Names of its channels.")
    expected: PlaneCounts = Field(description="What a plate without gaps would have.")
    delivered: PlaneCounts = Field(description="What came.")
    n_negcon_wells: int = Field(ge=0, description="Negative control wells with images.")
    n_poscon_wells: int = Field(ge=0, description="Positive control wells with images.")
    n_treatment_wells: int = Field(ge=0, description="Treated wells with images.")
    findings: tuple[Finding, ...] = Field(description="Whatever is noteworthy.")
