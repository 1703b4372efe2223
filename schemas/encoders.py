"""What an encoder promises: pixels in, one vector out, and where its weights came from."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.screen import Record

NAMED_FEATURES_VERSION = "named-1"
"""Version of the named features' definition. Its SHA-256 stands where other encoders have that of their weights."""

NAMED_FEATURES_SIZE = 4
"""Named features a channel: mean, spread, high percentile, texture."""


class WeightsOrigin(StrEnum):
    """Where weights come from; they are looked for in this order and never silently replaced."""

    FILE = "file"
    PACKAGED = "packaged"
    CACHE = "cache"
    HUB = "hub"
    UNTRAINED = "untrained"
    NONE = "none"


class EncoderInfo(Record):
    """Everything that determines what an encoder computes; enough for another process to load the same one."""

    name: str = Field(description="As SCREEN.yaml asks for it.")
    architecture: str = Field(description="timm's name of the backbone; `named` for the named features.")
    weights_sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="Of the weights; of a version, where there are none."
    )
    weights_origin: WeightsOrigin = Field(description="Where the weights were found.")
    weights_uri: str | None = Field(default=None, description="Where the file lay; not part of the identity.")
    embedding_size: int = Field(ge=1, description="Per channel.")
    mean: float = Field(description="Subtracted from grey values in [0, 1].")
    std: float = Field(gt=0, description="What the difference is divided by.")
    input_size: int | None = Field(
        default=None, ge=1, description="Side in pixels that planes are resized to; null takes them as they are."
    )
    licence: str = Field(description="Of the weights: as their source says it, else `unknown`.")


@runtime_checkable
class Encoder(Protocol):
    """A loaded encoder."""

    @property
    def info(self) -> EncoderInfo:
        """What was loaded."""
        ...

    def embed(self, planes: NDArray[np.float32], *, batch_size: int) -> NDArray[np.float32]:
        """Return one vector a plane.

        Args:
            planes: (N, Y, X), float32, grey values in [0, 1].
            batch_size: Planes of one forward; a shorter last batch is padded with zeros to it, so that a plane's
                vector depends on that plane and the batch size alone.

        Returns:
            (N, D), float32, D = `info.embedding_size`.
        """
        ...
