"""Two catalogs that are given one folder of parts: the second is refused, and no file of the first is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml
from commands import digests_of, hcs, with_settings


def test_a_second_catalog_is_refused_the_parts_of_the_first_and_overwrites_nothing(
    screen_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(screen_folder, tmp_path / "screen")
    screen = tmp_path / "screen" / "SCREEN.yaml"
    with_settings(screen, encoders=["named"], plates=yaml.safe_load(screen.read_text())["plates"][:1])
    parts = tmp_path / "parts"
    first = hcs("run", screen, "--catalog", tmp_path / "one.sqlite", "--parts", parts)
    assert first.code == 0, first.err
    before = digests_of(parts)

    second = hcs("run", screen, "--catalog", tmp_path / "two.sqlite", "--parts", parts)

    assert second.code == 2
    assert "Traceback" not in second.err
    for said in ("another catalog", str(parts), str(tmp_path / "two.sqlite"), "--parts"):
        assert said in second.err
    assert digests_of(parts) == before
    assert json.loads(hcs("runs", "--catalog", tmp_path / "two.sqlite", "--format", "json").out) == []
    again = hcs("run", screen, "--catalog", tmp_path / "one.sqlite", "--parts", parts)
    assert "is finished already" in again.out
    assert digests_of(parts) == before
