"""Objects of S3 and of stores that speak as it does, through botocore: every request is one that was meant.

Credentials, region and address are what botocore finds for every tool: environment, profile, role. Where it finds no
key, requests are not signed, as public buckets allow.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from hcs.errors import HcsError, InputChangedError, MissingFileError, StorageError
from hcs.io.stores.base import OnUnreadable, StoredFile
from hcs.io.stores.patience import WAITS, patiently
from hcs.io.stores.ranges import RangeReader
from hcs.io.uris import shown

if TYPE_CHECKING:
    from botocore.client import BaseClient

T = TypeVar("T")

AT_ONCE = 32
"""Requests of one process at a time: more make no link faster, and every one may hold a file in memory."""
SECONDS_TO_CONNECT = 5.0
SECONDS_TO_ANSWER = 20.0

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


class S3Store:
    """`s3://BUCKET/KEY`. Threads may share it; a process that was forked makes connections of its own."""

    reads_at_once = 16

    def __init__(self, *, waits: Sequence[float] = WAITS) -> None:
        """Connect to nothing yet.

        Args:
            waits: Seconds before each further attempt of a request that may be answered later.
        """
        self.waits = waits
        self._lock = Lock()
        self._clients: dict[int, tuple[BaseClient, bool]] = {}
        self._free = BoundedSemaphore(AT_ONCE)

    def read(self, uri: str, *, witness: str | None) -> bytes:
        """Return an object by one GET; one with another ETag than its witness is not sent."""
        bucket, key = _place(uri)
        tag = (witness or "").removeprefix("etag:") if (witness or "").startswith("etag:") else ""
        options = {"IfMatch": f'"{tag}"'} if tag else {}
        return self._ask(uri, "read", lambda client: _body(client.get_object(Bucket=bucket, Key=key, **options)))

    def open(self, uri: str, *, size_bytes: int | None) -> BinaryIO:
        """Return an object that is fetched by the ranges that are read."""
        bucket, key = _place(uri)
        if size_bytes is None:
            size_bytes = int(self._ask(uri, "read", lambda client: _size(client.head_object(Bucket=bucket, Key=key))))

        def fetch(start: int, end: int) -> bytes:
            wanted = f"bytes={start}-{end - 1}"

            def ask(client: BaseClient) -> bytes:
                answer = client.get_object(Bucket=bucket, Key=key, Range=wanted)
                total = str(answer.get("ContentRange") or "").rpartition("/")[2]
                if total.isdecimal() and int(total) != size_bytes:
                    raise _changed(uri, size_bytes, int(total))
                return _asked_for(_body(answer), start, end, size_bytes=size_bytes)

            return self._ask(uri, "read", ask)

        return cast("BinaryIO", io.BufferedReader(RangeReader(fetch, size_bytes=size_bytes)))

    def exists(self, uri: str) -> bool:
        """Return whether there is an object, or any under it."""
        bucket, key = _place(uri)
        if key and not key.endswith("/"):
            try:
                self._ask(uri, "look for", lambda client: client.head_object(Bucket=bucket, Key=key))
            except MissingFileError:
                pass
            else:
                return True
        try:
            first = self._ask(
                uri, "look for", lambda client: client.list_objects_v2(Bucket=bucket, Prefix=_folder(key), MaxKeys=1)
            )
        except MissingFileError:
            return False
        return bool(first.get("KeyCount"))

    def write(self, uri: str, content: bytes) -> None:
        """Write an object by one PUT, which the store refuses if it did not get all of it."""
        bucket, key = _place(uri)
        digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        self._ask(
            uri, "write", lambda client: client.put_object(Bucket=bucket, Key=key, Body=content, ContentMD5=digest)
        )

    def remove(self, uri: str) -> None:
        """Remove an object; S3 says the same if it is not there."""
        bucket, key = _place(uri)
        self._ask(uri, "remove", lambda client: client.delete_object(Bucket=bucket, Key=key))

    def list_files(self, root: str, *, on_unreadable: OnUnreadable) -> Iterable[StoredFile]:
        """Return every object under a prefix: one request a thousand."""
        prefix = _folder(_place(root)[1])
        found = [item for page in self._pages(root, Prefix=prefix) for item in page.get("Contents", ())]
        if not found:
            raise MissingFileError(
                f"cannot list {shown(root)}: nothing lies under it; check the bucket and the spelling of the prefix"
            )
        return [
            StoredFile(item["Key"].removeprefix(prefix), int(item["Size"]), _witness(item))
            for item in found
            if not item["Key"].endswith("/")
        ]

    def list_names(self, folder: str) -> Iterable[str]:
        """Return the names of what lies directly under a prefix."""
        prefix = _folder(_place(folder)[1])
        names: list[str] = []
        for page in self._pages(folder, Prefix=prefix, Delimiter="/"):
            names += [item["Prefix"].removeprefix(prefix) for item in page.get("CommonPrefixes", ())]
            names += [item["Key"].removeprefix(prefix) for item in page.get("Contents", ())]
        if not names:
            raise MissingFileError(f"cannot list {shown(folder)}: nothing lies under it; check the spelling")
        return [name for name in names if name]

    def close(self) -> None:
        """Close every connection; the next request makes new ones, as the environment says then."""
        with self._lock:
            for client, _ in self._clients.values():
                client.close()
            self._clients.clear()

    def _pages(self, root: str, **options: Any) -> Iterator[dict[str, Any]]:
        bucket, _ = _place(root)
        following: dict[str, Any] = {}
        while True:
            asked = {**options, **following}
            page = self._ask(root, "list", lambda client, asked=asked: client.list_objects_v2(Bucket=bucket, **asked))  # type: ignore[misc]
            yield page
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if not token or token == following.get("ContinuationToken"):
                raise StorageError(
                    f"cannot list {shown(root)}: the store says that more follows and not where; check "
                    "AWS_ENDPOINT_URL_S3: what answers there is no S3 store, or a broken one"
                )
            following = {"ContinuationToken": token}

    def _ask(self, uri: str, verb: str, ask: Callable[[BaseClient], T]) -> T:
        """Return the answer to a request, asked again while the store is busy or the answer is torn."""
        with _explained(uri, verb) as told:
            client, told["is_anonymous"] = self._client()
            told["endpoint"] = client.meta.endpoint_url

            def once() -> T:
                with self._free:
                    return ask(client)

            from hcs.io.stores.s3_answers import is_passing  # noqa: PLC0415 - as below

            return patiently(once, is_passing=is_passing, waits=self.waits)

    def _client(self) -> tuple[BaseClient, bool]:
        """Return this process' client, and whether it asks without a key."""
        with self._lock:
            if os.getpid() not in self._clients:
                self._clients = {os.getpid(): _make_client()}
            return self._clients[os.getpid()]


