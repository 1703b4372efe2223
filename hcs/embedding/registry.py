"""Encoders by name: what is known of each, and which weights a name stands for.

What is known lies in `encoders.json`, made by `hcs.embedding.describe`, so that describing one of these encoders with
weights on this machine imports neither torch nor timm.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from hcs.embedding.known import KnownEncoder, known_encoders
from hcs.embedding.names import NAMED, EncoderName, Training, parse_name
from hcs.embedding.weights import (
    PACKAGED,
    FoundWeights,
    explicit_weights,
    packaged_encoders,
    packaged_weights,
    timm_weights,
    weights_metadata,
)
from hcs.errors import UnknownEncoderError, UsageError, WeightsError
from hcs.settings import Settings
from schemas.encoders import NAMED_FEATURES_SIZE, NAMED_FEATURES_VERSION, EncoderInfo, WeightsOrigin
from schemas.screen import EncoderChoice

UNKNOWN = "unknown"
LICENCE = "BSD-3-Clause"
"""Of the packaged weights and of the named features: that of the project."""

N_NEAREST = 5
LEAST_STD = 1e-4
"""Of a training's input, on the scale of 0 to 1: images of 16 bits do not vary less, and dividing by less overflows."""


def describe_encoder(choice: EncoderChoice, *, settings: Settings, folder: Path = PACKAGED) -> EncoderInfo:
    """Return everything that determines what an encoder computes, with the hash of its weights.

    Weights are looked for on this machine first; only timm's own may be downloaded, and none stand in for others.

    Args:
        choice: `NAME` (timm's weights), `NAME.hcs` (packaged with the project), `NAME.untrained` (seed 0), `named`, or
            a name with a file of weights.
        settings: Where weights are kept, and whether the hub may be asked.
        folder: Where the packaged weights lie.

    Raises:
        UnknownEncoderError: If nobody knows the name; the message offers the nearest names.
        WeightsError: If weights are missing or are no safetensors, or are packaged and not those that were recorded.
        UsageError: If the choice contradicts itself.
    """
    if choice.name == NAMED:
        return _describe_named(choice)
    return describe_known(choice, identify_encoder(choice, folder=folder), settings=settings, folder=folder)


def identify_encoder(choice: EncoderChoice, *, folder: Path = PACKAGED) -> KnownEncoder:
    """Return what is known of the backbone that a choice other than `named` asks for; weights are not looked for.

    Raises:
        UnknownEncoderError: If nobody knows the name; the message offers the nearest names.
        UsageError: If the choice contradicts itself.
    """
    name = parse_name(choice.name)
    if choice.weights is not None and name.training is not Training.TIMM:
        raise UsageError(
            f"the encoder {choice.name} names its own weights, but {choice.weights} was given too; "
            f"leave one out: name {name.architecture} to use the file"
        )
    if name.training is Training.PACKAGED and choice.name not in packaged_encoders(folder):
        raise UnknownEncoderError(_not_packaged(choice.name, folder))
    return _known(name, choice.name)


def check_choice(choice: EncoderChoice) -> bool:
    """Return whether it is known that there is such an encoder; whether timm has it is left to whoever may load timm.

    Weights are not looked for, and no engine is loaded.

    Raises:
        UnknownEncoderError: If nobody knows the name; the message offers the nearest names.
        UsageError: If the choice contradicts itself.
    """
    if choice.name == NAMED:
        _describe_named(choice)
        return True
    name = parse_name(choice.name)
    known = known_encoders().get(name.architecture)
    if name.training is not Training.PACKAGED and (known is None or name.tag not in {None, known.tag}):
        return False
    identify_encoder(choice)
    return True


def describe_known(
    choice: EncoderChoice, known: KnownEncoder, *, settings: Settings, folder: Path = PACKAGED
) -> EncoderInfo:
    """Return the description of a choice whose backbone was identified; the rest is as for `describe_encoder`."""
    weights = _weights(choice, known, settings=settings, folder=folder)
    return EncoderInfo(
        name=choice.name,
        architecture=known.architecture,
        weights_sha256=weights.sha256,
        weights_origin=weights.origin,
        weights_uri=weights.uri,
        embedding_size=known.embedding_size,
        mean=_grey(choice.mean, weights.mean or known.mean, field="mean", encoder=choice.name),
        std=_grey(choice.std, weights.std or known.std, field="std", encoder=choice.name),
        input_size=known.input_size,
        licence=weights.licence,
    )


def _describe_named(choice: EncoderChoice) -> EncoderInfo:
    if choice.weights is not None or choice.mean is not None or choice.std is not None:
        raise UsageError(
            f"the encoder {NAMED} is measured, not trained: it takes no weights, mean or std; leave them out"
        )
    return EncoderInfo(
        name=NAMED,
        architecture=NAMED,
        weights_sha256=hashlib.sha256(NAMED_FEATURES_VERSION.encode()).hexdigest(),
        weights_origin=WeightsOrigin.NONE,
        embedding_size=NAMED_FEATURES_SIZE,
        mean=0.0,
        std=1.0,
        licence=LICENCE,
    )


