from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from hcs.embedding.backbones import (
    classifier_keys,
    create_backbone,
    create_untrained_backbone,
    describe_backbone,
    fold_grey_stem,
    timm_names,
)
from hcs.embedding.state import state_digest
from hcs.embedding.torchvision_operators import import_timm
from hcs.errors import UnknownEncoderError

SMALL = "mobilenetv3_small_050"


def digest(_: int = 0) -> str:
    return state_digest(create_untrained_backbone(SMALL).state_dict())


def test_an_untrained_backbone_is_what_seed_0_gives() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = import_timm().create_model(SMALL, num_classes=0).state_dict()

    assert digest() == state_digest(expected)


def test_an_untrained_backbone_is_the_same_whatever_the_generator_the_threads_and_their_number() -> None:
    expected, n_threads = digest(), torch.get_num_threads()
    torch.manual_seed(7)

    with ThreadPoolExecutor(3) as pool:
        together = set(pool.map(digest, range(6)))
    torch.set_num_threads(3 - n_threads if n_threads in {1, 2} else 1)
    other_threads = digest()
    torch.set_num_threads(n_threads)

    assert {expected, other_threads} | together == {expected}


def test_the_generator_is_left_as_it_was() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()

    create_untrained_backbone(SMALL)

    assert torch.equal(torch.get_rng_state(), before)


def test_a_backbone_comes_in_evaluation_mode_and_ends_in_its_pooled_embedding() -> None:
    model = create_backbone(SMALL)

    assert not model.training
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 1024)


def test_a_backbone_that_timm_does_not_make_is_refused() -> None:
    with pytest.raises(UnknownEncoderError, match="no backbone 'mobilenet_v9'"):
        create_backbone("mobilenet_v9")


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        (SMALL, {"classifier.weight", "classifier.bias"}),
        ("tiny_vit_5m_224", {"head.fc.weight", "head.fc.bias"}),
    ],
)
def test_only_the_classifier_is_left_out(architecture: str, expected: set[str]) -> None:
    assert classifier_keys(architecture) == expected


def test_a_backbone_that_is_not_listed_is_described_by_timm() -> None:
    known = describe_backbone("ghostnet_050")

    assert known.family == "other"
    assert known.embedding_size == 1280
    assert known.input_size is None
    assert known.hub is None
    assert known.grey_stem == "conv_stem"


def test_a_licence_that_timm_does_not_say_is_unknown() -> None:
    known = describe_backbone("cpubone_nano")

    assert known.licence == "unknown"
    assert not known.may_be_default


def test_another_training_of_a_backbone_is_described_by_timm() -> None:
    known = describe_backbone("mobilenetv4_conv_small", "e1200_r224_in1k")

    assert known.hub == "timm/mobilenetv4_conv_small.e1200_r224_in1k"


def test_a_training_that_timm_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(UnknownEncoderError, match=r"not its training 'mine'; it has .*lamb_in1k"):
        describe_backbone("mobilenetv3_small_100", "mine")


def test_a_folded_stem_gives_the_same_vectors_with_a_third_of_the_input() -> None:
    grey = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 4 - 2
    plain = create_untrained_backbone("pvt_v2_b0")
    folded = fold_grey_stem(create_untrained_backbone("pvt_v2_b0"), "patch_embed.proj")

    with torch.inference_mode():
        expected, found = plain(grey.expand(-1, 3, -1, -1)), folded(grey)

    assert (found - expected).norm() < 1e-5 * expected.norm()
    with pytest.raises(RuntimeError, match="3 channels"):
        folded(grey.expand(-1, 3, -1, -1))


def test_only_a_convolution_is_folded() -> None:
    with pytest.raises(TypeError, match="head is Identity"):
        fold_grey_stem(create_backbone("pvt_v2_b0"), "head")


def test_timm_lists_more_than_a_thousand_backbones() -> None:
    assert len(timm_names()) > 1_000
