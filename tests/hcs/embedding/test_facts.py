from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from packaged import HEADER, package

from hcs.embedding.facts import encoder_facts
from hcs.embedding.known import known_encoders
from hcs.embedding.listing import Whereabouts
from hcs.embedding.registry import describe_encoder
from hcs.errors import UnknownEncoderError, UsageError, WeightsError
from hcs.settings import Settings
from schemas.encoders import WeightsOrigin
from schemas.screen import EncoderChoice

SMALL = {"weight": torch.zeros(2, 3)}
CARD = "# pvt_v2_b0.hcs\n\nTrained on 1 µm of nothing.\n"


def test_a_packaged_encoder_shows_its_recipe_its_data_and_its_card(tmp_path: Path, settings: Settings) -> None:
    file = package(tmp_path, "pvt_v2_b0", SMALL, card=CARD)

    facts = encoder_facts(EncoderChoice(name="pvt_v2_b0.hcs"), settings=settings, folder=tmp_path)

    assert facts.weights is Whereabouts.PACKAGED
    assert facts.path == str(file)
    assert facts.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert facts.size_bytes == len(file.read_bytes())
    assert (facts.mean, facts.std) == (0.125, 0.0625)
    assert facts.licence == "BSD-3-Clause"
    assert facts.recipe == json.loads(HEADER["recipe"])
    assert facts.trained_on == HEADER["trained_on"]
    assert facts.model_card == CARD
    assert facts.hub is facts.may_be_put_at is None


def test_a_packaged_encoder_without_words_of_its_own_is_shown(tmp_path: Path, settings: Settings) -> None:
    package(tmp_path, "pvt_v2_b0", SMALL, header=None)

    facts = encoder_facts(EncoderChoice(name="pvt_v2_b0.hcs"), settings=settings, folder=tmp_path)

    assert facts.recipe is facts.trained_on is facts.model_card is None


def test_a_recipe_that_is_no_json_is_shown_as_it_stands(tmp_path: Path, settings: Settings) -> None:
    package(tmp_path, "pvt_v2_b0", SMALL, header={"recipe": "by hand"})

    assert encoder_facts(EncoderChoice(name="pvt_v2_b0.hcs"), settings=settings, folder=tmp_path).recipe == "by hand"


@pytest.mark.parametrize("name", ["named", "pvt_v2_b0.untrained", "pvt_v2_b0.in1k.untrained", "resnet18"])
def test_what_is_shown_is_what_a_run_is_described_with(settings: Settings, name: str) -> None:
    package(settings.weights_cache, "resnet18", SMALL)

    facts = encoder_facts(EncoderChoice(name=name), settings=settings)
    info = describe_encoder(EncoderChoice(name=name), settings=settings)

    for field in ("name", "architecture", "licence", "embedding_size", "input_size", "mean", "std"):
        assert getattr(facts, field) == getattr(info, field)
    assert facts.sha256 == info.weights_sha256
    assert facts.origin is info.weights_origin
    assert facts.path == info.weights_uri


@pytest.mark.parametrize("name", ["pvt_v2_b0", "pvt_v2_b0.in1k"])
@pytest.mark.parametrize("offline", [True, False])
def test_weights_that_are_not_here_are_no_error_and_it_is_said_where_they_belong(
    settings: Settings, name: str, offline: bool
) -> None:
    facts = encoder_facts(EncoderChoice(name=name), settings=settings.model_copy(update={"offline": offline}))

    assert facts.weights is (Whereabouts.ABSENT if offline else Whereabouts.TO_BE_FETCHED)
    assert facts.may_be_put_at == str(settings.weights_cache / f"{name}.safetensors")
    assert facts.hub == "timm/pvt_v2_b0.in1k"
    assert facts.parameters == known_encoders()["pvt_v2_b0"].n_parameters
    assert (facts.mean, facts.std) == (pytest.approx(0.449), pytest.approx(0.226))
    assert facts.origin is facts.path is facts.sha256 is facts.size_bytes is None
    assert not settings.weights_cache.exists()


def test_weights_that_were_put_where_they_belong_are_found(settings: Settings) -> None:
    place = encoder_facts(EncoderChoice(name="pvt_v2_b0"), settings=settings).may_be_put_at
    file = package(settings.weights_cache, "pvt_v2_b0", SMALL)

    facts = encoder_facts(EncoderChoice(name="pvt_v2_b0"), settings=settings)

    assert place == facts.path == str(file)
    assert facts.weights is Whereabouts.HERE
    assert facts.origin is WeightsOrigin.CACHE


def test_a_file_that_was_named_is_shown_with_its_header(settings: Settings, tmp_path: Path) -> None:
    file = package(tmp_path, "ours", SMALL, card="ours")

    facts = encoder_facts(EncoderChoice(name="pvt_v2_b0", weights=str(file)), settings=settings)

    assert (facts.origin, facts.licence, facts.hub) == (WeightsOrigin.FILE, "unknown", None)
    assert facts.trained_on == HEADER["trained_on"]
    assert facts.model_card == "ours"


def test_what_cannot_be_shown_is_refused(settings: Settings, tmp_path: Path) -> None:
    package(tmp_path, "pvt_v2_b0", SMALL).write_bytes(b"torn")

    with pytest.raises(WeightsError, match="install hcs again"):
        encoder_facts(EncoderChoice(name="pvt_v2_b0.hcs"), settings=settings, folder=tmp_path)
    with pytest.raises(UnknownEncoderError, match=r"these are packaged: pvt_v2_b0\.hcs"):
        encoder_facts(EncoderChoice(name="pvt_v2_b1.hcs"), settings=settings, folder=tmp_path)
    with pytest.raises(UsageError, match="leave one out"):
        encoder_facts(EncoderChoice(name="pvt_v2_b0.hcs", weights="x.safetensors"), settings=settings, folder=tmp_path)
