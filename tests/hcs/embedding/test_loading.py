from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from hcs.embedding.backbones import create_untrained_backbone
from hcs.embedding.engine import use_one_thread
from hcs.embedding.known import known_encoders
from hcs.embedding.loading import load_encoder
from hcs.embedding.registry import describe_encoder
from hcs.embedding.torchvision_operators import import_timm
from hcs.errors import InputRejectedError, ModelOutputError, UnknownEncoderError, UsageError, WeightsError
from hcs.settings import Settings
from schemas.encoders import Encoder
from schemas.screen import EncoderChoice

Load = Callable[[str], Encoder]
MakePlanes = Callable[..., NDArray[np.float32]]
TWO = ["mobilenetv3_small_100.untrained", "pvt_v2_b0.untrained"]


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


def plain_forward(model: torch.nn.Module, planes: NDArray[np.float32], encoder: Encoder) -> NDArray[np.float32]:
    """The same vectors the plain way: three equal channels, channels first."""
    grey = (torch.from_numpy(planes) - encoder.info.mean) / encoder.info.std
    with torch.inference_mode():
        vectors: NDArray[np.float32] = model(grey[:, None].repeat(1, 3, 1, 1)).numpy()
    return vectors


@pytest.mark.parametrize("name", TWO)
@hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_vector_is_bitwise_the_same_whatever_its_position_and_its_neighbours(
    load: Load, planes: MakePlanes, name: str, data: st.DataObject
) -> None:
    pool = planes(12)
    chosen = data.draw(st.lists(st.integers(0, 11), min_size=1, max_size=11, unique=True))
    encoder = load(name)
    expected = encoder.embed(pool, batch_size=5)

    vectors = encoder.embed(pool[chosen], batch_size=5)

    np.testing.assert_array_equal(vectors, expected[chosen])


@pytest.mark.parametrize("name", known_encoders())
def test_every_known_encoder_is_loaded_and_never_mixes_planes(name: str, planes: MakePlanes) -> None:
    choice = EncoderChoice(name=f"{name}.untrained")
    encoder = load_encoder(describe_encoder(choice, settings=Settings(offline=True)))
    three = planes(3, size=64)

    vectors = encoder.embed(three, batch_size=2)

    assert vectors.shape == (3, known_encoders()[name].embedding_size)
    assert vectors.dtype == np.float32
    order = [2, 0, 1]  # every plane gets another position, and other neighbours or padding
    np.testing.assert_array_equal(encoder.embed(three[order], batch_size=2), vectors[order])
    assert len(np.unique(vectors, axis=0)) == 3


