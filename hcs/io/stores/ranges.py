"""A file behind a store that is read piece by piece, as it is asked for, and no piece twice."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable

PIECE_BYTES = 64 << 10
"""What is fetched at least: a request costs more than these bytes."""
LARGEST_PIECE_BYTES = 8 << 20
WHOLE_BYTES = 4 * PIECE_BYTES
"""A file up to this size is fetched by one request."""

Fetch = Callable[[int, int], bytes]
"""From the first byte up to, and without, the last."""


class RangeReader(io.RawIOBase):
    """A seekable file of a known size; whoever reads on from where it stopped gets pieces that double in size."""

    def __init__(self, fetch: Fetch, *, size_bytes: int) -> None:
        """Fetch nothing yet.

        Args:
            fetch: Returns the bytes of a range, of which none are asked for twice.
            size_bytes: Of the whole file.
        """
        self._fetch = fetch
        self._size = size_bytes
        self._position = 0
        self._starts: list[int] = []
        self._pieces: dict[int, bytes] = {}
        self._next_bytes = PIECE_BYTES

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can seek."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, before or after which nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the stub knows no memoryview alone
        """Fill a buffer from the position on; return how many bytes there were, 0 at the end."""
        if self._position >= self._size or not len(buffer):
            return 0
        start, piece = self._piece_at(self._position, wanted=len(buffer))
        content = piece[self._position - start :][: len(buffer)]
        memoryview(buffer).cast("B")[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _piece_at(self, position: int, *, wanted: int) -> tuple[int, bytes]:
        """Return the piece that holds a position, fetched up to the next one that is there."""
        index = bisect_right(self._starts, position)
        if index and position < self._starts[index - 1] + len(self._pieces[self._starts[index - 1]]):
            return self._starts[index - 1], self._pieces[self._starts[index - 1]]
        follows_on = index > 0 and position == self._starts[index - 1] + len(self._pieces[self._starts[index - 1]])
        self._next_bytes = min(2 * self._next_bytes, LARGEST_PIECE_BYTES) if follows_on else PIECE_BYTES
        length = self._size if self._size <= WHOLE_BYTES else max(self._next_bytes, wanted)
        end = min([position + length, self._size, *self._starts[index : index + 1]])
        if self._size <= WHOLE_BYTES:
            position = 0
        self._pieces[position] = self._fetch(position, end)
        self._starts.insert(index, position)
        return position, self._pieces[position]