class _Weights(NamedTuple):
    sha256: str
    origin: WeightsOrigin
    uri: str | None
    licence: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def _weights(choice: EncoderChoice, known: KnownEncoder, *, settings: Settings, folder: Path) -> _Weights:
    training = parse_name(choice.name).training
    if training is Training.UNTRAINED:
        return _Weights(known.untrained_sha256, WeightsOrigin.UNTRAINED, None, "none: random weights")
    if choice.weights is not None:
        return _with_grey(_of_file(explicit_weights(choice.weights), licence=UNKNOWN))
    if training is Training.PACKAGED:
        return _with_grey(_of_file(packaged_weights(known.architecture, folder=folder), licence=LICENCE))
    return _of_file(timm_weights(choice.name, known.hub, settings=settings), licence=known.licence)


def _of_file(found: FoundWeights, *, licence: str) -> _Weights:
    return _Weights(found.sha256, found.origin, str(found.path), licence)


def _with_grey(weights: _Weights) -> _Weights:
    """Return weights with the mean and standard deviation of their training, where the file's header says them."""
    path = Path(weights.uri or "")
    said = weights_metadata(path)
    mean, std = (_said(said.get(field), field=field, path=path) for field in ("mean", "std"))
    return weights._replace(mean=mean, std=std)


def _said(text: str | None, *, field: str, path: Path) -> tuple[float, ...] | None:
    """Return the mean or standard deviation that the header of weights says: one number, or a list of them."""
    if text is None:
        return None
    try:
        said = json.loads(text)
        values = tuple(float(value) for value in (said if isinstance(said, list) else [said]))
    except (ValueError, TypeError):
        values = ()
    if not _may_be(values, field=field):
        raise WeightsError(
            f"the header of the weights {path} was expected to say the {field} as one number or three on the scale of "
            f"0 to 1, but it says {text[:80]!r}; write it anew, or install hcs again if it came with it"
        )
    return values


def _known(name: EncoderName, text: str) -> KnownEncoder:
    """Return what is known of a backbone, from the data file, else from timm."""
    known = known_encoders().get(name.architecture)
    if known is not None and name.tag in {None, known.tag}:
        return known
    from hcs.embedding.backbones import describe_backbone, timm_names  # noqa: PLC0415  # imports torch

    names = timm_names()
    if name.architecture not in names:
        raise UnknownEncoderError(_unknown(text, name, names))
    return describe_backbone(name.architecture, name.tag)


def _unknown(text: str, name: EncoderName, timm: list[str]) -> str:
    ending = "" if name.training is Training.TIMM else f".{name.training}"
    backbones = dict.fromkeys([*known_encoders(), *timm])
    near = [f"{near}{ending}" for near in difflib.get_close_matches(name.architecture, backbones, n=N_NEAREST)]
    near += difflib.get_close_matches(text, [NAMED, *packaged_encoders()])
    offer = (
        f"did you mean {', '.join(near)}?" if near else f"well-tried ones are {', '.join(known_encoders())}, {NAMED}"
    )
    return f"no encoder is called {text!r}: it is neither {NAMED}, nor a backbone of timm; {offer}"


def _not_packaged(text: str, folder: Path) -> str:
    packaged = packaged_encoders(folder)
    have = f"these are packaged: {', '.join(packaged)}" if packaged else "this version has no packaged encoders"
    architecture = parse_name(text).architecture
    near = [architecture] if architecture in known_encoders() else []
    near = near or difflib.get_close_matches(architecture, known_encoders()) or list(known_encoders())
    others = ", ".join(f"{name} or {name}.untrained" for name in near[:N_NEAREST])
    return f"no encoder {text!r} is packaged with the project: {have}; ask for {others}, or for {NAMED}"


def _grey(given: tuple[float, ...] | None, own: tuple[float, ...], *, field: str, encoder: str) -> float:
    """Return one number for grey images: the average over the colours of the training's input."""
    values = own if given is None else given
    if not _may_be(values, field=field):
        raise UsageError(
            f"the {field} of the encoder {encoder} is one number or three, on the scale of 0 to 1"
            f"{f', at least {LEAST_STD:g}' if field == 'std' else ''}, but {list(values)} was given"
        )
    return fmean(values)


def _may_be(values: tuple[float, ...], *, field: str) -> bool:
    """Return whether numbers can be the mean, or the standard deviation, of a training's input."""
    return len(values) in {1, 3} and all(map(math.isfinite, values)) and (field == "mean" or min(values) >= LEAST_STD)
