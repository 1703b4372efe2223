from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from packaged import HEADER, package, record

from hcs.embedding.weights import (
    check_safetensors,
    explicit_weights,
    find_timm_weights,
    packaged_encoders,
    packaged_weights,
    read_weights,
    recorded_hashes,
    timm_weights,
    weights_metadata,
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
    with pytest.raises(WeightsError, match=r"nothing\.safetensors, but it cannot be read"):
        explicit_weights(str(tmp_path / "nothing.safetensors"))
    with pytest.raises(WeightsError, match="its name is empty"):
        explicit_weights(" ")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_ordinary_file_is_refused_and_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "odd.safetensors")

    with pytest.raises(WeightsError, match="it is no ordinary file"):
        explicit_weights(str(tmp_path / "odd.safetensors"))


def test_weights_behind_a_url_are_refused() -> None:
    with pytest.raises(WeightsError, match="download it first"):
        explicit_weights("s3://bucket/weights.safetensors")


def test_a_named_file_is_found_and_hashed(weights_file: Path) -> None:
    found = explicit_weights(str(weights_file))

    assert found.path == weights_file
    assert found.origin is WeightsOrigin.FILE
    assert found.sha256 == sha256(weights_file)


SMALL = {"weight": torch.arange(6, dtype=torch.float32).reshape(2, 3)}


def test_packaged_weights_are_named_after_their_files(tmp_path: Path) -> None:
    file = package(tmp_path, "pvt_v2_b0", SMALL)

    found = packaged_weights("pvt_v2_b0", folder=tmp_path)

    assert packaged_encoders(tmp_path) == ("pvt_v2_b0.hcs",)
    assert found.path == file
    assert found.origin is WeightsOrigin.PACKAGED
    assert found.sha256 == sha256(file)


def test_a_folder_that_is_empty_or_not_there_packages_nothing(tmp_path: Path) -> None:
    assert packaged_encoders(tmp_path) == packaged_encoders(tmp_path / "nowhere") == ()
    assert recorded_hashes(tmp_path) == {}


@pytest.mark.parametrize("mode", ["--text", "--binary"])
def test_the_record_is_what_sha256sum_writes(tmp_path: Path, mode: str) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(name.encode())
        (tmp_path / f"{name}.md").write_text(name)
    files = sorted(path.name for path in tmp_path.iterdir())
    written = subprocess.run(["sha256sum", mode, *files], cwd=tmp_path, capture_output=True, text=True, check=True)
    (tmp_path / "SHA256SUMS").write_text(written.stdout)

    assert recorded_hashes(tmp_path) == {name: sha256(tmp_path / name) for name in ("a.safetensors", "b.safetensors")}


@pytest.mark.parametrize("line", ["", "not a line", f"{'A' * 64}  a.safetensors", f"{'a' * 63}  a.safetensors"])
def test_a_record_that_is_none_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  a.safetensors\n{line}\n{'0' * 64}  b.safetensors\n")

    with pytest.raises(WeightsError, match=r"SHA256SUMS: expected .* in line 2, .*install hcs again"):
        packaged_encoders(tmp_path)


@hypothesis_settings(deadline=None)
@given(data=st.data())
def test_packaged_weights_with_any_other_byte_are_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = package(tmp_path_factory.mktemp("packaged"), "pvt_v2_b0", SMALL)
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)

    with pytest.raises(WeightsError, match="install hcs again"):
        packaged_weights("pvt_v2_b0", folder=file.parent)


def test_packaged_weights_that_were_exchanged_are_refused_with_both_hashes(tmp_path: Path) -> None:
    file = package(tmp_path, "pvt_v2_b0", SMALL)
    expected = sha256(file)
    file.write_bytes(package(tmp_path / "other", "pvt_v2_b0", {"weight": torch.zeros(2, 3)}).read_bytes())

    with pytest.raises(WeightsError) as refused:
        packaged_weights("pvt_v2_b0", folder=tmp_path)

    for part in (str(file), expected, sha256(file), "SHA256SUMS", "install hcs again"):
        assert part in str(refused.value)


def test_packaged_weights_that_nobody_recorded_are_refused(tmp_path: Path) -> None:
    package(tmp_path, "pvt_v2_b1", SMALL)
    file = package(tmp_path / "elsewhere", "pvt_v2_b0", SMALL).rename(tmp_path / "pvt_v2_b0.safetensors")

    with pytest.raises(WeightsError, match=rf"{sha256(file)}.* no line on pvt_v2_b0\.safetensors"):
        packaged_weights("pvt_v2_b0", folder=tmp_path)


def test_packaged_weights_that_got_lost_are_missed(tmp_path: Path) -> None:
    package(tmp_path, "pvt_v2_b0", SMALL).unlink()

    assert packaged_encoders(tmp_path) == ("pvt_v2_b0.hcs",)
    with pytest.raises(WeightsError, match=r"cannot be read .*comes with the project: install hcs again"):
        packaged_weights("pvt_v2_b0", folder=tmp_path)


def test_a_pickle_among_the_packaged_weights_is_not_opened_though_it_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "pvt_v2_b0.safetensors"
    zipped_pickle(file)
    record(file)

    with pytest.raises(WeightsError, match="pickle, which is never opened"):
        packaged_weights("pvt_v2_b0", folder=tmp_path)


def test_the_header_of_weights_is_read_with_and_without_words(tmp_path: Path, weights_file: Path) -> None:
    assert weights_metadata(package(tmp_path / "packaged", "pvt_v2_b0", SMALL)) == HEADER
    assert weights_metadata(weights_file) == {}


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
    assert find_timm_weights("pvt_v2_b0", "timm/pvt_v2_b0.in1k", settings=settings, hub_cache=tmp_path) is None
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


def test_packaged_weights_are_read_from_this_installation_if_they_are_the_recorded_ones(tmp_path: Path) -> None:
    file = package(tmp_path, "mobilenetv3_small_050", SMALL)
    content = file.read_bytes()
    elsewhere = described(Path("elsewhere.safetensors"), weights_sha256=sha256(file))
    info = elsewhere.model_copy(update={"weights_origin": WeightsOrigin.PACKAGED})

    assert read_weights(info, folder=tmp_path) == content
    file.write_bytes(content + b" ")
    with pytest.raises(WeightsError, match=f"{info.weights_sha256} that SHA256SUMS .* but have {sha256(file)}"):
        read_weights(info.model_copy(update={"weights_sha256": sha256(file)}), folder=tmp_path)


def test_packaged_weights_of_another_version_are_not_those_of_the_run(tmp_path: Path) -> None:
    package(tmp_path, "mobilenetv3_small_050", SMALL)
    info = described(Path("elsewhere.safetensors"), weights_sha256="0" * 64)

    with pytest.raises(WeightsError, match=f"changed: .*{'0' * 64}"):
        read_weights(info.model_copy(update={"weights_origin": WeightsOrigin.PACKAGED}), folder=tmp_path)
