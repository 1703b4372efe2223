"""Pixels of one plane or one site, each file read once: hashed, checked and decoded from the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hcs.errors import StorageError, StoreUnavailableError, UnreadableImageError
from hcs.io.readers import Header, reader_of
from hcs.io.storage import channel_key, join, read_bytes, sha256_of_bytes, without_channel
from schemas.work import PlaneRef

Projection = Literal["max", "mean", "none"]
Fetched = bytes | UnreadableImageError
"""The content of a file, or why there is none."""

Each = Callable[[Callable[[str], "_File"], Iterable[str]], Iterable["_File"]]
"""`map`, or what does the same with several threads."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """One grey image: `pixels` (Y, X) in the file's own dtype, with the hash and size of the file."""

    pixels: NDArray[Any]
    sha256: str
    size_bytes: int
    top_of_range: int | float


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One field of view: `pixels` (C, Y, X) in the files' own dtype, in the order of `channels`.

    `witnesses` holds (relative path, size in bytes, SHA-256) of every file read, sorted; `top_of_range` is the highest
    value that a pixel can have.
    """

    pixels: NDArray[Any]
    channels: tuple[str, ...]
    witnesses: list[tuple[str, int, str]]
    top_of_range: int | float


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    """A decoded file, (C, Z, Y, X)."""

    pixels: NDArray[Any]
    header: Header
    sha256: str
    size_bytes: int
    uri: str

    def channel(self, key: str | None) -> NDArray[Any]:
        """Return (Z, Y, X) of one channel."""
        stack: NDArray[Any] = self.pixels[channel_index(self.header, key, name=self.uri)]
        return stack


def channel_index(header: Header, key: str | None, *, name: str) -> int:
    """Return which channel of a file a key means: the name that the file gives it, else its number from 0.

    Raises:
        UnreadableImageError: If the file has no such channel, or there is no key and the file holds several.
    """
    if key is None and header.n_channels == 1:
        return 0
    if key in header.channel_names:
        return header.channel_names.index(key)
    index = int(key) if key is not None and key.isascii() and key.isdecimal() and len(key) < 10 else -1
    if not 0 <= index < header.n_channels:
        held = ", ".join(header.channel_names) or f"0 to {header.n_channels - 1}"
        raise UnreadableImageError(
            f"{name}: expected {'one channel' if key is None else f'a channel {key}'}, the file holds {held}; "
            "leave {channel} out of the pattern and name the file's own channels in `channels`"
        )
    return index


def read_plane(uri: str) -> Plane:
    """Return the one plane of an image file.

    Raises:
        UnreadableImageError: Naming the file and the cause, also where the file holds a stack.
    """
    try:
        content: Fetched = read_bytes(uri)
    except StorageError as error:
        content = UnreadableImageError(str(error))
    file = _decoded(without_channel(uri), content)
    stack = file.channel(channel_key(uri))
    if len(stack) != 1:
        raise UnreadableImageError(f"{uri}: expected one plane, the file holds a stack of {len(stack)}")
    return Plane(stack[0], file.sha256, file.size_bytes, _top_of_range([file], stack))


def files_of_site(planes: Iterable[PlaneRef], *, channels: Sequence[str]) -> dict[str, PlaneRef]:
    """Return the files that the channels of a site lie in, each once: relative path -> a plane of it."""
    wanted = set(channels)
    files: dict[str, PlaneRef] = {}
    for plane in planes:
        if plane.channel in wanted:
            files.setdefault(without_channel(plane.relative_path), plane)
    return files


def fetch_file(root: str, plane: PlaneRef) -> Fetched:
    """Return the content of a plane's file as it was listed, or the reason why it cannot be had.

    Raises:
        StoreUnavailableError: If that is the store's fault and not the file's.
        InputChangedError: If the file is another one than was listed.
    """
    try:
        return read_bytes(join(root, without_channel(plane.relative_path)), witness=plane.witness)
    except StoreUnavailableError:
        raise
    except StorageError as error:
        return UnreadableImageError(str(error))


def read_site(
    root: str,
    planes: Sequence[PlaneRef],
    *,
    channels: Sequence[str],
    projection: Projection,
    fetched: Mapping[str, Fetched] | None = None,
    each: Each = map,
) -> Site:
    """Return one site, read from the planes of its channels.

    The planes of a z stack, in files or pages, become one: their maximum, or their mean rounded to the file's dtype.

    Args:
        root: Folder or URL of the delivery.
        planes: Of one site and one time point; those of other channels are not read.
        channels: Names of the channels wanted, in the order wanted.
        projection: How a stack becomes a plane; `none` refuses one.
        fetched: What `fetch_file` gave for `files_of_site`; None fetches now.
        each: Calls what decodes a file with each of them.

    Raises:
        UnreadableImageError: If a channel is missing, a file cannot be decoded, the planes differ in size or dtype, or
            they are of several time points.
        StoreUnavailableError: If the store cannot be read from.
        InputChangedError: If a file is another one than was listed.
    """
    wanted = {name: _planes_of(name, planes, root) for name in channels}
    _refuse_several_timepoints(planes, root)
    listed = files_of_site(planes, channels=channels)

    def decoded(path: str) -> _File:
        content = fetch_file(root, listed[path]) if fetched is None else fetched[path]
        return _decoded(f"{root.rstrip('/')}/{path}", content)

    files = dict(zip(listed, each(decoded, listed), strict=True))
    projected = []
    for name in channels:
        stacks = [_stack(root, plane, files) for plane in wanted[name]]
        projected.append(_project(stacks, projection, place=f"{root}: channel {name} of {_place(wanted[name][0])}"))
    _refuse_differences(projected, channels, place=f"{root}: {_place(planes[0])}")
    pixels = np.stack(projected)
    paths = sorted({plane.relative_path for stack in wanted.values() for plane in stack})
    read = {path: files[without_channel(path)] for path in paths}
    return Site(
        pixels=pixels,
        channels=tuple(channels),
        witnesses=[(path, file.size_bytes, file.sha256) for path, file in read.items()],
        top_of_range=_top_of_range(read.values(), pixels),
    )


def decode_bytes(data: bytes, *, name: str) -> tuple[Header, NDArray[Any]]:
    """Return the header and the pixels (C, Z, Y, X) of an image file in memory.

    Raises:
        UnreadableImageError: If it is broken or not an image.
        ImplausibleImageError: If it declares far more than it can hold; nothing is decoded then.
    """
    with reader_of(name).open(io.BytesIO(data), name=name, size_bytes=len(data)) as image:
        pixels = image.decode()
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        bad = int(np.count_nonzero(~np.isfinite(pixels)))
        raise UnreadableImageError(f"{name}: expected finite pixels, {bad:,} are NaN or infinite; export it again")
    return image.header, pixels


def _decoded(uri: str, content: Fetched) -> _File:
    if isinstance(content, UnreadableImageError):
        raise content
    header, pixels = decode_bytes(content, name=uri)
    return _File(pixels, header, sha256_of_bytes(content), len(content), uri)


def _planes_of(channel: str, planes: Sequence[PlaneRef], root: str) -> list[PlaneRef]:
    own = sorted(
        (plane for plane in planes if plane.channel == channel), key=lambda plane: (plane.z, plane.relative_path)
    )
    if not own:
        held = ", ".join(sorted({plane.channel for plane in planes})) or "none"
        place = _place(planes[0]) if planes else "the site"
        raise UnreadableImageError(f"{root}: {place} has no image of channel {channel}; it has {held}")
    return own


def _refuse_several_timepoints(planes: Sequence[PlaneRef], root: str) -> None:
    timepoints = sorted({plane.timepoint for plane in planes})
    if len(timepoints) > 1:
        raise UnreadableImageError(
            f"{root}: {_place(planes[0])} has the time points {', '.join(map(str, timepoints))}, expected one; "
            "write one into the pattern instead of {timepoint}"
        )


def _stack(root: str, plane: PlaneRef, files: Mapping[str, _File]) -> NDArray[Any]:
    return files[without_channel(plane.relative_path)].channel(channel_key(plane.relative_path))


def _project(stacks: Sequence[NDArray[Any]], projection: Projection, *, place: str) -> NDArray[Any]:
    """Return (Y, X) of stacks (Z, Y, X)."""
    planes: list[NDArray[Any]] = [plane for stack in stacks for plane in stack]
    if len(planes) == 1:
        return planes[0]
    if projection == "none":
        raise UnreadableImageError(
            f"{place}: expected one plane, got a stack of {len(planes)}; choose `pixels: {{projection: max}}` or mean"
        )
    kinds = {(plane.shape, plane.dtype) for plane in planes}
    if len(kinds) > 1:
        raise UnreadableImageError(f"{place}: expected z planes of one size and dtype, got {_described(kinds)}")
    dtype = planes[0].dtype
    if projection == "max":
        return np.asarray(np.max(planes, axis=0), dtype=dtype)
    mean = np.asarray(np.mean(planes, axis=0, dtype=np.float64))
    return (mean if dtype.kind == "f" else np.rint(mean)).astype(dtype)


def _refuse_differences(planes: Sequence[NDArray[Any]], channels: Sequence[str], *, place: str) -> None:
    kinds = {(plane.shape, plane.dtype) for plane in planes}
    if len(kinds) > 1:
        got = "; ".join(
            f"{name} {plane.shape[1]} x {plane.shape[0]} {plane.dtype}"
            for name, plane in zip(channels, planes, strict=True)
        )
        raise UnreadableImageError(f"{place}: expected channels of one size and dtype, got {got}")


def _top_of_range(files: Iterable[_File], pixels: NDArray[Any]) -> int | float:
    """Return the highest value that a pixel can have: the dtype's, unless every file says it uses fewer bits.

    For real numbers 1.0 where all lie in [0, 1], else the highest there is.
    """
    if pixels.dtype.kind == "f":
        highest = float(pixels.max())
        return 1.0 if pixels.min() >= 0 and highest <= 1 else highest
    tops = {file.header.top for file in files}
    declared = max((top for top in tops if top is not None), default=None)
    if declared is None or None in tops:
        return int(np.iinfo(pixels.dtype).max)
    return declared


def _place(plane: PlaneRef) -> str:
    return f"well {plane.well} site {plane.site}"


def _described(kinds: Iterable[tuple[tuple[int, ...], np.dtype[Any]]]) -> str:
    return ", ".join(sorted(f"{shape[1]} x {shape[0]} {dtype}" for shape, dtype in kinds))
