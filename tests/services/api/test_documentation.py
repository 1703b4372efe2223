"""What the documentation tells people to type, typed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from wheels import REPOSITORY

PAGE = (REPOSITORY / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (curl .*)$", PAGE, flags=re.MULTILINE)
HERE = {"BR00117035": "P1"}
"""What is called otherwise in the run of the tests."""


@pytest.fixture
def folder(finished, tmp_path):
    """Where a user types them: the key beside the catalog, and a screen as JSON."""
    (tmp_path / "hcs-data").mkdir()
    (tmp_path / "hcs-data" / "api-key").write_text(finished.keys.admin + "\n", encoding="ascii")
    (tmp_path / "SCREEN.json").write_text(json.dumps(finished.submission("documented")), encoding="utf-8")
    return tmp_path


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_curl_of_the_page_is_answered(server, folder):
    assert len(COMMANDS) >= 8
    (key,) = re.findall(r"^\$ (KEY=.*)$", PAGE, flags=re.MULTILINE)

    for command in COMMANDS:
        typed = command.replace("http://127.0.0.1:8000", server.url)
        for theirs, ours in HERE.items():
            typed = typed.replace(theirs, ours)
        script = f"{key}\n{typed.replace('curl ', 'curl --silent --show-error --fail-with-body --noproxy * ', 1)}"
        ended = subprocess.run(["bash", "-fc", script], capture_output=True, cwd=folder, timeout=60, check=False)
        assert ended.returncode == 0, (typed, ended.stdout, ended.stderr)
        if " -o " not in typed:
            assert json.loads(ended.stdout)

    assert len((folder / "hits.csv").read_text(encoding="utf-8").splitlines()) > 5
    assert {path.name for path in folder.glob("*.webp")} == {"sheet.webp", "B03.webp", "site.webp"}
    assert all(path.read_bytes().startswith(b"RIFF") for path in folder.glob("*.webp"))
