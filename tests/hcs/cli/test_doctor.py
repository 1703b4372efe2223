from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from commands import hcs

from hcs.cli.doctor import shared_memory
from hcs.embedding.accelerator import missing_accelerator
from hcs.embedding.weights import packaged_encoders


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the doctor finds here: what was looked at -> its row."""
    ended = hcs("doctor", "--format", "json", cwd=tmp_path_factory.mktemp("consulted"))
    assert ended.code == 0, ended.err
    return {row["what"]: row for row in json.loads(ended.out)["checks"]}


def test_the_doctor_names_the_version_of_every_engine(checks: dict[str, dict[str, Any]]) -> None:
    assert {checks[name]["state"] for name in ("torch", "ray")} == {"ok"}
    assert checks["ray"]["detail"] == metadata.version("ray")


def test_the_doctor_says_which_device_performs_the_units(checks: dict[str, dict[str, Any]]) -> None:
    reason = missing_accelerator()

    if reason is None:
        assert checks["accelerator"]["state"] == "ok"
        assert "sm_" in checks["accelerator"]["detail"]
        assert " on cuda " in checks["engine"]["detail"]
    else:
        assert checks["accelerator"]["state"] == "missing"
        assert checks["accelerator"]["detail"] == f"none, units are performed on the CPU: {reason}"
        assert " on cpu " in checks["engine"]["detail"]


def test_the_doctor_says_which_packaged_weights_are_in_order(checks: dict[str, dict[str, Any]]) -> None:
    row = checks["packaged weights"]

    assert row["state"] == ("ok" if packaged_encoders() else "missing")
    assert all(name in row["detail"] for name in packaged_encoders())


def test_shared_memory_is_as_large_as_the_system_says(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)

    row = shared_memory(tmp_path, needed_mb=0)

    assert row["state"] == "ok"
    free_mb = int(row["detail"].split(" MB free at ")[0])
    assert free_mb == pytest.approx(disk.f_bavail * disk.f_frsize / 1e6, rel=0.1)


def test_too_little_shared_memory_is_said_with_its_remedy(tmp_path: Path) -> None:
    row = shared_memory(tmp_path, needed_mb=10**12)

    assert row["state"] == "missing"
    assert "--shm-size" in row["detail"]


def test_a_system_without_shared_memory_is_told_what_does_not_work(tmp_path: Path) -> None:
    row = shared_memory(tmp_path / "nowhere", needed_mb=1)

    assert row["state"] == "missing"
    assert f"no {tmp_path / 'nowhere'}" in row["detail"]
    assert "Ray does not start" in row["detail"]
