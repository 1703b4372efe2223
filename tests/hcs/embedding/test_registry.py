from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from packaged import package

from hcs.embedding.known import known_encoders
from hcs.embedding.registry import check_choice, describe_encoder
from hcs.errors import UnknownEncoderError, UsageError, WeightsError
from hcs.settings import Settings
from schemas.encoders import NAMED_FEATURES_VERSION, EncoderInfo, WeightsOrigin
from schemas.screen import EncoderChoice, ScreenConfig


def test_named_features_stand_for_their_version(settings: Settings) -> None:
    info = describe_encoder(EncoderChoice(name="named"), settings=settings)

    assert info.weights_sha256 == hashlib.sha256(NAMED_FEATURES_VERSION.encode()).hexdigest()
    assert info.weights_origin is WeightsOrigin.NONE
    assert info.embedding_size == 4


@pytest.mark.parametrize("given", [{"weights": "x.safetensors"}, {"mean": (0.5,)}, {"std": (0.5,)}])
def test_named_features_take_no_weights(settings: Settings, given: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="takes no weights, mean or std"):
        describe_encoder(EncoderChoice.model_validate({"name": "named", **given}), settings=settings)


def test_an_untrained_encoder_is_described_by_the_data_file(settings: Settings) -> None:
    info = describe_encoder(EncoderChoice(name="pvt_v2_b0.untrained"), settings=settings)

    assert info.name == "pvt_v2_b0.untrained"
    assert info.architecture == "pvt_v2_b0"
    assert info.weights_origin is WeightsOrigin.UNTRAINED
    assert info.weights_sha256 == known_encoders()["pvt_v2_b0"].untrained_sha256
    assert info.mean == pytest.approx((0.485 + 0.456 + 0.406) / 3)
    assert info.std == pytest.approx((0.229 + 0.224 + 0.225) / 3)


def test_the_encoders_of_a_screen_that_names_none_are_described(settings: Settings) -> None:
    choices = ScreenConfig.model_fields["encoders"].default

    infos = [describe_encoder(choice, settings=settings) for choice in choices]

    assert [info.name for info in infos] == ["mobilenetv3_small_100.hcs", "efficientvit_b0.hcs", "named"]
    assert {info.weights_origin for info in infos[:2]} == {WeightsOrigin.PACKAGED}


def test_a_file_of_weights_is_described_with_its_own_normalisation(settings: Settings, weights_file: Path) -> None:
    choice = EncoderChoice(name="mobilenetv3_small_050", weights=str(weights_file), mean=(0.1, 0.2, 0.3), std=(0.25,))

    info = describe_encoder(choice, settings=settings)

    assert info.weights_origin is WeightsOrigin.FILE
    assert info.weights_uri == str(weights_file)
    assert info.weights_sha256 == hashlib.sha256(weights_file.read_bytes()).hexdigest()
    assert info.mean == pytest.approx(0.2)
    assert info.std == 0.25
    assert info.licence == "unknown"


def test_weights_in_the_local_cache_are_timms_own(settings: Settings, weights_file: Path) -> None:
    settings.weights_cache.mkdir()
    weights_file.rename(settings.weights_cache / "mobilenetv3_small_050.safetensors")

    info = describe_encoder(EncoderChoice(name="mobilenetv3_small_050"), settings=settings)

    assert info.weights_origin is WeightsOrigin.CACHE
    assert info.licence == "apache-2.0"


def test_the_tag_of_the_known_training_is_the_known_encoder(settings: Settings) -> None:
    plain = describe_encoder(EncoderChoice(name="pvt_v2_b0.untrained"), settings=settings)
    tagged = describe_encoder(EncoderChoice(name="pvt_v2_b0.in1k.untrained"), settings=settings)

    assert tagged == plain.model_copy(update={"name": "pvt_v2_b0.in1k.untrained"})


