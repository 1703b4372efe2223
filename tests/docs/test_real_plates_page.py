"""The page about real plates, typed as somebody would who has their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import DOCS, Reader
from wheels import REPOSITORY


@pytest.mark.parametrize(
    ("until", "n_steps"),
    [
        pytest.param("## Are the packaged encoders any good on it?", 6, marks=pytest.mark.slow, id="runs"),
        pytest.param(None, 8, marks=pytest.mark.long, id="whole"),
    ],
)
def test_run_real_plates_is_true(
    until: str | None, n_steps: int, tmp_path: Path, real_data: Path, real_weights: Path
) -> None:
    weights = real_weights / "tf_mobilenetv3_large_minimal_100.safetensors"
    for name, place in {"DATA": real_data, "examples": REPOSITORY / "examples", weights.name: weights}.items():
        (tmp_path / name).symlink_to(place)
    page = (DOCS / "how-to" / "run-real-plates.md").read_text(encoding="utf-8")
    if until is not None:
        assert page.count(f"{until}\n") == 1
        page = page[: page.index(until)]
    reading = Reader(tmp_path)

    try:
        assert reading.read(page) == n_steps
    finally:
        reading.end()

    assert (tmp_path / "OUT" / "imagehts" / "platemap.csv").is_file()
