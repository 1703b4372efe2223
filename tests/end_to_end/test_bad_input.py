"""What users get wrong and instruments deliver: one clear paragraph, the right exit code, and the rest is kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from commands import Finished, hcs, with_settings
from safetensors.numpy import save_file


@pytest.fixture
def screen(screen_folder: Path, tmp_path: Path) -> Path:
    """A screen of its own for each test, the first plate alone, `named` alone: seconds, not minutes."""
    folder = tmp_path / "screen"
    shutil.copytree(screen_folder, folder)
    content = yaml.safe_load((folder / "SCREEN.yaml").read_text())
    return with_settings(folder / "SCREEN.yaml", encoders=["named"], plates=content["plates"][:1])


def plate_folder(screen: Path) -> Path:
    return screen.parent / yaml.safe_load(screen.read_text())["plates"][0]["uri"]


def images_of(screen: Path) -> list[Path]:
    return sorted(plate_folder(screen).rglob("*.tiff"))


def well_of(image: Path) -> str:
    """Return the well that a simulated instrument names as r02c07."""
    return f"{chr(ord('A') - 1 + int(image.name[1:3]))}{image.name[4:6]}"


def assert_one_paragraph(ended: Finished) -> None:
    """An error is one paragraph on stderr, without a traceback."""
    assert "Traceback" not in ended.err
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, ended.err
    assert len(errors[0]) < 1500


def run(screen: Path, catalog: Path | None = None) -> Finished:
    return hcs("run", screen, "--catalog", catalog or screen.parents[1] / "store" / "catalog.sqlite")


def failed_sites(catalog: Path) -> list[dict[str, str]]:
    ended = hcs("export", "csv", "latest", catalog.parent / "out", "--catalog", catalog)
    assert ended.code == 0, ended.err
    sites = pl.read_csv(catalog.parent / "out" / "sites.csv")
    return sites.filter(pl.col("status") == "failed").to_dicts()


def test_a_folder_without_images_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    ended = hcs("check", tmp_path / "empty")

    assert ended.code == 4
    assert_one_paragraph(ended)
    assert "empty" in ended.err


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path) -> None:
    ended = hcs("check", tmp_path / "nowhere")

    assert ended.code == 4
    assert_one_paragraph(ended)


def test_an_unknown_layout_is_wrong_usage_and_names_the_known_ones(screen: Path) -> None:
    ended = hcs("check", plate_folder(screen), "--layout", "cpq")

    assert ended.code == 2
    assert_one_paragraph(ended)
    assert "cpg" in ended.err


def test_a_platemap_that_does_not_match_is_rejected(screen: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("well,perturbation\n" + "".join(f"P{column},X{column}\n" for column in range(10, 24)))

    ended = hcs("check", plate_folder(screen), "--platemap", other, "--format", "json")

    assert ended.code == 4, ended.err
    report = json.loads(ended.out)
    assert report["verdict"] == "reject"
    assert "platemap_mismatch" in {finding["kind"] for finding in report["findings"]}


def test_a_plate_without_controls_is_embedded_and_stored_and_its_calls_are_refused(
    screen: Path, tmp_path: Path
) -> None:
    wells = [well_of(image) for image in images_of(screen)]
    platemap = tmp_path / "platemap.csv"
    rows = "".join(f"{well},X{index % 5},treatment\n" for index, well in enumerate(sorted(set(wells))))
    platemap.write_text("well,perturbation,control_type\n" + rows)
    with_settings(screen, platemaps=str(platemap), annotations=None)

    ended = run(screen)

    assert ended.code == 3, ended.err
    assert "no" in ended.out
    assert "negative control" in ended.out
    catalog = tmp_path / "store" / "catalog.sqlite"
    called = hcs("hits", "--q-max", 1, "--catalog", catalog, "--format", "json")
    calls = json.loads(called.out)
    assert {row["call"] for row in calls} == {"not_callable"}
    assert all(row["q_value"] is None and row["reason"] for row in calls)
    ended = hcs("export", "parquet", "latest", tmp_path / "out", "--catalog", catalog)
    assert ended.code == 0
    assert list((tmp_path / "out" / "embeddings").glob("*named*"))


def truncate(image: Path) -> None:
    image.write_bytes(image.read_bytes()[:2000])


def header_only(image: Path) -> None:
    image.write_bytes(image.read_bytes()[:8])


def claim_too_much(image: Path) -> None:
    """A small file whose header claims 200,000 x 200,000 pixels."""
    import struct

    width, height = 200_000, 200_000
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, 4),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    image.write_bytes(b"II*\0" + struct.pack("<I", 12) + b"\0\0\0\0" + directory + b"\0\0\0\0")


def flip_to_text(image: Path) -> None:
    image.write_text("this is not an image\n" * 100)


def test_spoilt_images_become_rows_each_with_its_reason_and_the_rest_is_kept(screen: Path, tmp_path: Path) -> None:
    images = {well_of(image): image for image in images_of(screen)}
    reasons = {
        truncate: "the file is cut short",
        header_only: "is a header alone",
        claim_too_much: "declares 1 x 200000 x 200000 pixels",
        flip_to_text: "not a TIFF",
        Path.unlink: "no image of channel",
    }
    spoilt = dict(zip(sorted(images)[2:22:4], reasons, strict=True))
    for well, spoil in spoilt.items():
        spoil(images[well])

    ended = run(screen)

    assert ended.code == 3, ended.err
    failed = {row["well"]: row["reason"] for row in failed_sites(tmp_path / "store" / "catalog.sqlite")}
    assert sorted(failed) == sorted(spoilt)
    assert all(reasons[spoil] in failed[well] for well, spoil in spoilt.items()), failed
    sites = pl.read_csv(tmp_path / "store" / "out" / "sites.csv")
    assert sites.filter(pl.col("status") == "ok").height == sites.height - len(spoilt)


def test_a_channel_missing_on_a_whole_plate_is_said(screen: Path, tmp_path: Path) -> None:
    for image in images_of(screen):
        if "-ch4" in image.name:
            image.unlink()
    kinds = {item["kind"] for item in json.loads(hcs("check", screen, "--format", "json").out)["findings"]}

    ended = run(screen)

    assert kinds & {"missing_channel", "missing_file", "missing_site"}
    assert ended.code == 4
    assert "Traceback" not in ended.err


def test_an_unknown_encoder_offers_the_nearest_names(screen: Path) -> None:
    ended = run(with_settings(screen, encoders=["mobilenetv3_smal_100.untrained"]))

    assert ended.code == 2
    assert_one_paragraph(ended)
    assert "mobilenetv3_small_100" in ended.err


def test_weights_that_do_not_fit_are_refused(screen: Path, tmp_path: Path) -> None:
    weights = tmp_path / "other.safetensors"
    save_file({"conv_stem.weight": np.zeros((4, 3, 3, 3), np.float32)}, weights)

    ended = run(with_settings(screen, encoders=[{"name": "mobilenetv3_small_100", "weights": str(weights)}]))

    assert ended.code == 4
    assert_one_paragraph(ended)
    assert "other.safetensors" in ended.err


def test_a_pickle_is_refused_as_weights(screen: Path, tmp_path: Path) -> None:
    import pickle

    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(pickle.dumps({"a": 1}))

    ended = run(with_settings(screen, encoders=[{"name": "mobilenetv3_small_100", "weights": str(weights)}]))

    assert ended.code == 4
    assert_one_paragraph(ended)


def test_a_catalog_where_nothing_can_be_written_is_said(screen: Path) -> None:
    ended = run(screen, Path("/proc/nowhere/catalog.sqlite"))

    assert ended.code == 1
    assert_one_paragraph(ended)
    assert "/proc/nowhere" in ended.err


def test_a_catalog_that_is_another_file_is_said(screen: Path, tmp_path: Path) -> None:
    file = tmp_path / "notes.sqlite"
    file.write_text("not a database, but long enough to look at " * 100)

    ended = run(screen, file)

    assert ended.code == 1
    assert_one_paragraph(ended)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("a small disk can be mounted by root alone")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_what_was_good_is_kept(screen: Path, tiny_disk: Path) -> None:
    catalog = tiny_disk / "catalog.sqlite"
    (tiny_disk / "ballast").write_bytes(b"\0" * 4_500_000)

    ended = run(screen, catalog)

    assert ended.code == 1, ended.out
    assert_one_paragraph(ended)
    assert "full" in ended.err or "space" in ended.err
    (tiny_disk / "ballast").unlink()
    again = run(screen, catalog)
    assert again.code == 0, again.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("screen: a\n", "plates"),
        ("screen: a\nplates: [{uri: x, well: 3}]\n", "well"),
        ("screen: a\nplates: [{uri: x}]\npixels: {tile: big}\n", "tile"),
        ("screen: [\n", "SCREEN.yaml"),
        ("", "SCREEN.yaml"),
    ],
)
def test_a_screen_file_that_does_not_say_what_it_must_is_wrong_usage(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "SCREEN.yaml").write_text(text)

    ended = hcs("run", tmp_path / "SCREEN.yaml", "--catalog", tmp_path / "c.sqlite")

    assert ended.code == 2
    assert_one_paragraph(ended)
    assert said in ended.err
    assert not (tmp_path / "c.sqlite").exists()


def test_asking_a_catalog_that_is_not_there_says_what_makes_one(tmp_path: Path) -> None:
    ended = hcs("hits", "--catalog", tmp_path / "none.sqlite")

    assert ended.code == 2
    assert_one_paragraph(ended)
    assert "hcs run" in ended.err
    assert not (tmp_path / "none.sqlite").exists()


def test_an_unknown_option_is_wrong_usage() -> None:
    assert hcs("hits", "--mechanims", "x").code == 2
