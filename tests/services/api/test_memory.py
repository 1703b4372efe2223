"""Memory of pictures goes back as soon as nobody holds them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from services.api.memory import return_large_blocks

CHURN = """
import re, sys, threading
import numpy as np
from services.api.memory import return_large_blocks
if sys.argv[1] == "True":
    return_large_blocks()
def work():
    for size in (4, 8, 16):
        planes = [np.ones(size << 20, dtype=np.uint8) for _ in range(4)]
        kept.append(np.ones(1000))  # lies above them on the heap, and holds it there
        del planes
kept = []
for _ in range(5):
    threads = [threading.Thread(target=work) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def resident_kibibytes(is_used: bool) -> int:
    told = subprocess.run(
        [sys.executable, "-c", CHURN, str(is_used)], capture_output=True, text=True, check=True, timeout=60
    )
    return int(told.stdout)


def test_planes_that_are_freed_leave_the_process():
    if not return_large_blocks():
        pytest.skip("the C library has no mallopt")

    assert resident_kibibytes(True) < resident_kibibytes(False) / 2
