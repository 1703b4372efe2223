"""What is known of each backbone: the rows of `encoders.json`, made by `hcs.embedding.describe`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from schemas.screen import Record

DATA_FILE = Path(__file__).with_name("encoders.json")
PERMISSIVE = frozenset({"apache-2.0", "mit", "bsd-3-clause"})

Family = Literal["convolutional", "hierarchical transformer", "transformer", "other"]
OTHER: Family = "other"


class KnownEncoder(Record):
    """A backbone of timm with its default training, as `hcs.embedding.describe` found it."""

    architecture: str = Field(description="timm's name.")
    family: Family
    tag: str | None = Field(description="timm's name of the training; null where there is none.")
    hub: str | None = Field(description="Repository of the weights on the Hugging Face hub.")
    licence: str = Field(description="Of the weights.")
    mean: tuple[float, ...] = Field(description="Of the training's input, in [0, 1].")
    std: tuple[float, ...]
    embedding_size: int = Field(ge=1)
    input_size: int | None = Field(description="Side in pixels that is the only one it takes; null takes any.")
    grey_stem: str | None = Field(description="First convolution, where folding it for grey images changes nothing.")
    n_parameters: int
    untrained_sha256: str = Field(description="Digest of the state that seed 0 gives.")

    @property
    def may_be_default(self) -> bool:
        """Whether the licence of the weights lets anybody use them for anything."""
        return self.licence in PERMISSIVE


@cache
def known_encoders() -> MappingProxyType[str, KnownEncoder]:
    """Return what is known of each backbone, by timm's name, sorted. Others of timm are accepted too."""
    rows = json.loads(DATA_FILE.read_text(encoding="utf-8"))["encoders"]
    return MappingProxyType({row["architecture"]: KnownEncoder.model_validate(row) for row in rows})
