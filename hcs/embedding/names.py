"""What the name of an encoder says: which backbone, and whose weights."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NAMED = "named"
"""The named features of `hcs.imaging`: no backbone, nothing to load."""


class Training(StrEnum):
    """Whose weights a name asks for. The values of `PACKAGED` and `UNTRAINED` are the endings of the name."""

    TIMM = "timm"
    PACKAGED = "hcs"
    UNTRAINED = "untrained"


@dataclass(frozen=True)
class EncoderName:
    """The name of an encoder, taken apart: `pvt_v2_b0`, `pvt_v2_b0.in1k`, `pvt_v2_b0.untrained` or `pvt_v2_b0.hcs`.

    `architecture` is timm's name of the backbone, `tag` timm's name of one of its trainings, None for timm's default.
    """

    architecture: str
    tag: str | None
    training: Training


def parse_name(name: str) -> EncoderName:
    """Return the parts of an encoder's name. Whether such a backbone exists is not looked at."""
    base, _, ending = name.rpartition(".")
    training = Training.TIMM
    if base and ending in {Training.PACKAGED, Training.UNTRAINED}:
        name, training = base, Training(ending)
    architecture, _, tag = name.partition(".")
    return EncoderName(architecture=architecture, tag=tag or None, training=training)
