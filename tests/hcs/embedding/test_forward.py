from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hcs.embedding.backbones import create_untrained_backbone
from hcs.embedding.engine import honour_pin, pin_for
from hcs.embedding.forward import BackboneEncoder
from hcs.embedding.loading import load_encoder
from hcs.embedding.registry import describe_encoder
from hcs.embedding.state import state_digest
from hcs.errors import EngineError, InputRejectedError
from hcs.settings import Settings
from schemas.encoders import EncoderInfo
from schemas.screen import EncoderChoice

MakePlanes = Callable[..., NDArray[np.float32]]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")
FOUR = ["mobilenetv3_small_100", "pvt_v2_b0", "swin_tiny_patch4_window7_224", "levit_256"]


@pytest.fixture
def _pinned() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    honour_pin(pin_for(8, device="cuda"))
    yield
    torch.set_num_threads(n_threads)


def untrained(architecture: str) -> EncoderInfo:
    """Describe random weights as this version of torch makes them; the described ones are of constraints.txt."""
    info = describe_encoder(EncoderChoice(name=f"{architecture}.untrained"), settings=Settings(offline=True))
    return info.model_copy(
        update={"weights_sha256": state_digest(create_untrained_backbone(architecture).state_dict())}
    )


class FailingBackbone(torch.nn.Module):
    def __init__(self, message: str) -> None:
        super().__init__()
        self._message = message

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(self._message)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB", MemoryError),
        ("CUDA error: out of memory", MemoryError),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", MemoryError),
        ("[enforce fail at alloc_cpu.cpp:127] not enough memory: you tried to allocate 8 bytes.", MemoryError),
        ("CUDA error: an illegal memory access was encountered", EngineError),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", EngineError),
        ("Given input size: (576x1x1). Output size is too small", InputRejectedError),
    ],
)
def test_a_failed_forward_is_the_fault_of_memory_the_gpu_or_the_planes(
    message: str, error: type[Exception], planes: MakePlanes
) -> None:
    info = describe_encoder(EncoderChoice(name="pvt_v2_b0.untrained"), settings=Settings(offline=True))
    encoder = BackboneEncoder(info, FailingBackbone(message), n_channels=1)

    with pytest.raises(error, match=r"pvt_v2_b0\.untrained .*"):
        encoder.embed(planes(2, size=32), batch_size=2)


@needs_no_gpu
def test_an_encoder_is_not_loaded_to_a_gpu_that_is_not_there() -> None:
    info = describe_encoder(EncoderChoice(name="pvt_v2_b0.untrained"), settings=Settings(offline=True))

    with pytest.raises(EngineError, match="needs an NVIDIA GPU"):
        load_encoder(info, device="cuda")


@needs_gpu
@pytest.mark.usefixtures("_precision_as_before", "_pinned")
@pytest.mark.parametrize("architecture", FOUR)
def test_a_gpu_computes_the_same_bytes_again_whatever_stands_beside_a_plane(
    architecture: str, planes: MakePlanes
) -> None:
    encoder = load_encoder(untrained(architecture), device="cuda")
    given = planes(12, size=224)

    vectors = encoder.embed(given, batch_size=8)

    assert vectors.shape == (12, encoder.info.embedding_size)
    assert encoder.embed(given, batch_size=8).tobytes() == vectors.tobytes()
    np.testing.assert_array_equal(encoder.embed(given[:3], batch_size=8), vectors[:3])
    np.testing.assert_array_equal(encoder.embed(given[::-1], batch_size=8), vectors[::-1])
    other = load_encoder(encoder.info, device="cuda")
    assert other.embed(given, batch_size=8).tobytes() == vectors.tobytes()


@needs_gpu
@pytest.mark.usefixtures("_precision_as_before", "_pinned")
@pytest.mark.parametrize("architecture", FOUR)
@pytest.mark.parametrize("size", [224, 256])
def test_a_gpu_computes_nearly_what_the_processor_computes(architecture: str, size: int, planes: MakePlanes) -> None:
    info = untrained(architecture)

    vectors = load_encoder(info, device="cuda").embed(planes(5, size=size), batch_size=3)

    expected = load_encoder(info).embed(planes(5, size=size), batch_size=3)
    assert np.linalg.norm(vectors - expected) < 1e-4 * np.linalg.norm(expected)


@needs_gpu
@pytest.mark.usefixtures("_precision_as_before", "_pinned")
@pytest.mark.parametrize("architecture", FOUR)
def test_threads_that_share_a_gpu_get_the_same_bytes_from_their_first_forward_on(
    architecture: str, planes: MakePlanes
) -> None:
    info = untrained(architecture)
    expected = load_encoder(info, device="cuda").embed(planes(12, size=224), batch_size=8).tobytes()
    encoder = load_encoder(info, device="cuda")
    together = Barrier(4)

    def work(_: int) -> set[bytes]:
        together.wait(30)
        return {encoder.embed(planes(12, size=224), batch_size=8).tobytes() for _ in range(5)}

    with ThreadPoolExecutor(4) as pool:
        found = set().union(*pool.map(work, range(4)))

    assert found == {expected}


@needs_gpu
@pytest.mark.usefixtures("_precision_as_before", "_pinned")
def test_no_planes_give_no_vectors_on_a_gpu_either() -> None:
    encoder = load_encoder(untrained("mobilenetv3_small_100"), device="cuda")

    assert encoder.embed(np.empty((0, 64, 64), np.float32), batch_size=4).shape == (0, 1024)


@needs_gpu
@pytest.mark.usefixtures("_precision_as_before", "_pinned")
def test_more_tiles_than_the_memory_of_a_gpu_takes_are_refused_and_the_next_are_computed(planes: MakePlanes) -> None:
    encoder = load_encoder(untrained("pvt_v2_b0"), device="cuda")

    with pytest.raises(MemoryError, match=r"pvt_v2_b0\.untrained needs more memory for 10000000 tiles of 64 x 64"):
        encoder.embed(planes(2, size=64), batch_size=10_000_000)

    assert encoder.embed(planes(2, size=64), batch_size=2).shape == (2, 256)
