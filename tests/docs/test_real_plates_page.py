"""The page about real plates, typed as somebody would who has their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import DOCS, Reader
from wheels import REPOSITORY


@pytest.mark.slow
def test_run_real_plates_is_true(tmp_path: Path, real_data: Path, real_weights: Path) -> None:
    weights = real_weights / "tf_mobilenetv3_large_minimal_100.safetensors"
    for name, place in {"DATA": real_data, "examples": REPOSITORY / "examples", weights.name: weights}.items():
        (tmp_path / name).symlink_to(place)
    reading = Reader(tmp_path)

    try:
        n_steps = reading.read((DOCS / "how-to" / "run-real-plates.md").read_text(encoding="utf-8"))
    finally:
        reading.end()

    assert n_steps == 8
    assert (tmp_path / "OUT" / "imagehts" / "platemap.csv").is_file()