@pytest.mark.parametrize("name", TWO)
@pytest.mark.parametrize("size", [128, 224, 100])
def test_the_vectors_are_those_of_the_plain_forward(load: Load, planes: MakePlanes, name: str, size: int) -> None:
    encoder = load(name)
    model = create_untrained_backbone(encoder.info.architecture)

    vectors = encoder.embed(planes(5, size=size // 8 * 8), batch_size=3)

    expected = plain_forward(model, planes(5, size=size // 8 * 8), encoder)
    assert np.linalg.norm(vectors - expected) < 1e-5 * np.linalg.norm(expected)


def test_an_encoder_of_one_size_sees_resized_planes(load: Load, planes: MakePlanes) -> None:
    encoder = load("levit_256.untrained")
    small = planes(2, size=128)
    grown = torch.nn.functional.interpolate(
        torch.from_numpy(small)[:, None], (224, 224), mode="bilinear", align_corners=False
    )

    vectors = encoder.embed(small, batch_size=2)

    expected = plain_forward(create_untrained_backbone("levit_256"), grown[:, 0].numpy(), encoder)
    assert encoder.info.input_size == 224
    assert np.linalg.norm(vectors - expected) < 1e-5 * np.linalg.norm(expected)


def test_a_backbone_whose_stem_is_not_folded_sees_three_equal_channels(planes: MakePlanes) -> None:
    choice = EncoderChoice(name="ghostnet_050.untrained")
    encoder = load_encoder(describe_encoder(choice, settings=Settings(offline=True)))

    vectors = encoder.embed(planes(3, size=64), batch_size=2)

    expected = plain_forward(create_untrained_backbone("ghostnet_050"), planes(3, size=64), encoder)
    assert np.linalg.norm(vectors - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", TWO)
def test_threads_that_share_an_encoder_get_the_same_bytes(load: Load, planes: MakePlanes, name: str) -> None:
    encoder = load(name)
    use_one_thread()
    expected = encoder.embed(planes(6), batch_size=4).tobytes()
    together = Barrier(2)

    def work(n_threads: int) -> list[bytes]:
        torch.set_num_threads(n_threads)
        together.wait(30)
        return [encoder.embed(planes(6), batch_size=4).tobytes() for _ in range(3)]

    with ThreadPoolExecutor(2) as pool:
        found = {content for contents in pool.map(work, [1, 2]) for content in contents}

    assert found == {expected}


def test_the_number_of_threads_set_elsewhere_changes_nothing_and_is_left_as_it_was(
    load: Load, planes: MakePlanes
) -> None:
    encoder = load(TWO[0])
    vectors = []
    for n_threads in (1, 2, 3):
        torch.set_num_threads(n_threads)
        vectors.append(encoder.embed(planes(5), batch_size=5).tobytes())

        assert torch.get_num_threads() == n_threads

    assert len(set(vectors)) == 1


def test_another_process_computes_the_same_bytes(load: Load, planes: MakePlanes, tmp_path: Path) -> None:
    np.save(tmp_path / "planes.npy", planes(6))
    for name in TWO:
        (tmp_path / f"{name}.json").write_text(load(name).info.model_dump_json())
    code = (
        "import hashlib, sys, numpy as np, torch\n"
        "from hcs.embedding.loading import load_encoder\n"
        "from schemas.encoders import EncoderInfo\n"
        "torch.set_num_threads(2)\n"
        "torch.manual_seed(5)\n"
        "for name in sys.argv[1:]:\n"
        "    encoder = load_encoder(EncoderInfo.model_validate_json(open(name + '.json').read()))\n"
        "    print(hashlib.sha256(encoder.embed(np.load('planes.npy'), batch_size=4).tobytes()).hexdigest())"
    )

    result = subprocess.run(
        [sys.executable, "-c", code, *TWO], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    vectors = [load(name).embed(planes(6), batch_size=4) for name in TWO]
    assert result.stdout.split() == [hashlib.sha256(found.tobytes()).hexdigest() for found in vectors], result.stderr


def test_planes_are_left_as_they_were_and_may_lie_anyhow_in_memory(load: Load, planes: MakePlanes) -> None:
    encoder = load(TWO[0])
    given = planes(4, size=64)
    kept = given.copy()

    vectors = encoder.embed(given, batch_size=4)

    np.testing.assert_array_equal(given, kept)
    np.testing.assert_array_equal(encoder.embed(np.asfortranarray(given), batch_size=4), vectors)
    given.flags.writeable = False
    np.testing.assert_array_equal(encoder.embed(given, batch_size=4), vectors)


def test_planes_need_not_be_square(load: Load, planes: MakePlanes) -> None:
    vectors = load(TWO[1]).embed(planes(2, size=96)[:, :64], batch_size=2)

    assert vectors.shape == (2, 256)


def test_no_planes_give_no_vectors(load: Load) -> None:
    assert load(TWO[0]).embed(np.empty((0, 64, 64), np.float32), batch_size=4).shape == (0, 1024)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_refused_with_its_plane(load: Load, planes: MakePlanes, value: float) -> None:
    given = planes(7, size=64)
    given[4, 10, 10] = value

    with pytest.raises(ModelOutputError, match=r"model_output_invalid: .* 1 of 7 planes, the first is plane 4"):
        load(TWO[0]).embed(given, batch_size=3)


@pytest.mark.parametrize(
    ("given", "batch_size"),
    [
        (np.zeros((64, 64), np.float32), 1),
        (np.zeros((1, 1, 64, 64), np.float32), 1),
        (np.zeros((1, 64, 64), np.float64), 1),
        (np.zeros((1, 64, 64), np.uint16), 1),
        (np.zeros((1, 0, 64), np.float32), 1),
        (np.zeros((1, 64, 64), np.float32), 0),
    ],
)
def test_planes_of_another_kind_are_refused(load: Load, given: NDArray[np.float32], batch_size: int) -> None:
    with pytest.raises(UsageError):
        load(TWO[0]).embed(given, batch_size=batch_size)


def test_tiles_that_are_too_small_are_refused_with_their_size(load: Load, planes: MakePlanes) -> None:
    with pytest.raises(InputRejectedError, match=r"pvt_v2_b0\.untrained cannot take tiles of 16 x 16 pixels"):
        load(TWO[1]).embed(planes(1, size=16), batch_size=1)


def test_named_features_have_nothing_to_load(settings: Settings) -> None:
    with pytest.raises(UsageError, match=r"hcs\.imaging"):
        load_encoder(describe_encoder(EncoderChoice(name="named"), settings=settings))


def test_a_file_of_weights_is_what_computes(settings: Settings, weights_file: Path, planes: MakePlanes) -> None:
    choice = EncoderChoice(name="mobilenetv3_small_050", weights=str(weights_file), mean=(0.4,), std=(0.3,))
    encoder = load_encoder(describe_encoder(choice, settings=settings))
    model = create_untrained_backbone("mobilenetv3_small_050")
    model.load_state_dict(load_file(weights_file))

    vectors = encoder.embed(planes(2, size=64), batch_size=2)

    expected = plain_forward(model, planes(2, size=64), encoder)
    # these weights grow from layer to layer, and rounding with them
    assert np.linalg.norm(vectors - expected) < 1e-4 * np.linalg.norm(expected)


def test_weights_of_another_backbone_are_refused(settings: Settings, weights_file: Path) -> None:
    info = describe_encoder(EncoderChoice(name="pvt_v2_b0", weights=str(weights_file)), settings=settings)

    with pytest.raises(WeightsError, match=f"{weights_file} for pvt_v2_b0 does not fit"):
        load_encoder(info)


def test_weights_that_changed_since_they_were_described_are_refused(settings: Settings, weights_file: Path) -> None:
    info = describe_encoder(EncoderChoice(name="mobilenetv3_small_050", weights=str(weights_file)), settings=settings)
    state = load_file(weights_file)
    state["conv_stem.weight"] += 1
    save_file(state, weights_file)

    with pytest.raises(WeightsError, match="changed"):
        load_encoder(info)


def test_random_weights_that_are_not_those_described_are_refused(load: Load) -> None:
    info = load("mobilenetv3_small_100.untrained").info

    with pytest.raises(WeightsError, match=r"same seed .*constraints\.txt"):
        load_encoder(info.model_copy(update={"weights_sha256": "0" * 64}))


def test_a_description_of_another_backbone_is_refused(load: Load, planes: MakePlanes) -> None:
    info = load("mobilenetv3_small_100.untrained").info

    with pytest.raises(UnknownEncoderError, match="mobilenet_v9"):
        load_encoder(info.model_copy(update={"architecture": "mobilenet_v9"}))
    with pytest.raises(WeightsError, match="described with 1 numbers a plane, but gives"):
        load_encoder(info.model_copy(update={"embedding_size": 1})).embed(planes(2, size=32), batch_size=2)


def test_real_weights_embed_a_real_image(real_data: Path, real_weights: Path, settings: Settings) -> None:
    name = "tf_mobilenetv3_large_minimal_100"
    file = real_weights / f"{name}.safetensors"
    choice = EncoderChoice(name=name, weights=str(file))
    encoder = load_encoder(describe_encoder(choice, settings=settings))
    images = [tifffile.imread(real_data / "sbs_foxo_plate" / f"Channel1-{well}.tif") for well in ("01-A-01", "12-A-12")]
    tiles = np.stack([image[:128, :128] for image in images]).astype(np.float32) / np.float32(255)
    model = import_timm().create_model(name).eval()
    model.load_state_dict(load_file(file))
    model.reset_classifier(0)

    vectors = encoder.embed(tiles, batch_size=2)

    expected = plain_forward(model, tiles, encoder)
    assert encoder.info.weights_sha256 == "35228cb6cd1ea907e9e7707e9611a66f08384a9d6c9dbcae1cbfd199d0ad60e9"
    assert np.linalg.norm(vectors - expected) < 1e-5 * np.linalg.norm(expected)
    assert np.linalg.norm(vectors[0] - vectors[1]) > 0.1 * np.linalg.norm(vectors[0])
