"""Fixtures that every suite may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(
            f"real files are looked for in ${variable}, else in {default.name} beside the repository; not there"
        )
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real plates; tests that need it are skipped where it is not."""
    return _folder("HCS_TEST_DATA", REPOSITORY.parent / "shared" / "data")


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """The folder with real encoder weights; tests that need it are skipped where it is not."""
    return _folder("HCS_TEST_WEIGHTS", REPOSITORY.parent / "shared" / "weights")
