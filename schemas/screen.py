"""What a person writes about a screen: the model behind SCREEN.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

WELL_PATTERN = r"^(?:[A-Z]|A[A-F])(?:0[1-9]|[1-3][0-9]|4[0-8])$"
"""`A01` ... `P24` (96, 384), to `AF48` (1536)."""


NAME_PATTERN = r"^[^\x00-\x1f\x7f.][^\x00-\x1f\x7f]{0,99}$"
"""What may name a plate: it becomes part of files' names, quoted, so no control characters and no leading dot."""


class Record(BaseModel):
    """An immutable record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _string_keys(value: Any) -> Any:
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else value


ChannelNames = Annotated[dict[str, str], BeforeValidator(_string_keys)]
"""The delivery's own channel key (read as a string) -> the stain's name, as in `{ch5: DNA}`."""


class PlateEntry(Record):
    """One delivered plate: where it lies and what it was made with."""

    uri: str = Field(description="Folder or URI of the delivery; relative paths start at the SCREEN.yaml.")
    barcode: str | None = Field(default=None, pattern=NAME_PATTERN, description="Beats the folder's name.")
    layout: str = Field(default="auto", description="How the delivery is arranged: auto, cpg or files.")
    batch: str | None = Field(default=None, description="Plates treated and imaged together.")
    source: str | None = Field(default=None, description="Site or laboratory that it comes from.")
    cell_line: str | None = Field(default=None, description="Cells in its wells.")
    timepoint: str | None = Field(default=None, description="How long the cells were treated.")
    stain_lot: str | None = Field(default=None, description="Lot of the stains.")
    instrument: str | None = Field(default=None, description="Microscope.")
    compound_lot: str | None = Field(default=None, description="Lot of the compounds.")
    pattern: str | None = Field(default=None, description="Beats the screen's pattern for this plate.")
    channels: ChannelNames | None = Field(default=None, description="Beats the screen's channels for this plate.")

    @field_validator("barcode", "batch", "timepoint", mode="before")
    @classmethod
    def _numbers_are_names(cls, value: Any) -> Any:
        return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class EncoderChoice(Record):
    """An encoder asked for by name, with explicit weights when they are not the named ones."""

    name: str = Field(min_length=1, description="As `hcs encoders list` shows it.")
    weights: str | None = Field(
        default=None, min_length=1, description="A safetensors file; relative paths start at the SCREEN.yaml."
    )
    mean: tuple[float, ...] | None = Field(
        default=None,
        description="Of the weights' training input, in [0, 1]; null takes what the file's header says, else timm's.",
    )
    std: tuple[float, ...] | None = Field(default=None, description="Of the same, as `mean`.")


class PixelsConfig(Record):
    """What is cut out of a site and how its pixels are prepared."""

    unit: Literal["tiles"] = Field(default="tiles", description="What an encoder sees at once.")
    tile: int = Field(default=224, ge=16, le=2048, description="Side of a tile in pixels.")
    projection: Literal["max", "mean", "none"] = Field(
        default="max", description="How the planes of a z stack become one; none refuses a stack."
    )
    brightfield: bool = Field(default=False, description="Whether brightfield channels are embedded too.")


class ProfileConfig(Record):
    """How embeddings become profiles."""

    normalize: Literal["mad_robustize"] = Field(
        default="mad_robustize", description="Robust z of every feature, by the negative controls of each plate."
    )
    correct: Literal["auto", "whiten", "combat", "harmony", "none"] = Field(
        default="auto",
        description="auto whitens over all wells where every plate has enough controls, and with several batches lets "
        "an audit of each encoder's profiles choose among no correction, combat and harmony; these two can be named; "
        "whiten corrects no batch, none does not even whiten.",
    )
    consensus: Literal["median", "mean"] = Field(
        default="median", description="How the wells of a treatment become one profile."
    )
    combine: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="Encoders whose blocks make `combined`, the others being baselines; null takes all of the run.",
    )

    @field_validator("combine")
    @classmethod
    def _combined_are_distinct(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Return the names sorted, since their order changes nothing."""
        if value is None:
            return None
        if repeated := _repeated(value):
            raise ValueError(f"every encoder is named once, but {', '.join(repeated)} is named again")
        return tuple(sorted(value))

    @model_serializer(mode="wrap")
    def _as_before_where_all_are_combined(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `combine` where it is null, so that digests of configurations did not change with it."""
        content: dict[str, Any] = handler(self)
        return {name: value for name, value in content.items() if name != "combine" or value is not None}


class HitsConfig(Record):
    """When a treatment counts as a hit."""

    q_max: float = Field(default=0.05, gt=0, lt=1, description="Largest q of a hit.")
    seed: int = Field(default=0, ge=0, description="Of the permutations behind p.")


class ControlNames(Record):
    """Which perturbations are controls, where the platemap does not say."""

    negcon: tuple[str, ...] = Field(default=("DMSO",), description="Perturbations that are negative controls.")
    poscon: tuple[str, ...] = Field(default=(), description="Perturbations that are positive controls.")


class ExcludedWell(Record):
    """A well that a person takes out of the calls, and why."""

    plate: str = Field(description="Barcode of its plate.")
    well: str = Field(pattern=WELL_PATTERN, description="Row and column, such as B03.")
    reason: str = Field(min_length=1, description="Why, for those who look at it later.")

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        """Accept `BARCODE:A01: reason`, which YAML reads as a mapping of one entry."""
        if isinstance(value, dict) and len(value) == 1:
            ((place, reason),) = value.items()
            plate, separator, well = str(place).rpartition(":")
            if separator:
                return {"plate": plate, "well": well.upper(), "reason": reason}
        return value


class ScreenConfig(Record):
    """One SCREEN.yaml. Only `screen` and `plates` are required."""

    screen: str = Field(min_length=1, description="Name of the project that all these plates belong to.")
    plates: tuple[PlateEntry, ...] = Field(min_length=1, description="Where they lie, and what they were made with.")
    platemaps: str | tuple[str, ...] | dict[str, str] | None = Field(
        default=None, description="One platemap or a barcode map, a list of them, or a map from barcode to platemap."
    )
    annotations: str | tuple[str, ...] | None = Field(
        default=None, description="Perturbation -> name, InChIKey or SMILES, mechanism, control type."
    )
    pattern: str | None = Field(default=None, description="Filename template for the layout `files`.")
    channels: ChannelNames | None = Field(default=None, description="Where the layout does not say.")
    encoders: tuple[EncoderChoice, ...] = Field(
        default=(
            EncoderChoice(name="mobilenetv3_small_100.hcs"),
            EncoderChoice(name="efficientvit_b0.hcs"),
            EncoderChoice(name="named"),
        ),
        min_length=1,
        description="What sees every site, by name or with weights of its own.",
    )
    pixels: PixelsConfig = Field(default=PixelsConfig(), description="What is cut out of a site, and how.")
    profile: ProfileConfig = Field(default=ProfileConfig(), description="How vectors become profiles.")
    hits: HitsConfig = Field(default=HitsConfig(), description="When a treatment is a hit.")
    controls: ControlNames = Field(
        default=ControlNames(), description="Names of the controls, where nothing says which wells they are."
    )
    exclude_wells: tuple[ExcludedWell, ...] = Field(default=(), description="Wells that take part in no call.")
    quality: Literal["keep", "drop"] = Field(default="keep", description="drop: flagged sites leave the profiles.")

    @field_validator("encoders", mode="before")
    @classmethod
    def _names_are_choices(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple({"name": item} if isinstance(item, str) else item for item in value)
        return value

    @field_validator("encoders")
    @classmethod
    def _encoders_are_distinct(cls, value: tuple[EncoderChoice, ...]) -> tuple[EncoderChoice, ...]:
        if repeated := _repeated([choice.name for choice in value]):
            raise ValueError(f"every encoder is named once, but {', '.join(repeated)} is named again")
        return value

    @field_validator("profile")
    @classmethod
    def _combined_are_encoders_of_the_run(cls, value: ProfileConfig, info: ValidationInfo) -> ProfileConfig:
        known = [choice.name for choice in info.data.get("encoders", ())]
        strangers = [name for name in value.combine or () if known and name not in known]
        if strangers:
            raise ValueError(
                f"combine names encoders of the run, which are {', '.join(known)}, but {', '.join(strangers)} is none "
                "of them; add it to `encoders` too, or leave it out"
            )
        return value
