from __future__ import annotations

import gzip
import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hcs.embedding.weights import (
    check_safetensors,
    explicit_weights,
    packaged_encoders,
    packaged_weights,
    read_weights,
    timm_weights,
)
from hcs.errors import WeightsError
from hcs.settings import Settings
from schemas.encoders import EncoderInfo, WeightsOrigin


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Trap:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exit, ("the pickle was opened",)


def zipped_pickle(path: Path) -> None:
    torch.save({"weight": Trap()}, path)


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Trap()))


def old_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Trap(), protocol=0))


def compressed_pickle(path: Path) -> None:
    path.write_bytes(gzip.compress(pickle.dumps(Trap())))


PICKLES = [zipped_pickle, plain_pickle, old_pickle, compressed_pickle]


@pytest.mark.parametrize("write", PICKLES)
def test_a_pickle_is_refused_by_what_it_holds(tmp_path: Path, write: Callable[[Path], None]) -> None:
    disguised = tmp_path / "weights.safetensors"
    write(disguised)

    with pytest.raises(WeightsError, match=r"pickle, which is never opened|not a complete safetensors file"):
        check_safetensors(disguised)


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin", ".ckpt", ""])
def test_a_pickle_is_refused_by_what_it_is_called(tmp_path: Path, weights_file: Path, ending: str) -> None:
    other = tmp_path / f"weights{ending}"
    other.write_bytes(weights_file.read_bytes())

    with pytest.raises(WeightsError, match=r"\.safetensors files only"):
        check_safetensors(other)


def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"note": "x"}}).encode()
    for first_byte in (0x28, 0x80):  # "(" and the mark of a binary pickle
        path = tmp_path / "weights.safetensors"
        path.write_bytes(first_byte.to_bytes(8, "little") + header.ljust(first_byte))

        check_safetensors(path)


@pytest.mark.parametrize("kept", [0, 5, 8, 2_000, -1])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, weights_file: Path, kept: int) -> None:
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(weights_file.read_bytes()[:kept])

    with pytest.raises(WeightsError, match=r"not a complete safetensors file.*cut off"):
        check_safetensors(torn)


def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()

    for name in ("nothing.safetensors", "folder.safetensors"):
        with pytest.raises(WeightsError, match=f"{name}, but it cannot be read"):
            explicit_weights(str(tmp_path / name))


def test_weights_behind_a_url_are_refused() -> None:
    with pytest.raises(WeightsError, match="download it first"):
        explicit_weights("s3://bucket/weights.safetensors")


def test_a_named_file_is_found_and_hashed(weights_file: Path) -> None:
    found = explicit_weights(str(weights_file))

    assert found.path == weights_file
    assert found.origin is WeightsOrigin.FILE
    assert found.sha256 == sha256(weights_file)


def test_packaged_weights_are_named_after_their_files(tmp_path: Path, weights_file: Path) -> None:
    weights_file.rename(tmp_path / "pvt_v2_b0.safetensors")

    found = packaged_weights("pvt_v2_b0", folder=tmp_path)

    assert packaged_encoders(tmp_path) == ("pvt_v2_b0.hcs",)
    assert found.origin is WeightsOrigin.PACKAGED
    assert found.sha256 == sha256(tmp_path / "pvt_v2_b0.safetensors")


def test_the_local_cache_comes_before_the_cache_of_the_hub(
    tmp_path: Path, settings: Settings, weights_file: Path
) -> None:
    repository = tmp_path / "hub" / "models--timm--small.ours"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    (snapshot / "model.safetensors").write_bytes(weights_file.read_bytes())
    kept = settings.weights_cache / "small.safetensors"

    before = timm_weights("small", "timm/small.ours", settings=settings, hub_cache=tmp_path / "hub")
    kept.parent.mkdir()
    weights_file.rename(kept)
    after = timm_weights("small", "timm/small.ours", settings=settings, hub_cache=tmp_path / "hub")

    assert before.path == snapshot / "model.safetensors"
    assert after.path == kept
    assert before.origin is after.origin is WeightsOrigin.CACHE
    assert before.sha256 == after.sha256 == sha256(kept)


def test_a_torn_file_in_the_cache_is_not_replaced_by_another(settings: Settings) -> None:
    settings.weights_cache.mkdir()
    (settings.weights_cache / "small.safetensors").write_bytes(b"torn")

    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        timm_weights("small", None, settings=settings)


def test_weights_that_are_nowhere_are_said_with_what_to_do(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(WeightsError) as offline:
        timm_weights("pvt_v2_b0", "timm/pvt_v2_b0.in1k", settings=settings, hub_cache=tmp_path)
    with pytest.raises(WeightsError) as unpublished:
        timm_weights("gcvit_tiny", None, settings=settings.model_copy(update={"offline": False}), hub_cache=tmp_path)

    for part in (
        str(settings.weights_cache / "pvt_v2_b0.safetensors"),
        "HCS_OFFLINE",
        "https://huggingface.co/timm/pvt_v2_b0.in1k",
        "{name: pvt_v2_b0, weights: FILE.safetensors}",
        "pvt_v2_b0.untrained",
    ):
        assert part in str(offline.value)
    assert "timm's hub has none" in str(unpublished.value)
    assert not settings.weights_cache.exists()


def described(path: Path, *, weights_sha256: str) -> EncoderInfo:
    return EncoderInfo(
        name="mobilenetv3_small_050",
        architecture="mobilenetv3_small_050",
        weights_sha256=weights_sha256,
        weights_origin=WeightsOrigin.FILE,
        weights_uri=str(path),
        embedding_size=1024,
        mean=0.5,
        std=0.5,
        licence="unknown",
    )


def test_the_weights_that_were_described_are_read(weights_file: Path) -> None:
    assert read_weights(described(weights_file, weights_sha256=sha256(weights_file))) == weights_file.read_bytes()


def test_weights_that_changed_since_are_refused(weights_file: Path) -> None:
    with pytest.raises(WeightsError, match=f"changed: .*{'0' * 64}.*{sha256(weights_file)}"):
        read_weights(described(weights_file, weights_sha256="0" * 64))


def test_weights_that_are_gone_are_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        read_weights(described(tmp_path / "gone.safetensors", weights_sha256="0" * 64))
