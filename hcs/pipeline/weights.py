"""Weights that lie in a store: fetched into a temporary file while an encoder is described or loaded, and no longer."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hcs.embedding.engine import Device
from hcs.embedding.loading import load_encoder
from hcs.embedding.registry import describe_encoder
from hcs.errors import MissingFileError, WeightsError
from hcs.io.storage import is_remote, read_bytes, shown
from hcs.settings import Settings
from schemas.encoders import Encoder, EncoderInfo, WeightsOrigin
from schemas.screen import EncoderChoice

_FROM_OUTSIDE = frozenset({WeightsOrigin.FILE, WeightsOrigin.CACHE, WeightsOrigin.HUB})


def describe_encoders(
    choices: Sequence[EncoderChoice], *, settings: Settings, is_tried: bool = False
) -> tuple[EncoderInfo, ...]:
    """Return the descriptions of encoders, whose weights may lie in a store; each such file is fetched once.

    Args:
        choices: Of a SCREEN.yaml.
        settings: Where weights are looked for.
        is_tried: Whether to load weights that came from outside once: better now than after an hour.

    Raises:
        UnknownEncoderError: If an encoder is not known.
        WeightsError: If an encoder's weights are missing or do not fit.
        StoreUnavailableError: If the store of the weights cannot be read from.
    """
    return tuple(_described(choice, settings=settings, is_tried=is_tried) for choice in choices)


def load_described(info: EncoderInfo, *, device: Device) -> Encoder:
    """Return the encoder that was described, also where its weights lie in a store.

    Raises:
        WeightsError: If the weights are gone, or are not those of the description.
        StoreUnavailableError: If their store cannot be read from.
    """
    if info.weights_origin is not WeightsOrigin.FILE or not is_remote(info.weights_uri or ""):
        return load_encoder(info, device=device)
    with _on_this_machine(info.weights_uri or "") as path:
        return load_encoder(info.model_copy(update={"weights_uri": path}), device=device)


def _described(choice: EncoderChoice, *, settings: Settings, is_tried: bool) -> EncoderInfo:
    if choice.weights is None or not is_remote(choice.weights):
        info = describe_encoder(choice, settings=settings)
        if is_tried and info.weights_origin in _FROM_OUTSIDE:
            load_encoder(info)
        return info
    with _on_this_machine(choice.weights) as path:
        info = describe_encoder(choice.model_copy(update={"weights": path}), settings=settings)
        if is_tried:
            load_encoder(info)
    return info.model_copy(update={"weights_uri": choice.weights})


@contextmanager
def _on_this_machine(uri: str) -> Iterator[str]:
    """Yield the path of a copy that lasts as long as the context, under the name that the weights have."""
    try:
        content = read_bytes(uri)
    except MissingFileError as error:
        raise WeightsError(f"weights were expected at {shown(uri)}; {error}") from error
    with tempfile.TemporaryDirectory(prefix="hcs-weights-") as folder:
        path = Path(folder) / uri.rstrip("/").rpartition("/")[2]
        path.write_bytes(content)
        try:
            yield str(path)
        except WeightsError as error:
            raise WeightsError(str(error).replace(str(path), shown(uri))) from error
