"""Where somebody who asks from elsewhere may have files read: under roots that the owner of the machine names.

Nothing is asked of any server, and nothing outside the roots is looked at: a place is judged by how it is spelled
first, and only a local one that is inside by its spelling is followed through its links.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from hcs.errors import NotAllowedError, UsageError

S3 = "s3://"
FILE = "file://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CHAIN, _CHANNEL = "::", "#"
"""What fsspec takes for another URL behind the first, and what stands before a channel inside a file."""

_LONGEST = 4096
"""No system opens a longer path; to follow the links of one with a million folders takes minutes."""

_SHOWN = 120


class Roots:
    """The places under which deliveries and what belongs to them may lie."""

    def __init__(self, uris: Iterable[str]) -> None:
        """Read roots.

        Args:
            uris: Folders (relative ones start at the present folder), and `s3://BUCKET` or `s3://BUCKET/PREFIX`.

        Raises:
            UsageError: If one is neither, or there is none.
        """
        self.uris = tuple(dict.fromkeys(map(_root, uris)))
        if not self.uris:
            raise UsageError(
                "at least one root is expected, such as the folder that plates are delivered to; none came"
            )

    def missing(self) -> tuple[str, ...]:
        """Return the local roots that are no folders now: one may have been mistyped, or not be mounted yet."""
        return tuple(uri for uri in self.uris if not uri.startswith(S3) and not os.path.isdir(uri))

    def resolve(self, uri: str) -> str:
        """Return the place that a URI names, links followed, when it lies under a root.

        Raises:
            NotAllowedError: If it does not, is relative, climbs (`..`), or is neither a local path nor `s3://`.
        """
        self._check_spelling(uri, uri)
        if uri.startswith(S3):
            return self._resolve_s3(uri)
        return self._resolve_local(uri)

    def _resolve_s3(self, uri: str) -> str:
        place = uri.removeprefix(S3).rstrip("/")
        bucket, _, key = place.partition("/")
        if not _BUCKET.fullmatch(bucket) or any(part in {"", ".", ".."} for part in key.split("/") if key):
            raise self._refusal(uri, "is no plain s3://BUCKET/KEY")
        found = S3 + place
        if not any(_is_under(found, root) for root in self.uris if root.startswith(S3)):
            raise self._refusal(uri, "lies under none of them")
        return found

    def _resolve_local(self, uri: str) -> str:
        path = _local_path(uri)
        if path is None or not path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise self._refusal(uri, "is relative, climbs out of a folder, or is no local path and no s3://BUCKET/KEY")
        self._check_spelling(path, uri)  # `%23` and `%00` are characters now
        spelled = os.path.normpath("/" + path.lstrip("/"))
        local = [root for root in self.uris if not root.startswith(S3)]
        real = [os.path.realpath(root) for root in local]
        if not any(_is_under(spelled, root) for root in (*local, *real)):
            raise self._refusal(uri, "lies under none of them")
        found = os.path.realpath(spelled)
        if not any(_is_under(found, root) for root in real):
            raise self._refusal(uri, "is a link to a place outside")
        self._check_spelling(found, uri)
        return found

    def _check_spelling(self, place: str, uri: str) -> None:
        """Refuse what who reads takes for another place than the one that was looked at.

        Raises:
            NotAllowedError: With the URI that came.
        """
        if len(place) > _LONGEST:
            raise self._refusal(uri, f"has {len(place):,} characters, more than the {_LONGEST:,} of the longest path")
        if not place.isprintable() or _CHAIN in place or _CHANNEL in place:
            raise self._refusal(uri, "holds characters that no such place needs")

    def _refusal(self, uri: str, why: str) -> NotAllowedError:
        shown = ascii(uri if len(uri) <= _SHOWN else uri[:_SHOWN] + "...")
        return NotAllowedError(
            f"an absolute path or s3:// URI under {' or '.join(self.uris)} is expected, but {shown} {why}; deliver it "
            "there, or have the server started with another --root"
        )


def _root(uri: str) -> str:
    """Return a root as it is compared: absolute, without a slash at its end."""
    if uri.startswith(S3):
        bucket, _, prefix = uri.removeprefix(S3).rstrip("/").partition("/")
        if not _BUCKET.fullmatch(bucket) or any(part in {"", ".", ".."} for part in prefix.split("/") if prefix):
            raise UsageError(f"a root is a folder, s3://BUCKET or s3://BUCKET/PREFIX, but {uri!r} came")
        return S3 + (f"{bucket}/{prefix}" if prefix else bucket)
    path = _local_path(uri)
    if not path or "\0" in path:
        raise UsageError(f"a root is a folder, s3://BUCKET or s3://BUCKET/PREFIX, but {uri!r} came")
    return os.path.abspath(os.path.expanduser(path))


def _local_path(uri: str) -> str | None:
    """Return the path of `file:///PATH` or of a plain path; None if it is another kind of URI."""
    if uri.startswith(FILE):
        parsed = urlsplit(uri)
        return unquote(parsed.path) if parsed.netloc == "" and not parsed.query else None
    return None if "://" in uri else uri


def _is_under(place: str, root: str) -> bool:
    return place == root or place.startswith(root.rstrip("/") + "/")
