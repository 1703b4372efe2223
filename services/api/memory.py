"""Keeps a process that many threads share as small as what it holds."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of glibc's `mallopt`."""

LARGE_BYTES = 1 << 20


def return_large_blocks() -> bool:
    """Have memory of a mebibyte and more returned as soon as it is free; return whether this C library can.

    glibc otherwise raises its threshold with every plane of a picture that is freed, and then keeps such planes in the
    heap of each thread: three pictures at once left a gigabyte behind, and half of it with this.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, LARGE_BYTES))
