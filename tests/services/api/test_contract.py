"""Schemathesis, with all of its checks, asks the server what its committed description allows, and what it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from wheels import REPOSITORY

KNOWN = {
    "path.run": "run-1",
    "path.barcode": "P1",
    "path.well": "A01",
    "path.site": 1,
    "path.perturbation": "CPD4",
    "query.run": "latest",
    "query.profile": "combined",
    "query.other": "run-1",
    "query.other_profile": "named",
}
"""What there is, so that requests get as far as an answer."""


EXAMPLES = int(os.environ.get("HCS_TEST_EXAMPLES", "10"))
"""Requests of each operation in its longest phase: ten are the same every time, and more are others every time."""


def examined(url: str, key: str, folder: Path, *, parameters: dict[str, object]) -> str:
    config = folder / "schemathesis.toml"
    lines = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in parameters.items()]
    config.write_text("\n".join(["[parameters]", *lines]) + "\n", encoding="utf-8")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
        *("run", str(REPOSITORY / "schemas" / "openapi.json"), "--url", url),
        *("-H", f"Authorization: Bearer {key}", "--max-examples", str(EXAMPLES)),
        *(["--generation-deterministic"] if EXAMPLES == 10 else []),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=3000)
    assert ended.returncode == 0, ended.stdout[-10_000:] + ended.stderr[-2_000:]
    return ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [{}, KNOWN], ids=["anything", "what there is"])
def test_the_server_does_what_its_description_says(server, finished, tmp_path, parameters):
    before = len(server.logged())

    said = examined(server.url, finished.keys.submit, tmp_path, parameters=parameters)

    assert "No failures" in said or "passed" in said
    statuses = [line["status"] for line in server.logged()[before:] if line["event"] == "request"]
    assert len(statuses) > 300
    assert {200, 202, 401, 403, 404, 405, 409, 415, 422} <= set(statuses)
    assert max(statuses) < 500
