"""The forward of a loaded backbone: grey planes in, one vector each out, on the processor or on a GPU."""

from __future__ import annotations

import threading

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from hcs.embedding.engine import one_thread
from hcs.errors import EngineError, HcsError, InputRejectedError, ModelOutputError, UsageError, WeightsError
from schemas.encoders import EncoderInfo

OUT_OF_MEMORY = ("allocat", "not enough memory", "out of memory", "ALLOC_FAILED")
"""What the messages of torch and of CUDA's libraries say then; only some have a class of their own."""

FAILED_DEVICE = ("CUDA error", "CUDA driver error", "CUBLAS_STATUS_", "cuDNN error", "CUDNN_STATUS_")
"""What they say when the GPU, its driver or a library fails, whatever the planes are."""


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
        vectors = self._compute(planes, batch_size)
        self._refuse_invalid(vectors)
        return vectors

    def _compute(self, planes: NDArray[np.float32], batch_size: int) -> NDArray[np.float32]:
        """Return (N, D) of planes that were checked."""
        vectors = np.empty((len(planes), self._info.embedding_size), np.float32)
        buffer = torch.empty((batch_size, *planes.shape[1:]), dtype=torch.float32)
        with one_thread(), torch.inference_mode():
            for start in range(0, len(planes), batch_size):
                batch = planes[start : start + batch_size]
                self._normalize(batch, buffer)
                vectors[start : start + len(batch)] = self._forward(buffer)[: len(batch)].numpy()
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
            raise self._explain(error, tuple(planes.shape)) from error
        if vectors.shape != (len(planes), self._info.embedding_size):
            raise WeightsError(
                f"{self._info.name} was described with {self._info.embedding_size} numbers a plane, but gives "
                f"{tuple(vectors.shape)} for a batch of {len(planes)}; describe it again with this version of timm"
            )
        return vectors

    def _explain(self, error: Exception, shape: tuple[int, ...]) -> Exception:
        """Return what a failed forward of (B, Y, X) means; torch has no class of its own for most of it."""
        n_planes, height, width = shape
        cause = " ".join(str(error).split())
        if any(said in cause for said in OUT_OF_MEMORY):
            return MemoryError(
                f"{self._info.name} needs more memory for {n_planes} tiles of {height} x {width}: {cause}"
            )
        if any(said in cause for said in FAILED_DEVICE):
            return EngineError(
                f"{self._info.name} was computed on a GPU, which failed ({cause}); this process can use it no more: "
                "start its worker again, and look at the GPU with nvidia-smi if that does not help"
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


class AcceleratedEncoder(BackboneEncoder):
    """The same on a GPU. Every thread has its own stream and buffers, so that threads that share one overlap.

    Only grey planes cross the bus: they are normalised, resized and expanded to channels on the GPU.
    """

    def __init__(self, info: EncoderInfo, model: torch.nn.Module, *, n_channels: int) -> None:
        """Move a model to the current GPU; the rest is as for `BackboneEncoder`."""
        self._device = torch.device("cuda", torch.cuda.current_device())
        super().__init__(info, model.to(self._device), n_channels=n_channels)
        torch.cuda.synchronize(self._device)  # other streams than this one read the weights
        self._met: set[tuple[int, ...]] = set()
        self._meeting = threading.Lock()

    def _compute(self, planes: NDArray[np.float32], batch_size: int) -> NDArray[np.float32]:
        shape = (batch_size, *planes.shape[1:])
        if shape in self._met:
            return self._compute_beside_others(planes, batch_size)
        with self._meeting:  # LeViT and others keep what their first forward computed: no stream may read it too early
            vectors = self._compute_beside_others(planes, batch_size)
            self._met.add(shape)
        return vectors

    def _compute_beside_others(self, planes: NDArray[np.float32], batch_size: int) -> NDArray[np.float32]:
        try:
            with torch.cuda.stream(_own_stream(self._device)), torch.inference_mode():
                return self._enqueue(planes, batch_size)
        except HcsError:
            raise
        except RuntimeError as error:
            raise self._explain(error, (batch_size, *planes.shape[1:])) from error

    def _enqueue(self, planes: NDArray[np.float32], batch_size: int) -> NDArray[np.float32]:
        """Return (N, D) once all batches, copies and forwards went through the stream of this thread."""
        vectors = torch.empty((len(planes), self._info.embedding_size), dtype=torch.float32, pin_memory=True)
        for start in range(0, len(planes), batch_size):
            batch = planes[start : start + batch_size]
            computed = self._forward(self._upload(batch, batch_size))
            vectors[start : start + len(batch)].copy_(computed[: len(batch)], non_blocking=True)
        # blocking sleeps where it would spin: the cores have images to read
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        done.record()
        done.synchronize()
        return vectors.numpy().copy()  # page-locked memory goes back to its pool

    def _upload(self, planes: NDArray[np.float32], batch_size: int) -> torch.Tensor:
        """Return normalised planes (B, Y, X) on the GPU, and zeros behind them."""
        # torch gives the memory to nobody else before the copy from it is over
        host = torch.empty(planes.shape, dtype=torch.float32, pin_memory=True)
        np.copyto(host.numpy(), planes)
        buffer = torch.empty((batch_size, *planes.shape[1:]), dtype=torch.float32, device=self._device)
        filled = buffer[: len(planes)]
        filled.copy_(host, non_blocking=True).sub_(self._info.mean).div_(self._info.std)
        buffer[len(planes) :].zero_()
        return buffer


_streams = threading.local()


def _own_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream of the calling thread on a GPU: one thread's work is in order, and waits for no other's."""
    of_device: dict[torch.device, torch.cuda.Stream] = _streams.__dict__.setdefault("of_device", {})
    if device not in of_device:
        of_device[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # as above
    return of_device[device]


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
