"""Looking at a delivery: what cannot be listed is told of, and nothing that computes embeddings is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest
from plates import deliver, plate_images

from hcs.errors import DeliveryError
from hcs.pipeline.examination import examine_screen
from schemas.screen import PlateEntry, ScreenConfig

PATTERN = "{well}-{channel}.tif"


def screen_of(*folders):
    return ScreenConfig(screen="s", plates=tuple(PlateEntry(uri=str(folder)) for folder in folders), pattern=PATTERN)


def test_a_plate_that_cannot_be_listed_has_its_reason_and_the_others_their_reports(tmp_path):
    deliver(tmp_path / "P", plate_images())

    examined, _ = examine_screen(screen_of(tmp_path / "none", tmp_path / "P"))

    assert [plate.is_accepted for plate in examined] == [False, True]
    assert "none" in (examined[0].reason or "")
    assert examined[1].report is not None


def test_the_only_plate_that_cannot_be_listed_is_refused_unless_it_is_to_be_told_of(tmp_path):
    with pytest.raises(DeliveryError, match="none"):
        examine_screen(screen_of(tmp_path / "none"))

    ((plate,), wells) = examine_screen(screen_of(tmp_path / "none"), refuses_alone=False)

    assert (plate.report, plate.is_accepted, wells.is_empty()) == (None, False, True)
    assert str(tmp_path / "none") in (plate.reason or "")


def test_no_engine_is_loaded_for_it():
    code = "import sys, hcs.pipeline.examination; print(sorted({'torch', 'timm', 'ray', 'sklearn'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said.strip() == "[]"
