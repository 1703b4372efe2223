"""Weights as they come with the project: made of seeded backbones, with a header, a card and a record of hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from hcs.embedding.backbones import create_untrained_backbone

HEADER = {
    "architecture": "mobilenetv3_small_050",
    "licence": "BSD-3-Clause",
    "mean": "0.125",
    "recipe": '{"epochs": 3, "objective": "views"}',
    "std": "0.0625",
    "trained_on": "simulated plates",
}


def trained_state(architecture: str) -> dict[str, torch.Tensor]:
    """Return the state of a backbone with other numbers than seed 0 gives."""
    state = create_untrained_backbone(architecture).state_dict()
    return {name: tensor * 1.25 if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def package(
    folder: Path,
    architecture: str,
    state: Mapping[str, torch.Tensor],
    *,
    header: Mapping[str, str] | None = HEADER,
    card: str | None = None,
) -> Path:
    """Write weights, and their card, into a folder of packaged ones, record their hash, and return their path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{architecture}.safetensors"
    save_file(dict(state), path, metadata=None if header is None else dict(header))
    if card is not None:
        path.with_suffix(".md").write_text(card, encoding="utf-8")
    record(path)
    return path


def record(path: Path, sha256: str | None = None) -> str:
    """Add a line on a file to the record beside it, by default with the hash that the file has; returns the hash."""
    sha256 = sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
    with (path.parent / "SHA256SUMS").open("a", encoding="utf-8") as lines:
        lines.write(f"{sha256}  {path.name}\n")
    return sha256
