"""timm, importable beside a CPU-only torch.

timm imports torchvision, whose ordinary wheel is built for CUDA: beside a CPU-only torch its compiled library cannot
load, and its own import ends in `RuntimeError: operator torchvision::nms does not exist`. Embedding needs none of these
operators, so their schemas are declared here, without kernels, and the import succeeds. Where torch has CUDA or ROCm,
or where the compiled library loads, nothing is declared.

Every import of timm goes through `import_timm`, so that this holds in every process.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from threading import Lock
from types import ModuleType

import torch

SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
OPERATORS = ("nms", "qnms")
"""What torchvision's import looks up, both with the same signature."""

_lock = Lock()
_declared: list[torch.library.Library] = []
"""Declarations live as long as their library object does."""


def import_timm() -> ModuleType:
    """Return timm, after declaring what torchvision lacks here."""
    with _lock:
        if torch.version.cuda is None and torch.version.hip is None and not _compiled_operators_load():
            _declare_missing_operators()
        import timm  # noqa: PLC0415  # not before the operators are declared

        return timm


def _compiled_operators_load() -> bool:
    """Return whether torchvision's own library loads, which registers its operators."""
    torchvision = importlib.util.find_spec("torchvision")
    if torchvision is None or torchvision.origin is None:
        return False
    libraries = sorted(Path(torchvision.origin).parent.glob("_C*.so"))
    try:
        for library in libraries:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    except OSError:
        return False
    return bool(libraries)


def _declare_missing_operators() -> None:
    missing = [name for name in OPERATORS if not hasattr(torch.ops.torchvision, name)]
    if missing:
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # as above
        for name in missing:
            library.define(name + SIGNATURE)  # type: ignore[no-untyped-call]  # as above
        _declared.append(library)
