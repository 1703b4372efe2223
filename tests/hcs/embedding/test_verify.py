from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from packaged import package, record

from hcs.embedding.known import known_encoders
from hcs.embedding.verify import Verdict, verify_encoder
from hcs.errors import UnknownEncoderError, UsageError
from hcs.settings import Settings
from schemas.screen import EncoderChoice

NAME = "mobilenetv3_small_050"
Tensors = Callable[[], dict[str, torch.Tensor]]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def verdict(tmp_path: Path, settings: Settings) -> Callable[..., Verdict]:
    """Verify an encoder whose packaged weights lie in the temporary folder."""

    def verify(name: str = f"{NAME}.hcs", *, sha256: str | None = None, weights: Path | None = None) -> Verdict:
        choice = EncoderChoice(name=name, weights=None if weights is None else str(weights))
        return verify_encoder(choice, settings=settings, sha256=sha256, folder=tmp_path)

    return verify


def test_whole_packaged_weights_are_in_order(tmp_path: Path, verdict: Callable[..., Verdict], tensors: Tensors) -> None:
    file = package(tmp_path, NAME, tensors())

    assert verdict() == Verdict(f"{NAME}.hcs", is_ok=True, sha256=sha256(file), reason=None)
    assert verdict(sha256=sha256(file)).is_ok


def test_another_hash_than_the_one_that_was_asked_for_is_refused(
    tmp_path: Path, verdict: Callable[..., Verdict], tensors: Tensors
) -> None:
    file = package(tmp_path, NAME, tensors())

    found = verdict(sha256="0" * 64)

    assert not found.is_ok
    assert found.sha256 == sha256(file)
    assert f"expected to have the SHA-256 {'0' * 64}, but those of {file} have {sha256(file)}" in str(found.reason)


def nan(state: dict[str, torch.Tensor]) -> None:
    state["conv_stem.weight"][0, 0, 0, 0] = float("nan")


def infinite(state: dict[str, torch.Tensor]) -> None:
    state["bn1.running_mean"][0] = float("inf")


def without_stem(state: dict[str, torch.Tensor]) -> None:
    del state["conv_stem.weight"]


def too_large(state: dict[str, torch.Tensor]) -> None:
    """Each number is finite, and what is computed of them is not."""
    for name, tensor in state.items():
        if name.endswith(".weight"):
            tensor.fill_(1e38)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (nan, r"holds NaN or infinity in 1 of \d+ tensors \(conv_stem\.weight\)"),
        (infinite, r"holds NaN or infinity in 1 of \d+ tensors \(bn1\.running_mean\)"),
        (without_stem, r"does not fit: .* 1 are missing \(conv_stem\.weight\)"),
        (too_large, "computed NaN or infinity"),
    ],
)
def test_recorded_weights_that_are_broken_inside_are_refused(
    tmp_path: Path,
    verdict: Callable[..., Verdict],
    tensors: Tensors,
    harm: Callable[[dict[str, torch.Tensor]], None],
    said: str,
) -> None:
    state = tensors()
    harm(state)
    file = package(tmp_path, NAME, state)

    found = verdict()

    assert not found.is_ok
    assert found.sha256 == sha256(file)
    assert re.search(said, str(found.reason)), found.reason


def test_weights_of_another_backbone_are_refused(
    tmp_path: Path, verdict: Callable[..., Verdict], tensors: Tensors
) -> None:
    package(tmp_path, "pvt_v2_b0", tensors())

    found = verdict("pvt_v2_b0.hcs")

    assert not found.is_ok
    assert "pvt_v2_b0.hcs does not fit: " in str(found.reason)


def test_packaged_weights_that_are_torn_unrecorded_or_lost_are_refused(
    tmp_path: Path, verdict: Callable[..., Verdict], weights_file: Path
) -> None:
    whole = weights_file.read_bytes()
    torn, unrecorded = tmp_path / "pvt_v2_b0.safetensors", tmp_path / "pvt_v2_b1.safetensors"
    torn.write_bytes(whole)
    record(torn)
    torn.write_bytes(whole[:-1])
    unrecorded.write_bytes(whole)
    record(tmp_path / "pvt_v2_b2.safetensors", "0" * 64)

    found = [verdict(f"pvt_v2_b{number}.hcs") for number in range(3)]

    assert [one.is_ok for one in found] == [False, False, False]
    assert [one.sha256 for one in found] == [None, None, None]
    for one, said in zip(found, ("not a complete safetensors file", "no line on", "cannot be read"), strict=True):
        assert said in str(one.reason)


def test_a_file_that_was_named_is_verified_against_its_backbone(
    verdict: Callable[..., Verdict], weights_file: Path
) -> None:
    right, wrong = verdict(NAME, weights=weights_file), verdict("pvt_v2_b0", weights=weights_file)

    assert right == Verdict(NAME, is_ok=True, sha256=sha256(weights_file), reason=None)
    assert not wrong.is_ok
    assert str(weights_file) in str(wrong.reason)


def test_what_needs_no_file_is_verified_by_its_digest(verdict: Callable[..., Verdict]) -> None:
    assert verdict("named").is_ok
    assert verdict(f"{NAME}.untrained").sha256 == known_encoders()[NAME].untrained_sha256
    assert not verdict("named", sha256="0" * 64).is_ok
    assert not verdict(f"{NAME}.untrained", sha256="0" * 64).is_ok


def test_weights_that_are_not_here_are_not_fetched(
    settings: Settings, tmp_path: Path, verdict: Callable[..., Verdict], weights_file: Path
) -> None:
    online = settings.model_copy(update={"offline": False})
    absent = verify_encoder(EncoderChoice(name=NAME), settings=online, folder=tmp_path)
    settings.weights_cache.mkdir()
    weights_file.rename(settings.weights_cache / f"{NAME}.safetensors")

    assert not absent.is_ok
    assert str(settings.weights_cache / f"{NAME}.safetensors") in str(absent.reason)
    assert verdict(NAME).is_ok


def test_a_request_that_is_wrong_itself_is_no_verdict(tmp_path: Path, verdict: Callable[..., Verdict]) -> None:
    with pytest.raises(UnknownEncoderError, match="did you mean"):
        verdict("mobilenetv3_smal_050")
    with pytest.raises(UsageError, match="leave one out"):
        verdict(f"{NAME}.untrained", weights=tmp_path / "x.safetensors")
