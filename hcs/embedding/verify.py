"""Whether an encoder can be trusted to compute here: its file, its hash, its tensors, and one vector of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hcs.embedding.known import KnownEncoder
from hcs.embedding.listing import is_absent
from hcs.embedding.loading import load_encoder
from hcs.embedding.names import NAMED
from hcs.embedding.registry import describe_encoder, describe_known, identify_encoder
from hcs.embedding.weights import PACKAGED, kept_path
from hcs.errors import InputRejectedError, ModelOutputError, WeightsError
from hcs.settings import Settings
from schemas.encoders import EncoderInfo, WeightsOrigin
from schemas.screen import EncoderChoice

SEED = 0
SIDE = 128
"""Of the image that an encoder is tried on, in pixels."""


@dataclass(frozen=True)
class Verdict:
    """Whether one encoder is what it should be, and the reason if it is not."""

    name: str
    is_ok: bool
    sha256: str | None
    """Of the weights that were found; null where they were refused before."""
    reason: str | None


def verify_encoder(
    choice: EncoderChoice, *, settings: Settings, sha256: str | None = None, folder: Path = PACKAGED
) -> Verdict:
    """Return whether an encoder has complete weights that fit it and gives a finite vector; nothing is downloaded.

    Args:
        choice: As a SCREEN.yaml asks for it.
        settings: Where weights are kept.
        sha256: What the weights must have, beside what is recorded of packaged and untrained ones.
        folder: Where the packaged weights lie.

    Raises:
        UnknownEncoderError: If nobody knows the name; the message offers the nearest names.
        UsageError: If the choice contradicts itself.
    """
    info = None
    known = None if choice.name == NAMED else identify_encoder(choice, folder=folder)
    try:
        info = _describe(choice, known, settings=settings, folder=folder)
        _compare(info, sha256)
        if known is not None:
            _try_out(info)
    except (InputRejectedError, ModelOutputError) as error:
        return Verdict(choice.name, is_ok=False, sha256=info.weights_sha256 if info else None, reason=str(error))
    return Verdict(choice.name, is_ok=True, sha256=info.weights_sha256, reason=None)


def _describe(choice: EncoderChoice, known: KnownEncoder | None, *, settings: Settings, folder: Path) -> EncoderInfo:
    if known is None:
        return describe_encoder(choice, settings=settings)
    if is_absent(choice, known, settings=settings):
        raise WeightsError(
            f"the weights of {choice.name} are neither at {kept_path(choice.name, settings=settings)} nor in the "
            "Hugging Face cache: there is nothing to verify; put them at the first path, or let `hcs run` fetch them"
        )
    offline = settings.model_copy(update={"offline": True})
    return describe_known(choice, known, settings=offline, folder=folder)


def _compare(info: EncoderInfo, sha256: str | None) -> None:
    if sha256 is not None and info.weights_sha256 != sha256:
        raise WeightsError(
            f"the weights of {info.name} were expected to have the SHA-256 {sha256}, but those of "
            f"{info.weights_uri or info.architecture} have {info.weights_sha256}; take the other file or hash"
        )


def _try_out(info: EncoderInfo) -> None:
    """Load the weights into their backbone and embed one image with them."""
    if info.weights_origin is WeightsOrigin.PACKAGED:  # read where they were found, in whatever folder
        info = info.model_copy(update={"weights_origin": WeightsOrigin.FILE})
    image = np.random.default_rng(SEED).random((1, SIDE, SIDE), dtype=np.float32)
    load_encoder(info).embed(image, batch_size=1)
