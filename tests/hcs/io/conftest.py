"""Small deliveries that are made, not mocked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile

MakeFiles = Callable[..., Path]


@pytest.fixture
def make_files(tmp_path: Path) -> MakeFiles:
    """Write a delivery of the layout `files`: `{well}_s{site}_{channel}.tif`, uint16, and return its folder."""

    def make(
        name: str = "P1",
        *,
        wells: Sequence[str] = ("A01", "A02"),
        sites: Sequence[int] = (1, 2),
        channels: Sequence[str] = ("DNA", "ER"),
        shape: tuple[int, int] = (24, 32),
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        rng = np.random.default_rng(0)
        for well in wells:
            for site in sites:
                for channel in channels:
                    pixels = rng.integers(0, 4000, shape, dtype=np.uint16)
                    tifffile.imwrite(folder / f"{well}_s{site}_{channel}.tif", pixels)
        return folder

    return make
