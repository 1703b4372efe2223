"""Fields of the API's answers that mean the same wherever they stand, each described once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

ControlType = Literal["treatment", "negcon", "poscon", "empty"]
CallName = Literal["active", "inactive", "underpowered", "not_callable"]
MechanismSource = Literal["annotated", "predicted", "none"]
Explanation = Literal["explained", "not_explained", "cannot_tell"]
PositionName = Literal["corrected", "not_shared", "not_testable"]
ChannelName = Literal["one_channel", "several_channels", "cannot_tell"]
BatchName = Literal["every_batch", "some_batches", "no_batch", "one_batch", "cannot_tell"]
QualityName = Literal["flagged_more", "as_controls", "cannot_tell"]

_OF_CONTROLS = (
    "`negcon` is a negative control, `poscon` a positive one, `treatment` what is asked about, `empty` a well without "
    "a perturbation."
)
_CALL = (
    "`active`: q is at most the run's `q_max`. `inactive`: q is above, and the design could have shown activity. "
    "`underpowered`: too few replicates or controls to tell. `not_callable`: there is no p-value, see `reason`."
)
_SOURCE = "Whether `mechanism` is the annotated one, or predicted from neighbours, or there is `none`."

RunId = Annotated[str, Field(description="Name of the run.", examples=["run-12"])]
ScreenName = Annotated[str, Field(description="Name of the screen, as its SCREEN.yaml says.")]
Barcode = Annotated[str, Field(description="Barcode of the plate.")]
WellName = Annotated[str, Field(description="Row and column.", examples=["B03"])]
LayoutName = Annotated[str, Field(description="How the delivery is laid out, by which its files were read.")]
Links = Annotated[dict[str, str], Field(description="Paths of what belongs to it.")]
Created = Annotated[datetime, Field(description="When it came into the catalog, in UTC.")]
Finished = Annotated[datetime | None, Field(description="When it came to its end, in UTC; null until then.")]
CodeVersion = Annotated[str, Field(description="Version of hcs.")]

PerturbationId = Annotated[str, Field(description="Identifier of what was given to the cells, verbatim.")]
AnyPerturbation = Annotated[
    str | None, Field(description="Identifier of what was given to the cells, verbatim; null where nothing was.")
]
CommonName = Annotated[str | None, Field(description="What people call the perturbation.")]
Smiles = Annotated[str | None, Field(description="Structure, as annotated.")]
Concentration = Annotated[float | None, Field(description="Dose in micromolar, where the platemap says one.")]
DoseStep = Annotated[float | None, Field(description="A dose without a unit, such as the step of a dilution.")]
TreatmentKey = Annotated[
    str, Field(description="Key of the treatment: the perturbation with its dose.", examples=["CPD4@10"])
]
AnyTreatment = Annotated[
    str | None, Field(description="Key of the treatment, the perturbation with its dose; null in an empty well.")
]
WellKind = Annotated[ControlType, Field(description=_OF_CONTROLS)]
Family = Annotated[
    Literal["treatment", "poscon"],
    Field(description="Positive controls are called by themselves, apart from treatments."),
]
ExcludedReason = Annotated[str | None, Field(description="Why it takes part in no call; null where it does.")]

ProfileName = Annotated[str, Field(description="Profile that it stands on: `combined`, or an encoder's name.")]
Precision = Annotated[
    float | None,
    Field(description="How far the replicates stand above the negative controls of their plates, from 0 to 1."),
]
QValue = Annotated[
    float | None,
    Field(
        description="Share of false ones to be expected among calls of this q or a smaller one (Benjamini-Hochberg)."
    ),
]
IsHit = Annotated[bool, Field(description="Whether the call is `active`.")]
Call = Annotated[CallName, Field(description=_CALL)]
AnyCall = Annotated[CallName | None, Field(description=_CALL)]
Effect = Annotated[
    float | None,
    Field(
        description="How far the replicates lie from the controls of their plates, in lengths that this has on average "
        "if they are controls themselves."
    ),
]
CellCountRatio = Annotated[
    float | None, Field(description="Median over the replicates of the cell count over that of the plate's controls.")
]
ExplainedByCount = Annotated[
    Explanation | None, Field(description="For hits: whether the number of cells alone explains the profile.")
]
PositionVerdict = Annotated[
    PositionName | None,
    Field(
        description="Whether `p_position` is `corrected` by control wells that share a place over plates, as it came "
        "since its own wells do not (`not_shared`), or `not_testable` since no controls do."
    ),
]
ChannelVerdict = Annotated[
    ChannelName | None,
    Field(description="For hits: whether one channel alone shows it, as with a compound that glows."),
]
StrongestChannel = Annotated[
    str | None, Field(description="The channel that shows the most of it; null where none does by itself.")
]
BatchVerdict = Annotated[
    BatchName | None, Field(description="For hits: in which of the batches that have enough wells it holds by itself.")
]
QualityVerdict = Annotated[
    QualityName | None, Field(description="For hits: whether its wells are flagged more often than controls are.")
]
Doubts = Annotated[
    tuple[str, ...],
    Field(
        description="For hits: what speaks against it in a word or two each, such as `DNA alone`; empty where nothing "
        "does."
    ),
]
MechanismLabel = Annotated[
    str | None, Field(description="Annotated, else for a hit the predicted one; several are joined by `|`.")
]
AnnotatedMechanism = Annotated[str | None, Field(description="As annotated; several are joined by `|`.")]
Source = Annotated[MechanismSource, Field(description=_SOURCE)]
AnySource = Annotated[MechanismSource | None, Field(description=_SOURCE)]

Units = Annotated[int, Field(description="Pieces of work: surveys and groups of sites. They become more as it goes.")]
UnitsDone = Annotated[int, Field(description="Units that are finished.")]
UnitsFailed = Annotated[int, Field(description="Units that failed; `retry` tries them again.")]
Sites = Annotated[int, Field(ge=0, description="Places in wells at which images were delivered.")]
SitesDone = Annotated[int, Field(description="Sites that have vectors.")]
SitesFailed = Annotated[int, Field(ge=0, description="Sites that could not be read or worked with.")]
CellCount = Annotated[float | None, Field(description="Mean over the sites that were counted.")]
Picture = Annotated[str, Field(description="Path of its picture.")]
