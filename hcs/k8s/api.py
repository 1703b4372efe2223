"""The Kubernetes API as far as it is needed: the RayJobs of one namespace are listed, watched, read, created, deleted.

A request is sent once and has a time limit, and so has its answer; who asks decides whether to ask again. No thread is
started.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from urllib3.exceptions import HTTPError

from hcs.errors import HcsError, KubernetesNotAllowedError, KubernetesUnreachableError
from hcs.k8s.answers import REFUSAL_BYTES, refusal
from hcs.k8s.cluster import Cluster
from hcs.k8s.meaning import mapping_in, text_in

GROUP, VERSION, PLURAL = "ray.io", "v1", "rayjobs"
TIMEOUT_SECONDS = 10.0
LARGEST_ANSWER_BYTES = 256 * 1024 * 1024
PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Listing:
    """Objects, and the version of the collection that they are of: changes are watched from there on."""

    items: tuple[Mapping[str, Any], ...]
    version: str


@dataclass(frozen=True)
class Change:
    """`ADDED`, `MODIFIED`, `DELETED`, or a `BOOKMARK` that only says how far the watch is."""

    kind: str
    item: Mapping[str, Any]

    @property
    def version(self) -> str:
        """The version of the collection after it."""
        return text_in(mapping_in(self.item, "metadata"), "resourceVersion")


class RayJobs:
    """The RayJobs of one namespace. Not for several threads."""

    def __init__(self, connect: Callable[[], Cluster], *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Remember how to reach the API; it is reached at the first request.

        Args:
            connect: Finds the API and who we are: again whenever the API does not know us any more, as with a token
                that was exchanged for a newer one.
            timeout_seconds: How long an answer may take, to its last byte.
        """
        self._connect, self._timeout = connect, timeout_seconds
        self._cluster: Cluster | None = None

    @property
    def namespace(self) -> str:
        """The namespace."""
        return self._reached().namespace

    def list(self, *, selector: str) -> Listing:
        """Return those whose labels match, as they are now.

        Raises:
            KubernetesError: If the API refuses, or does not answer.
        """
        answer = self._ask("GET", query={"labelSelector": selector})
        items = answer.get("items")
        found = tuple(item for item in items if isinstance(item, Mapping)) if isinstance(items, list) else ()
        return Listing(found, text_in(mapping_in(answer, "metadata"), "resourceVersion"))

    def changes(self, *, selector: str, since: str, seconds: int) -> Iterator[Change]:
        """Yield what changes from a version on, until `seconds` are over; the API may end it earlier.

        Args:
            selector: Labels.
            since: The version of a listing, or of the last change that was seen.
            seconds: How long, 1 at least.

        Raises:
            KubernetesGoneError: If the API does not remember that version any more.
            KubernetesError: If it refuses, or breaks off.
        """
        query = {
            "labelSelector": selector,
            "watch": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(max(1, seconds)),
            "allowWatchBookmarks": "true",
        }
        asked = f"watch {self._path()}"
        limit = seconds + self._timeout
        with self._answered("GET", self._path(), query=query, seconds=limit) as pieces:
            for line in _lines(pieces):
                event = _parsed(line, asked)
                item = mapping_in(event, "object")
                if text_in(event, "type") == "ERROR":
                    raise refusal(asked, _number(item.get("code")), item)
                yield Change(text_in(event, "type"), item)

    def get(self, name: str) -> Mapping[str, Any]:
        """Return one, as it is now.

        Raises:
            KubernetesNotFoundError: If there is none.
            KubernetesError: If the API refuses, or does not answer.
        """
        return self._ask("GET", name)

    def create(self, rayjob: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create one and return it as the API holds it.

        Raises:
            KubernetesConflictError: If there is one of this name.
            KubernetesQuotaError: If the namespace has no room for it.
            KubernetesUnreachableError: If no answer came: it may have been created.
            KubernetesError: If the API refuses.
        """
        return self._ask("POST", body=rayjob)

    def delete(self, name: str, *, uid: str) -> None:
        """Delete one with what KubeRay has made for it, if it is the one that was meant; one that is gone is none.

        Raises:
            KubernetesConflictError: If another one has this name by now.
            KubernetesError: If the API refuses, or does not answer.
        """
        options = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        self._ask("DELETE", name, body=options)

    def close(self) -> None:
        """Close the connections."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()

    def _path(self, name: str = "") -> str:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/{PLURAL}"
        return f"{path}/{name}" if name else path

    def _reached(self) -> Cluster:
        if self._cluster is None:
            self._cluster = self._connect()
        return self._cluster

    def _ask(
        self,
        method: str,
        name: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        path = self._path(name)
        with self._answered(method, path, query=query, body=body, seconds=self._timeout) as pieces:
            return _parsed(_whole(pieces, path), f"{method} {path}")

    @contextmanager
    def _answered(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        seconds: float,
    ) -> Iterator[Iterator[bytes]]:
        """Yield the body of an answer that is none of refusal, piece by piece.

        What the API does not let in was not done: it is sent again, once, as who we are by now.
        """
        try:
            response = self._sent(method, path, query, body, seconds)
        except KubernetesNotAllowedError as error:
            if not error.is_unknown:
                raise
            self.close()
            response = self._sent(method, path, query, body, seconds)
        with closing(response):
            yield response.pieces()

    def _sent(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        seconds: float,
    ) -> _Response:
        asked = f"{method} {path}"
        give_up = time.monotonic() + seconds
        with _explaining(asked, seconds):
            raw = self._reached().send(method, path, query=query, body=body, timeouts=(self._timeout, seconds))
        response = _Response(raw, asked, seconds, give_up)
        if raw.status < 300:
            return response
        with closing(response):
            said = _whole(response.pieces(), path, limit=REFUSAL_BYTES)
            raise refusal(asked, raw.status, _parsed_or_none(said), retry_after=raw.headers.get("Retry-After"))


@dataclass
class _Response:
    """An answer whose body is read in pieces, until its time is over."""

    raw: Any
    asked: str
    seconds: float
    give_up: float
    is_read: bool = False

    def pieces(self) -> Iterator[bytes]:
        with _explaining(self.asked, self.seconds):
            while piece := self.raw.read1(PIECE_BYTES):
                yield piece
                if time.monotonic() > self.give_up:
                    raise TimeoutError(f"the answer goes on after {self.seconds:.0f} s")
        self.is_read = True

    def close(self) -> None:
        if self.is_read:
            self.raw.release_conn()
        else:
            self.raw.close()


@contextmanager
def _explaining(asked: str, seconds: float) -> Iterator[None]:
    try:
        yield
    except HcsError:
        raise
    except (HTTPError, OSError, ValueError) as error:
        raise KubernetesUnreachableError(
            f"the Kubernetes API did not answer {asked!r} within {seconds:.0f} s, or the line broke "
            f"({type(error).__name__}: {error}). Is it reachable from here (address, DNS, NetworkPolicy)? "
            "It is asked again."
        ) from error


def _whole(pieces: Iterator[bytes], path: str, *, limit: int = LARGEST_ANSWER_BYTES) -> bytes:
    """Return a body; one that is too large is not read to its end."""
    found = bytearray()
    for piece in pieces:
        found += piece
        if len(found) > limit:
            raise KubernetesUnreachableError(
                f"the answer of the Kubernetes API to {path} is larger than {limit} bytes: does another answer there?"
            )
    return bytes(found)


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield whole lines.

    Raises:
        KubernetesUnreachableError: If the last one is cut off, or one does not end.
    """
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from filter(None, lines)
        if len(rest) > LARGEST_ANSWER_BYTES:
            break
    if rest:
        raise KubernetesUnreachableError(
            f"a watch ended in the middle of a line, which begins with {rest[:80]!r}. Is it the Kubernetes API that "
            "answers there, and not a proxy before it? It is asked again."
        )


def _parsed(said: bytes, asked: str) -> Mapping[str, Any]:
    found = _parsed_or_none(said)
    if found is None:
        raise KubernetesUnreachableError(
            f"the answer to {asked!r} is no JSON object: it begins with {said[:80]!r}. Is it the Kubernetes API that "
            "answers there, and not a proxy before it?"
        )
    return found


def _parsed_or_none(said: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):  # the second of brackets within brackets
        return None
    return found if isinstance(found, Mapping) else None


def _number(value: object) -> int:
    return value if isinstance(value, int) else 500
