"""Keeps what was made last, as long as it fits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Values by key, together no larger than so many bytes: those asked for longest ago go first. Threads share it."""

    def __init__(self, *, bytes_at_most: int) -> None:
        """Begin with nothing."""
        self._at_most, self._size = bytes_at_most, 0
        self._items: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """How much is kept."""
        return self._size

    def find(self, key: Hashable) -> T | None:
        """Return what was put there, if it is still there."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][0]

    def put(self, key: Hashable, value: T, *, size_bytes: int) -> None:
        """Keep a value; one that is larger than everything together may be is not kept."""
        with self._lock:
            _, before = self._items.pop(key, (None, 0))
            self._size -= before
            if size_bytes > self._at_most:
                return
            self._items[key] = (value, size_bytes)
            self._size += size_bytes
            while self._size > self._at_most:
                _, (_, removed) = self._items.popitem(last=False)
                self._size -= removed