def test_a_backbone_of_timm_that_is_not_listed_is_accepted(settings: Settings) -> None:
    info = describe_encoder(EncoderChoice(name="ghostnet_050.untrained"), settings=settings)

    assert "ghostnet_050" not in known_encoders()
    assert info.embedding_size == 1280


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("mobilenetv3_smal_100", "mobilenetv3_small_100"),
        ("pvtv2_b0.untrained", "pvt_v2_b0.untrained"),
        ("swin_tiny_window7_224.ms_in1k", "swin_tiny_patch4_window7_224"),
        ("nmaed", "named"),
        ("zzzzzz", "pvt_v2_b0"),
        (".untrained", "pvt_v2_b0"),
        ("../../secrets", "pvt_v2_b0"),
    ],
)
def test_an_unknown_encoder_is_refused_with_the_nearest_names(settings: Settings, name: str, offered: str) -> None:
    with pytest.raises(UnknownEncoderError) as refused:
        describe_encoder(EncoderChoice(name=name), settings=settings)

    assert repr(name) in str(refused.value)
    assert offered in str(refused.value)


def test_an_encoder_that_is_not_packaged_is_refused_with_what_there_is(settings: Settings) -> None:
    with pytest.raises(UnknownEncoderError) as refused:
        describe_encoder(EncoderChoice(name="vgg11.hcs"), settings=settings)

    for part in ("'vgg11.hcs' is packaged", "packaged", "untrained", "named"):
        assert part in str(refused.value)


SMALL = {"weight": torch.zeros(2, 3)}
OFFLINE = Settings(offline=True)


def packaged_info(folder: Path, header: dict[str, str] | None) -> EncoderInfo:
    """Package weights of pvt_v2_b0 with a header, and describe them."""
    package(folder, "pvt_v2_b0", SMALL, header=header)
    return describe_encoder(EncoderChoice(name="pvt_v2_b0.hcs"), settings=OFFLINE, folder=folder)


def test_packaged_weights_are_described_by_their_file(tmp_path: Path) -> None:
    info = packaged_info(tmp_path, {"mean": "0.25", "std": "[0.1, 0.2, 0.3]", "licence": "another"})

    file = tmp_path / "pvt_v2_b0.safetensors"
    assert info.name == "pvt_v2_b0.hcs"
    assert info.architecture == "pvt_v2_b0"
    assert info.weights_origin is WeightsOrigin.PACKAGED
    assert info.weights_uri == str(file)
    assert info.weights_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (info.mean, info.std) == (0.25, pytest.approx(0.2))
    assert info.licence == "BSD-3-Clause"


@pytest.mark.parametrize("header", [None, {}, {"architecture": "pvt_v2_b0"}])
def test_packaged_weights_that_say_no_normalisation_have_that_of_the_backbone(
    tmp_path: Path, header: dict[str, str] | None
) -> None:
    info = packaged_info(tmp_path, header)

    assert info.mean == pytest.approx((0.485 + 0.456 + 0.406) / 3)
    assert info.std == pytest.approx((0.229 + 0.224 + 0.225) / 3)


@hypothesis_settings(deadline=None, max_examples=30)
@given(mean=st.floats(-2, 2), std=st.floats(1e-4, 2))
def test_the_normalisation_of_packaged_weights_is_exactly_what_they_say(
    tmp_path_factory: pytest.TempPathFactory, mean: float, std: float
) -> None:
    info = packaged_info(tmp_path_factory.mktemp("packaged"), {"mean": json.dumps(mean), "std": json.dumps([std])})

    assert (info.mean, info.std) == (mean, std)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("mean", ""),
        ("mean", "half"),
        ("mean", "[0.1, 0.2]"),
        ("mean", "NaN"),
        ("mean", "{}"),
        ("mean", "null"),
        ("std", "0"),
        ("std", "[]"),
        ("std", "[[0.1]]"),
        ("std", "Infinity"),
    ],
)
def test_packaged_weights_that_say_an_impossible_normalisation_are_refused(
    tmp_path: Path, field: str, said: str
) -> None:
    with pytest.raises(WeightsError, match=f"say the {field} as one number or three"):
        packaged_info(tmp_path, {"mean": "0.5", "std": "0.5"} | {field: said})


def test_packaged_weights_that_are_not_the_recorded_ones_are_an_error_of_the_input(tmp_path: Path) -> None:
    packaged_info(tmp_path, None)
    file = tmp_path / "pvt_v2_b0.safetensors"
    file.write_bytes(package(tmp_path / "other", "pvt_v2_b0", {"weight": torch.ones(2, 3)}).read_bytes())

    with pytest.raises(WeightsError, match="SHA256SUMS") as refused:
        describe_encoder(EncoderChoice(name="pvt_v2_b0.hcs"), settings=OFFLINE, folder=tmp_path)

    assert refused.value.exit_code == 4


