"""The encoders that a name alone gives here: those packaged, the named features, and timm's well-tried backbones.

Listing them imports neither torch nor timm, opens no pickle and asks no hub.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hcs.embedding.known import KnownEncoder, known_encoders
from hcs.embedding.names import NAMED, Training, parse_name
from hcs.embedding.registry import LICENCE
from hcs.embedding.weights import PACKAGED, find_timm_weights, packaged_encoders, packaged_weights
from hcs.errors import WeightsError
from hcs.settings import Settings
from schemas.encoders import NAMED_FEATURES_SIZE
from schemas.screen import EncoderChoice

NAMED_FAMILY = "named features"


class Whereabouts(StrEnum):
    """Where the weights of an encoder are, as a person says it."""

    PACKAGED = "packaged"
    HERE = "on this machine"
    TO_BE_FETCHED = "to be fetched"
    ABSENT = "not here"
    REFUSED = "refused"
    NOT_NEEDED = "none needed"


@dataclass(frozen=True)
class ListedEncoder:
    """One encoder that can be asked for by its name. What is null is not known, or there is none."""

    name: str
    family: str | None
    licence: str
    parameters: int | None
    embedding_size: int | None
    """Per channel."""
    input_size: int | None
    """Side in pixels that is the only one it takes; null takes any."""
    weights: Whereabouts
    sha256: str | None
    """Of the file, where one is here."""


def list_encoders(
    *, settings: Settings, folder: Path = PACKAGED, hub_cache: Path | None = None
) -> tuple[ListedEncoder, ...]:
    """Return the packaged encoders, `named`, and the known backbones with timm's own weights, each part by name.

    Args:
        settings: Where weights are kept, and whether the hub may be asked later.
        folder: Where the packaged weights lie.
        hub_cache: Folder of the hub's cache; None is the one of this machine.

    Raises:
        WeightsError: If the record of the packaged weights cannot be read.
    """
    return (
        *_packaged(folder),
        _named(),
        *(_of_timm(known, settings=settings, hub_cache=hub_cache) for known in known_encoders().values()),
    )


def _packaged(folder: Path) -> Iterator[ListedEncoder]:
    for name in packaged_encoders(folder):
        architecture = parse_name(name).architecture
        try:
            weights, sha256 = Whereabouts.PACKAGED, packaged_weights(architecture, folder=folder).sha256
        except WeightsError:
            weights, sha256 = Whereabouts.REFUSED, None
        known = known_encoders().get(architecture)
        yield _of_backbone(name, known, licence=LICENCE, weights=weights, sha256=sha256)


def _named() -> ListedEncoder:
    return ListedEncoder(
        name=NAMED,
        family=NAMED_FAMILY,
        licence=LICENCE,
        parameters=None,
        embedding_size=NAMED_FEATURES_SIZE,
        input_size=None,
        weights=Whereabouts.NOT_NEEDED,
        sha256=None,
    )


def _of_timm(known: KnownEncoder, *, settings: Settings, hub_cache: Path | None) -> ListedEncoder:
    try:
        found = find_timm_weights(known.architecture, known.hub, settings=settings, hub_cache=hub_cache)
        weights = Whereabouts.HERE if found else elsewhere(known, settings=settings)
    except WeightsError:
        found, weights = None, Whereabouts.REFUSED
    sha256 = found.sha256 if found else None
    return _of_backbone(known.architecture, known, licence=known.licence, weights=weights, sha256=sha256)


def elsewhere(known: KnownEncoder, *, settings: Settings) -> Whereabouts:
    """Return whether a run may fetch the weights of a backbone that are not on this machine."""
    return Whereabouts.ABSENT if settings.offline or known.hub is None else Whereabouts.TO_BE_FETCHED


def _of_backbone(
    name: str, known: KnownEncoder | None, *, licence: str, weights: Whereabouts, sha256: str | None
) -> ListedEncoder:
    return ListedEncoder(
        name=name,
        family=known.family if known else None,
        licence=licence,
        parameters=known.n_parameters if known else None,
        embedding_size=known.embedding_size if known else None,
        input_size=known.input_size if known else None,
        weights=weights,
        sha256=sha256,
    )


def is_absent(choice: EncoderChoice, known: KnownEncoder, *, settings: Settings) -> bool:
    """Return whether a choice asks for timm's own weights of a backbone, and they are not on this machine.

    Raises:
        WeightsError: If they are there, but are no complete safetensors file.
    """
    asks_timm = choice.weights is None and parse_name(choice.name).training is Training.TIMM
    return asks_timm and find_timm_weights(choice.name, known.hub, settings=settings) is None
