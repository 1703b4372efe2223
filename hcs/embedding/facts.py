"""Everything that is known of one encoder: its description, where its weights came from, and what was written of them.

Weights that are not on this machine are not fetched for it. For a known backbone neither torch nor timm is imported.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from hcs.embedding.known import KnownEncoder
from hcs.embedding.listing import NAMED_FAMILY, Whereabouts, elsewhere, is_absent
from hcs.embedding.names import NAMED
from hcs.embedding.registry import describe_encoder, describe_known, identify_encoder
from hcs.embedding.weights import PACKAGED, kept_path, weights_metadata
from hcs.settings import Settings
from schemas.encoders import EncoderInfo, WeightsOrigin
from schemas.screen import EncoderChoice

WHEREABOUTS = {
    WeightsOrigin.PACKAGED: Whereabouts.PACKAGED,
    WeightsOrigin.UNTRAINED: Whereabouts.NOT_NEEDED,
    WeightsOrigin.NONE: Whereabouts.NOT_NEEDED,
}
"""Of the origins; those that are not named are files on this machine."""


@dataclass(frozen=True)
class EncoderFacts:
    """What is known of one encoder. What is null is not known, or there is none."""

    name: str
    architecture: str
    family: str
    licence: str
    parameters: int | None
    embedding_size: int
    input_size: int | None
    mean: float
    std: float
    weights: Whereabouts
    origin: WeightsOrigin | None
    path: str | None
    may_be_put_at: str | None
    """Where the weights belong that are not here."""
    hub: str | None
    sha256: str | None
    size_bytes: int | None
    trained_on: str | None
    recipe: Any
    model_card: str | None


def encoder_facts(choice: EncoderChoice, *, settings: Settings, folder: Path = PACKAGED) -> EncoderFacts:
    """Return what is known of an encoder, also of one whose weights are not on this machine.

    Raises:
        UnknownEncoderError: If nobody knows the name; the message offers the nearest names.
        WeightsError: If weights are here and cannot be used, or a file that was named is not.
        UsageError: If the choice contradicts itself.
    """
    if choice.name == NAMED:
        return _of_described(describe_encoder(choice, settings=settings), None)
    known = identify_encoder(choice, folder=folder)
    if is_absent(choice, known, settings=settings):
        return _of_absent(choice, known, settings=settings)
    offline = settings.model_copy(update={"offline": True})
    return _of_described(describe_known(choice, known, settings=offline, folder=folder), known)


def _of_absent(choice: EncoderChoice, known: KnownEncoder, *, settings: Settings) -> EncoderFacts:
    return EncoderFacts(
        name=choice.name,
        architecture=known.architecture,
        family=known.family,
        licence=known.licence,
        parameters=known.n_parameters,
        embedding_size=known.embedding_size,
        input_size=known.input_size,
        mean=fmean(known.mean),
        std=fmean(known.std),
        weights=elsewhere(known, settings=settings),
        origin=None,
        path=None,
        may_be_put_at=str(kept_path(choice.name, settings=settings)),
        hub=known.hub,
        sha256=None,
        size_bytes=None,
        trained_on=None,
        recipe=None,
        model_card=None,
    )


def _of_described(info: EncoderInfo, known: KnownEncoder | None) -> EncoderFacts:
    path = Path(info.weights_uri) if info.weights_uri else None
    said = weights_metadata(path) if path else {}
    return EncoderFacts(
        name=info.name,
        architecture=info.architecture,
        family=known.family if known else NAMED_FAMILY,
        licence=info.licence,
        parameters=known.n_parameters if known else None,
        embedding_size=info.embedding_size,
        input_size=info.input_size,
        mean=info.mean,
        std=info.std,
        weights=WHEREABOUTS.get(info.weights_origin, Whereabouts.HERE),
        origin=info.weights_origin,
        path=info.weights_uri,
        may_be_put_at=None,
        hub=known.hub if known and info.weights_origin is WeightsOrigin.CACHE else None,
        sha256=info.weights_sha256,
        size_bytes=path.stat().st_size if path else None,
        trained_on=said.get("trained_on"),
        recipe=_recipe(said.get("recipe")),
        model_card=_card(path),
    )


def _recipe(text: str | None) -> Any:
    """Return the recipe as JSON has it, else as it stands in the header."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


def _card(path: Path | None) -> str | None:
    """Return the model card beside a file of weights, if there is one."""
    card = path and path.with_suffix(".md")
    return card.read_text(encoding="utf-8", errors="replace") if card and card.is_file() else None