def test_a_packaged_encoder_may_be_given_another_normalisation(tmp_path: Path) -> None:
    package(tmp_path, "pvt_v2_b0", SMALL)
    choice = EncoderChoice(name="pvt_v2_b0.hcs", mean=(0.75,))

    assert describe_encoder(choice, settings=OFFLINE, folder=tmp_path).mean == 0.75


@pytest.mark.parametrize("ending", ["hcs", "untrained"])
def test_a_name_that_says_its_weights_takes_no_file(settings: Settings, weights_file: Path, ending: str) -> None:
    with pytest.raises(UsageError, match="leave one out"):
        describe_encoder(
            EncoderChoice(name=f"mobilenetv3_small_050.{ending}", weights=str(weights_file)), settings=settings
        )


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"mean": (0.1, 0.2)}, "mean"),
        ({"mean": ()}, "mean"),
        ({"mean": (float("nan"),)}, "mean"),
        ({"std": (0.0,)}, "std"),
        ({"std": (0.2, -0.2, 0.2)}, "std"),
    ],
)
def test_a_normalisation_that_cannot_be_is_refused(settings: Settings, given: dict[str, object], field: str) -> None:
    choice = EncoderChoice.model_validate({"name": "pvt_v2_b0.untrained", **given})

    with pytest.raises(UsageError, match=f"the {field} of the encoder"):
        describe_encoder(choice, settings=settings)


def test_weights_that_are_nowhere_are_an_error_of_the_input(settings: Settings) -> None:
    choice = EncoderChoice(name="mobilenetv3_small_050", weights=str(settings.weights_cache / "none.safetensors"))

    with pytest.raises(WeightsError) as refused:
        describe_encoder(choice, settings=settings)

    assert refused.value.exit_code == 4


def test_known_encoders_are_described_without_torch(weights_file: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "pvt_v2_b0.safetensors").write_bytes(weights_file.read_bytes())
    code = (
        "import sys\n"
        "from hcs.embedding.registry import describe_encoder, known_encoders\n"
        "from hcs.settings import Settings\n"
        "from schemas.screen import EncoderChoice\n"
        f"settings = Settings(weights_cache={str(tmp_path / 'cache')!r}, offline=True)\n"
        "for choice in [{'name': 'named'}, {'name': 'pvt_v2_b0'}, {'name': 'pvt_v2_b0.untrained'},\n"
        f"               {{'name': 'mobilenetv3_small_050', 'weights': {str(weights_file)!r}}}]:\n"
        "    describe_encoder(EncoderChoice(**choice), settings=settings)\n"
        "assert known_encoders()['hiera_tiny_224'].may_be_default is False\n"
        "print({'torch', 'timm', 'torchvision'} & set(sys.modules))"
    )

    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)

    assert result.stdout.strip() == "set()", result.stderr


def test_without_an_engine_it_is_known_of_some_names_whether_there_is_such_an_encoder() -> None:
    named = {
        name: check_choice(EncoderChoice(name=name)) for name in ("named", "mobilenetv3_small_100.hcs", "resnet18")
    }
    with_weights = check_choice(EncoderChoice(name="pvt_v2_b0", weights="/not/looked/for.safetensors"))

    assert all(named.values())
    assert with_weights
    assert not check_choice(EncoderChoice(name="never_heard_of"))
    assert not check_choice(EncoderChoice(name="resnet18.another_training"))


@pytest.mark.parametrize(
    ("choice", "error"),
    [
        ({"name": "named", "mean": (0.5,)}, "takes no weights"),
        ({"name": "never_heard_of.hcs"}, "packaged"),
        ({"name": "resnet18.untrained", "weights": "x.safetensors"}, "names its own weights"),
    ],
)
def test_what_no_engine_could_help_is_refused_without_one(choice: dict[str, object], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        check_choice(EncoderChoice.model_validate(choice))


def test_only_permissive_licences_may_be_defaults() -> None:
    default = {name for name, known in known_encoders().items() if known.may_be_default}

    assert {"mobilenetv3_small_100", "pvt_v2_b0", "swin_tiny_patch4_window7_224"} <= default
    assert not {"hiera_tiny_224", "mobilevit_xxs", "convnextv2_atto"} & default