def _make_client() -> tuple[BaseClient, bool]:
    from botocore import UNSIGNED  # noqa: PLC0415 - an extra, and slow to import
    from botocore.config import Config  # noqa: PLC0415 - as above
    from botocore.session import get_session  # noqa: PLC0415 - as above

    session = get_session()
    is_anonymous = session.get_credentials() is None
    config = Config(
        connect_timeout=SECONDS_TO_CONNECT,
        read_timeout=SECONDS_TO_ANSWER,
        retries={"total_max_attempts": 1},  # `patiently` does, and a torn body too
        max_pool_connections=AT_ONCE,
        request_checksum_calculation="when_required",  # other stores than Amazon's take an MD5 only
        signature_version=UNSIGNED if is_anonymous else None,
    )
    return session.create_client("s3", config=config), is_anonymous


@contextmanager
def _explained(uri: str, verb: str) -> Iterator[dict[str, Any]]:
    """Turn what botocore raises into an error of ours; yields a place for what it should say of the store."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - an extra

    from hcs.io.stores.s3_answers import explain  # noqa: PLC0415 - imports botocore

    told: dict[str, Any] = {"endpoint": "s3://", "is_anonymous": False}
    try:
        yield told
    except HcsError:
        raise
    except (BotoCoreError, ClientError) as error:
        raise explain(error, uri=uri, verb=verb, **told) from error
    except ValueError as error:  # an address that is none
        raise StorageError(
            f"cannot {verb} {shown(uri)}: {shown(str(error))}; check AWS_ENDPOINT_URL_S3 and AWS_DEFAULT_REGION"
        ) from error


def _place(uri: str) -> tuple[str, str]:
    """Return the bucket and the key that a URI names.

    Raises:
        StorageError: If it names no bucket; a key that somebody wrote into it is not repeated.
    """
    bucket, _, key = uri.partition("://")[2].partition("/")
    if "@" in bucket:
        raise StorageError(
            f"expected s3://BUCKET/KEY, got {shown(uri)} with something before an @; keys do not belong into an "
            "address: put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or into a profile"
        )
    if not _BUCKET.fullmatch(bucket):
        raise StorageError(f"expected s3://BUCKET/KEY, got {shown(uri)}: {bucket!r} is no name of a bucket")
    return bucket, key


def _folder(key: str) -> str:
    """Return the prefix of what lies under a key: without the slash, plate1 would hold plate10."""
    return f"{key.rstrip('/')}/" if key else ""


def _body(answer: dict[str, Any]) -> bytes:
    with closing(answer["Body"]) as body:  # its own context hands out the stream below, which checks no length
        return cast("bytes", body.read())


def _asked_for(content: bytes, start: int, end: int, *, size_bytes: int) -> bytes:
    """Return the bytes of a range from an answer, which is all of the object where a store knows no ranges.

    Raises:
        IncompleteReadError: If they are not there, though the answer is as long as it said: asked again, they may be.
    """
    from botocore.exceptions import IncompleteReadError  # noqa: PLC0415 - an extra

    if len(content) == end - start:
        return content
    if len(content) == size_bytes:
        return content[start:end]
    raise IncompleteReadError(actual_bytes=len(content), expected_bytes=end - start)


def _size(answer: dict[str, Any]) -> int:
    return int(answer["ContentLength"])


def _witness(item: dict[str, Any]) -> str | None:
    tag = str(item.get("ETag") or "").strip('"')
    return f"etag:{tag}" if tag else None


def _changed(uri: str, expected: int, got: int) -> InputChangedError:
    return InputChangedError(
        f"expected {shown(uri)} as it was when the plate was listed, with {expected:,} bytes, but it has {got:,} now; "
        "give the same command again when nobody writes there any more: what is done stays done"
    )
