"""The command line as a user has it: in a process of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Finished:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


def hcs(*arguments: object, cwd: Path | None = None, **environment: str) -> Finished:
    """Run the command line in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-m", "hcs.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=500,
        env={**os.environ, **environment},
        check=False,
    )
    return Finished(ended.returncode, ended.stdout, ended.stderr)


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start the command line in a process of its own, without waiting for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "hcs.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def digests_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file under a folder, by its relative path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def with_settings(screen_file: Path, **settings: object) -> Path:
    """Change a SCREEN.yaml in its place."""
    content = yaml.safe_load(screen_file.read_text())
    screen_file.write_text(yaml.safe_dump(content | settings, sort_keys=False))
    return screen_file


def export_digests(catalog: Path, folder: Path) -> dict[str, str]:
    """Export the latest run of a catalog and return the files' digests."""
    ended = hcs("export", "parquet", "latest", folder, "--catalog", catalog)
    assert ended.code == 0, ended.err
    return digests_of(folder)
