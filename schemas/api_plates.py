"""What the API says of plates, beside `schemas.api`: their check before a run, and their wells as maps."""

from __future__ import annotations

from pydantic import Field

from schemas.acceptance import AcceptanceReport, Verdict
from schemas.api import Body
from schemas.described import Barcode, CodeVersion, ControlType, RunId, ScreenName, WellName
from schemas.encoders import EncoderInfo
from schemas.work import RunPin, WellState


class PlateCheck(Body):
    """What the check says of one plate of a screen that nobody has submitted."""

    barcode: Barcode
    verdict: Verdict = Field(description="Rejected plates take no part in a run.")
    reason: str | None = Field(description="Why the plate cannot even be listed; null where it has a report.")
    report: AcceptanceReport | None = Field(description="Null where the plate cannot be listed: it is rejected.")


class ScreenCheck(Body):
    """What the check says of every plate of a screen, before anything runs. Nothing of it is kept."""

    screen: ScreenName
    verdict: Verdict = Field(description="That of the worst plate. A run leaves out the plates that are rejected.")
    plates: tuple[PlateCheck, ...] = Field(description="In the order of the screen.")
    notes: tuple[str, ...] = Field(description="What could not be checked here.")


class PlateMeasure(Body):
    """One thing that is measured in the wells of a plate; both lists are parallel to `wells`."""

    name: str = Field(
        description="`cell_count`, `focus:CHANNEL`, `intensity:CHANNEL`, `saturation:CHANNEL`, `effect` or "
        "`mean_average_precision`."
    )
    unit: str = Field(description="Of the values.")
    description: str = Field(description="What is measured, in a sentence.")
    raw: tuple[float | None, ...] = Field(description="Null where it is not known.")
    corrected: tuple[float | None, ...] = Field(
        description="Residual of Tukey's median polish with the overall effect: without what the plate's rows and "
        "columns add. A row or column that differs as a whole, such as a column of controls, disappears in it: it "
        "shows wells that differ from their neighbours, not how controls differ from treatments. Null where the row "
        "or the column has fewer than three values."
    )


class PlateMeasures(Body):
    """Every measure of a plate as a map: all wells that are described or were read."""

    plate: Barcode
    run: RunId
    rows: int = Field(description="Of the smallest plate format that has all the wells.")
    columns: int = Field(description="As `rows`.")
    wells: tuple[str, ...] = Field(description="In the order of rows and columns.")
    control_type: tuple[ControlType, ...] = Field(description="Parallel to `wells`.")
    measures: tuple[PlateMeasure, ...] = Field(description="Cells, then channels, then what is said of treatments.")


class ImageFile(Body):
    """One image that a run has used, with the hash that was taken in the read that decoded it."""

    site: int = Field(description="Place in the well, from 1.")
    channel: str = Field(description="Stain.")
    uri: str = Field(description="Where the run has read it.")
    size_bytes: int = Field(description="Of the file.")
    sha256: str = Field(description="Of the file.")


class WellProvenance(Body):
    """What the results of a well were made from."""

    plate: Barcode
    well: WellName
    run: RunId
    config_sha256: str = Field(description="Of everything that determines the results of the run.")
    code_version: CodeVersion
    manifest_sha256: str = Field(description="Of the paths and sizes of the plate's images.")
    pin: RunPin | None = Field(description="What every worker of the run honoured.")
    encoders: tuple[EncoderInfo, ...] = Field(description="Each with the hash of its weights.")
    images: tuple[ImageFile, ...] = Field(
        description="By site and channel. A site that could not be used has none, nor has a well before its turn."
    )


class WellStanding(Body):
    """How far a well is. Failed is one of which no site could be used, or whose unit of work is given up."""

    well: WellName
    state: WellState = Field(description="What becomes of it.")
    sites: int = Field(ge=0, description="0 until the plate is surveyed.")
    sites_failed: int = Field(ge=0, description="That could not be used, or belong to a unit that is given up.")


class WellProgress(Body):
    """How far every well of a plate is.

    Until the plate is surveyed these are the wells that are known by then, and afterwards those that were delivered.
    """

    run: RunId
    plate: Barcode
    rows: int = Field(description="Of the smallest plate format that has all the wells.")
    columns: int = Field(description="As `rows`.")
    wells: tuple[WellStanding, ...] = Field(description="In the order of rows and columns.")
