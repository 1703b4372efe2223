from __future__ import annotations

import subprocess
import sys

HEAVY = {"sqlalchemy", "dataframely", "scipy", "torch", "ray", "pyarrow"}
"""What a command imports when it needs it."""


def test_a_command_starts_without_what_only_others_need() -> None:
    code = "import hcs.cli.main, sys; print(*sys.modules)"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(told.stdout.split()) & HEAVY == set()
