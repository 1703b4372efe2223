"""Every image file looked at: by its header, or decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from hcs.errors import ImplausibleImageError, StorageError, StoreUnavailableError, UnreadableImageError
from hcs.io.acceptance.findings import finding
from hcs.io.layouts import Delivery
from hcs.io.pixels import channel_index, decode_bytes
from hcs.io.readers import Header, reader_of
from hcs.io.storage import channel_key, join, open_read, read_bytes, without_channel
from schemas.acceptance import Finding, FindingKind, Severity


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """One image file: its header, or why it cannot be used."""

    relative_path: str
    header: Header | None
    kind: FindingKind | None = None
    reason: str | None = None


def check_images(delivery: Delivery, *, is_decoded: bool, projection: str, threads: int) -> list[CheckedImage]:
    """Return every delivered image file checked, sorted by path.

    Args:
        delivery: Files that are missing are left out.
        is_decoded: Whether to decode each; else only headers are read, and where the files end.
        projection: `none` makes a stack unusable.
        threads: That read at once; the result does not depend on it.
    """
    present = delivery.images.filter(pl.col("size_bytes").is_not_null())
    paths = dict(sorted(zip(present["relative_path"], present["size_bytes"], strict=True)))
    files: dict[str, list[str]] = {}
    for path in paths:
        files.setdefault(without_channel(path), []).append(path)
    check = partial(_check, delivery.uri, is_decoded=is_decoded, projection=projection)
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        checked = pool.map(check, files, files.values(), [paths[own[0]] for own in files.values()])
        return sorted((image for own in checked for image in own), key=lambda image: image.relative_path)


def _check(
    root: str, file: str, paths: Sequence[str], size_bytes: int, *, is_decoded: bool, projection: str
) -> list[CheckedImage]:
    """Return one file checked, which is looked at once, for each of the planes that are meant inside it."""
    try:
        uri = join(root, file)
        header = decode_bytes(read_bytes(uri), name=uri)[0] if is_decoded else read_header(uri, size_bytes)
    except StoreUnavailableError:
        raise
    except (UnreadableImageError, StorageError) as error:
        return [_refused(path, error, root) for path in paths]
    return [_checked(root, path, header, projection=projection) for path in paths]


def _checked(root: str, path: str, header: Header, *, projection: str) -> CheckedImage:
    uri = join(root, without_channel(path))
    try:
        channel_index(header, channel_key(path), name=uri)
        if header.n_planes > 1 and projection == "none":
            raise UnreadableImageError(
                f"{uri}: expected one plane, got a stack of {header.n_planes}; choose a projection"
            )
    except UnreadableImageError as error:
        return _refused(path, error, root)
    return CheckedImage(path, header)


def _refused(path: str, error: Exception, root: str) -> CheckedImage:
    is_implausible = isinstance(error, ImplausibleImageError)
    kind = FindingKind.IMPLAUSIBLE_IMAGE if is_implausible else FindingKind.UNREADABLE_IMAGE
    return CheckedImage(path, None, kind, _within(str(error), root))


def read_header(uri: str, size_bytes: int) -> Header:
    """Return what an image file says of itself; of an object, only the ranges that say it are fetched.

    Raises:
        UnreadableImageError: If it is broken or not an image.
        StorageError: If it cannot be read.
    """
    with (
        open_read(uri, size_bytes=size_bytes) as stream,
        reader_of(uri).open(stream, name=uri, size_bytes=size_bytes) as image,
    ):
        return image.header


def _within(message: str, root: str) -> str:
    """Return a message with paths as they lie under the root: reports do not depend on where the delivery lies."""
    return message.replace(f"{root.rstrip('/')}/", "")


def image_findings(checked: Sequence[CheckedImage], *, plate: str) -> list[Finding]:
    """Return what is wrong with the files themselves, and which differ from the others of the plate."""
    findings: list[Finding] = []
    for kind, what in (
        (FindingKind.UNREADABLE_IMAGE, "cannot be read"),
        (FindingKind.IMPLAUSIBLE_IMAGE, "declares more than it can hold and is never decoded"),
    ):
        broken = [item.reason or item.relative_path for item in checked if item.kind is kind]
        findings += finding(
            kind,
            Severity.HOLE,
            place=plate,
            things=broken,
            consequence=f"The file {what}; its site fails, the others are embedded. Copy or export it again.",
        )
    findings += _differing(
        checked, FindingKind.SIZE_MISMATCH, lambda header: (header.width, header.height), _as_size, plate=plate
    )
    findings += _differing(checked, FindingKind.PIXEL_TYPE_MISMATCH, lambda header: str(header.dtype), str, plate=plate)
    return findings


def _as_size(size: Any) -> str:
    return f"{size[0]} x {size[1]}"


def _differing(
    checked: Sequence[CheckedImage],
    kind: FindingKind,
    of: Callable[[Header], Hashable],
    described: Callable[[Any], str],
    *,
    plate: str,
) -> tuple[Finding, ...]:
    found = [(item.relative_path, of(item.header)) for item in checked if item.header is not None]
    counts = Counter(value for _, value in found)
    usual = min(counts, key=lambda value: (-counts[value], str(value)), default=None)
    return finding(
        kind,
        Severity.HOLE,
        place=plate,
        things=[f"{path}: {described(value)}" for path, value in found if value != usual],
        consequence=f"Most images of the plate are {described(usual) if found else ''}; a site whose channels differ "
        "fails, and one that differs from the plate cannot share its illumination.",
    )
