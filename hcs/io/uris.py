"""What a path or URL says, without asking anybody: nothing here touches a file or a store."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hcs.errors import StorageError

CHANNEL_MARK = "#channel="
"""What stands between a file and the channel that is meant inside it."""

_SECRETS = re.compile(r"(?<=://)[^/\s@]*@")


def is_remote(uri: str) -> bool:
    """Return whether a URI names something behind a store rather than a local path."""
    scheme, separator, _ = uri.partition("://")
    return bool(separator) and scheme != "file" and "/" not in scheme


def local_path(uri: str) -> Path:
    """Return the path of a local URI (`file://` or plain)."""
    return Path(unquote(urlsplit(uri).path) if uri.startswith("file://") else uri)


def without_channel(uri: str) -> str:
    """Return the file of a URI, without the channel meant inside it."""
    return uri.partition(CHANNEL_MARK)[0]


def channel_key(uri: str) -> str | None:
    """Return which channel inside the file a URI means; None where the file holds one."""
    return uri.partition(CHANNEL_MARK)[2] or None


def join(root_uri: str, relative: str) -> str:
    """Return the URI of something under a root.

    Raises:
        StorageError: If `relative` is absolute or climbs out of the root.
    """
    if relative.startswith(("/", "\\")) or ".." in relative.split("/"):
        raise StorageError(f"expected a path that stays under {shown(root_uri)}, got {relative!r}")
    root = root_uri.rstrip("/") or "/"
    return f"{root}{relative}" if root.endswith("/") else f"{root}/{relative}"


def beside(uri: str, relative: str) -> str:
    """Return what a relative path means in a file behind a store: it starts at the file, and `..` goes up.

    Raises:
        StorageError: If it climbs out of the bucket.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(key), relative))
    if path.startswith(("/", "../")) or path == "..":
        raise StorageError(f"expected a path that stays in {shown(f'{scheme}://{bucket}')}, got {relative!r}")
    return f"{scheme}://{bucket}/{path}"


def shown(text: str) -> str:
    """Return a URI, or a text that holds some, as people may see it: without what stands before an `@`."""
    return _SECRETS.sub("", text)
