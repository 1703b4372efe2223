from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hcs

ROOT = Path(hcs.__file__).parent


def in_a_fresh_process(code: str) -> str:
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_timm_is_imported_by_two_threads_at_once_and_after_its_own_import_failed() -> None:
    printed = in_a_fresh_process(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "try:\n"
        "    import timm\n"
        "except RuntimeError as error:\n"
        "    assert 'torchvision::nms' in str(error), error\n"
        "from hcs.embedding.torchvision_operators import import_timm\n"
        "with ThreadPoolExecutor(2) as pool:\n"
        "    one, two = pool.map(lambda _: import_timm(), range(2))\n"
        "print(one is two, one.is_model('pvt_v2_b0'))"
    )

    assert printed == "True True"


def test_timm_makes_a_model_in_a_fresh_process_and_declares_only_what_torchvision_lacks() -> None:
    printed = in_a_fresh_process(
        "import torch\n"
        "from hcs.embedding import torchvision_operators as operators\n"
        "for _ in range(2):\n"
        "    timm = operators.import_timm()\n"
        "timm.create_model('mobilenetv3_small_050', num_classes=0)\n"
        "from torchvision.extension import _has_ops\n"
        "has_none = torch.version.cuda is None and torch.version.hip is None and not _has_ops()\n"
        "print(len(operators._declared) == (1 if has_none else 0))"
    )

    assert printed == "True"


def test_importing_the_package_imports_neither_torch_nor_timm() -> None:
    printed = in_a_fresh_process(
        "import sys, hcs.embedding, hcs.embedding.registry\nprint({'torch', 'timm', 'torchvision'} & set(sys.modules))"
    )

    assert printed == "set()"


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_one_module_alone_imports_what_needs_the_operators(library: str) -> None:
    importers = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == library for name in names):
                importers.add(path.name)

    assert importers == ({"torchvision_operators.py"} if library == "timm" else set())
