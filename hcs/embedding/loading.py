"""A described encoder, loaded: grey planes in, one vector each out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from hcs.embedding.backbones import classifier_keys, create_backbone, create_untrained_backbone, fold_grey_stem
from hcs.embedding.engine import one_thread
from hcs.embedding.known import known_encoders
from hcs.embedding.names import NAMED
from hcs.embedding.state import load_state, read_state, state_digest
from hcs.embedding.torchvision_operators import import_timm
from hcs.embedding.weights import read_weights
from hcs.errors import InputRejectedError, ModelOutputError, UsageError, WeightsError
from schemas.encoders import Encoder, EncoderInfo, WeightsOrigin


def load_encoder(info: EncoderInfo) -> Encoder:
    """Return the encoder that was described, with exactly the weights of the description.

    Raises:
        WeightsError: If the weights are gone, are not those of the description, or do not fit the backbone.
        UnknownEncoderError: If this version of timm does not make the backbone.
        UsageError: If it is `named`, which has nothing to load.
    """
    if info.architecture == NAMED:
        raise UsageError(f"the encoder {NAMED} is computed by hcs.imaging.features: there is nothing to load")
    model = _untrained(info) if info.weights_origin is WeightsOrigin.UNTRAINED else _trained(info)
    model.requires_grad_(False)
    # never slower, and twice as fast for MobileNets; the folded kernel has its strides already
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    known = known_encoders().get(info.architecture)
    if known is None or known.grey_stem is None:
        return BackboneEncoder(info, model, n_channels=3)
    return BackboneEncoder(info, fold_grey_stem(model, known.grey_stem), n_channels=1)


def _untrained(info: EncoderInfo) -> torch.nn.Module:
    model = create_untrained_backbone(info.architecture)
    found = state_digest(model.state_dict())
    if found != info.weights_sha256:
        versions = f"torch {torch.__version__} with timm {import_timm().__version__}"
        raise WeightsError(
            f"the random weights of {info.name} were described with SHA-256 {info.weights_sha256}, but "
            f"{versions} makes {found} of the same seed on this processor ({torch.backends.cpu.get_cpu_capability()}); "
            "install the versions of constraints.txt, on a processor with AVX2"
        )
    return model


def _trained(info: EncoderInfo) -> torch.nn.Module:
    model = create_backbone(info.architecture)
    source = f"{info.weights_uri} for {info.name}"
    state = read_state(read_weights(info), source=source)
    has_more = not set(state) <= set(model.state_dict())
    ignored = classifier_keys(info.architecture) if has_more else set()
    load_state(model, state, ignored=ignored, source=source)
    return model


class BackboneEncoder:
    """A backbone of timm that sees each plane as a grey image. Threads may share one: computing changes nothing."""

    def __init__(self, info: EncoderInfo, model: torch.nn.Module, *, n_channels: int) -> None:
        """Wrap a model in evaluation mode that takes `n_channels` (1, or 3 equal ones) in channels-last order."""
        self._info = info
        self._model = model
        self._n_channels = n_channels

    @property
    def info(self) -> EncoderInfo:
        """What was loaded."""
        return self._info

    def embed(self, planes: NDArray[np.float32], *, batch_size: int) -> NDArray[np.float32]:
        """Return one vector a plane; it depends on that plane and the batch size alone, bit by bit.

        Args:
            planes: (N, Y, X), float32, grey values in [0, 1].
            batch_size: Planes of one forward; a shorter last batch is padded with zeros to it.

        Returns:
            (N, D), float32, D = `info.embedding_size`.

        Raises:
            UsageError: If the planes are not (N, Y, X) float32, or the batch has no planes.
            InputRejectedError: If the backbone cannot take planes of this size.
            ModelOutputError: If a vector holds NaN or infinity.
        """
        _check_planes(planes, batch_size)
        vectors = np.empty((len(planes), self._info.embedding_size), np.float32)
        buffer = torch.empty((batch_size, *planes.shape[1:]), dtype=torch.float32)
        with one_thread(), torch.inference_mode():
            for start in range(0, len(planes), batch_size):
                batch = planes[start : start + batch_size]
                self._normalize(batch, buffer)
                vectors[start : start + len(batch)] = self._forward(buffer)[: len(batch)].numpy()
        self._refuse_invalid(vectors)
        return vectors

    def _normalize(self, planes: NDArray[np.float32], buffer: torch.Tensor) -> None:
        """Write normalised planes into the (B, Y, X) buffer, and zeros behind them."""
        filled = buffer.numpy()
        n_planes = len(planes)
        np.subtract(planes, np.float32(self._info.mean), out=filled[:n_planes])
        np.divide(filled[:n_planes], np.float32(self._info.std), out=filled[:n_planes])
        filled[n_planes:] = 0

    def _forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Return (B, D) of normalised planes (B, Y, X)."""
        try:
            sized = _resize(planes, self._info.input_size)
            # (B, Y, X, C) seen as (B, C, Y, X): channels last, also where there is one channel
            image = sized.unsqueeze(-1).expand(-1, -1, -1, self._n_channels).contiguous().permute(0, 3, 1, 2)
            vectors: torch.Tensor = self._model(image)
        except (RuntimeError, ValueError, IndexError, AssertionError) as error:
            raise self._explain(error, planes) from error
        if vectors.shape != (len(planes), self._info.embedding_size):
            raise WeightsError(
                f"{self._info.name} was described with {self._info.embedding_size} numbers a plane, but gives "
                f"{tuple(vectors.shape)} for a batch of {len(planes)}; describe it again with this version of timm"
            )
        return vectors

    def _explain(self, error: Exception, planes: torch.Tensor) -> Exception:
        """Return what a failed forward means; torch has no class of its own for memory that ran out."""
        height, width = planes.shape[1:]
        cause = " ".join(str(error).split())
        if "allocat" in cause or "not enough memory" in cause:
            return MemoryError(
                f"{self._info.name} needs more memory for {len(planes)} tiles of {height} x {width}: {cause}"
            )
        return InputRejectedError(
            f"{self._info.name} cannot take tiles of {height} x {width} pixels ({cause}); "
            "set pixels.tile to a size that it takes, as 64, 128 or 224"
        )

    def _refuse_invalid(self, vectors: NDArray[np.float32]) -> None:
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if bad.size:
            raise ModelOutputError(
                f"model_output_invalid: {self._info.name} computed NaN or infinity for {bad.size} of {len(vectors)} "
                f"planes, the first is plane {bad[0]}; look for NaN or very large values in its pixels"
            )


def _resize(planes: torch.Tensor, size: int | None) -> torch.Tensor:
    """Return (B, size, size) of (B, Y, X), averaging what is made smaller; None leaves them as they are."""
    if size is None or planes.shape[1:] == (size, size):
        return planes
    resized = interpolate(planes[:, None], (size, size), mode="bilinear", antialias=True, align_corners=False)
    return resized[:, 0]


def _check_planes(planes: NDArray[np.float32], batch_size: int) -> None:
    if planes.ndim != 3 or planes.dtype != np.float32 or 0 in planes.shape[1:]:
        raise UsageError(f"planes are (N, Y, X) float32, but {planes.shape} {planes.dtype} was given")
    if batch_size < 1:
        raise UsageError(f"a batch has at least 1 plane, but batch_size is {batch_size}")
