"""A stand-in of the Kubernetes API for tests: a real HTTP server that keeps its rules, and no Kubernetes.

It serves one kind of custom resources. `kube_store` holds the rules of objects and names their sources; here are those
of requests: authentication and RBAC (https://kubernetes.io/docs/reference/access-authn-authz/rbac/), list and watch
(KC), and faults on demand. What it is not: no admission, no controllers (a test plays KubeRay by `store.say`, or
`kuberay` does), no garbage collector, no chunked lists, no etcd, no TLS.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from kube_store import Event, Object, RefusedError, Selector, Store

USER = "system:serviceaccount:hcs:hcs-dispatcher"
EVERYTHING = ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},)


@dataclass
class Fault:
    """What goes wrong with the next `times` requests of a verb.

    `lost` closes the line before anything is done, `unheard` after it was; `silent` keeps it open and says nothing, and
    `mute` does so after it was done; `late` answers after `seconds`; `torn` breaks off in the middle of the answer;
    `garbage` is no JSON; `gone` tells a watch in an ERROR event that its version is too old; else an HTTP `status`,
    with `retry_after`.
    """

    verb: str = "*"
    kind: str = "status"
    status: int = 500
    seconds: float = 0.0
    retry_after: int | None = None
    times: int = 1
    hits: int = 0
    is_done: threading.Event = field(default_factory=threading.Event)
    """Set once a `silent` request came, or a `mute` one was done."""

    def meets(self, verb: str) -> bool:
        return self.times > 0 and self.verb in {"*", verb}


@dataclass(frozen=True)
class Request:
    """One request that came, and the number that answered it (0: none)."""

    verb: str
    name: str
    status: int
    query: Mapping[str, str]


@dataclass
class KubeApi:
    """The server, with what tests turn."""

    store: Store = field(default_factory=Store)
    namespaces: set[str] = field(default_factory=lambda: {"hcs"})
    rules: Sequence[Mapping[str, Any]] = EVERYTHING
    """The `rules` of a Role, which is bound to whoever shows a token in `namespaces`."""
    tokens: set[str] = field(default_factory=lambda: {"first-token"})
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    longest_watch_seconds: float = 60.0
    """The API may end a watch at any time, whatever was asked for (KC)."""
    bookmark_seconds: float = 60.0
    gone_by_status: bool = False
    """Whether a watch from too old a version is refused with 410, or told so in an ERROR event: both happen (KC)."""
    behind_at: int | None = None
    """The last version that watches tell of: one API server of several may be behind the others (KC)."""
    server: ThreadingHTTPServer | None = None
    ending: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_port}"

    def break_next(self, verb: str = "*", kind: str = "status", **options: Any) -> Fault:
        """Have the next requests go wrong."""
        fault = Fault(verb, kind, **options)
        with self._lock:
            self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """Have nothing go wrong any more."""
        with self._lock:
            self.faults.clear()

    def fault_for(self, verb: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.meets(verb):
                    fault.times -= 1
                    fault.hits += 1
                    return fault
        return None

    def note(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def count(self, verb: str, status: int | None = None) -> int:
        """How many requests of a verb came, and were answered with a number."""
        with self._lock:
            return sum(one.verb == verb and status in {None, one.status} for one in self.requests)

    def allows(self, verb: str, resource: str, name: str) -> bool:
        """Whether a rule names the verb; names of objects cannot limit `create`, nor lists (RBAC)."""
        kind = self.store.kind
        for rule in self.rules:
            groups, resources, verbs = rule.get("apiGroups", []), rule.get("resources", []), rule.get("verbs", [])
            names = rule.get("resourceNames") or [name]
            if (
                ({kind.group, "*"} & set(groups))
                and ({resource, "*"} & set(resources))
                and ({verb, "*"} & set(verbs))
                and (name in names and (name or "resourceNames" not in rule))
            ):
                return True
        return False

    def kubeconfig(self, folder: Path, *, namespace: str = "hcs") -> Path:
        """Write a kubeconfig whose token stands in a file of its own, `token`."""
        (folder / "token").write_text(sorted(self.tokens)[0])
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"tokenFile": str(folder / "token")}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": namespace}}],
        }
        file = folder / "kubeconfig.yaml"
        file.write_text(yaml.safe_dump(content))
        return file

    def start(self, port: int = 0) -> None:
        """Listen; again at the same port, as after an outage, where one is given."""
        self.ending.clear()
        self.server = _Server(("127.0.0.1", port), _Handler)
        self.server.kube = self  # type: ignore[attr-defined]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), name="kube-api", daemon=True).start()

    def stop(self) -> int:
        """Be away: nobody listens, and open lines are cut. Returns the port."""
        assert self.server is not None
        port = self.server.server_port
        self.ending.set()
        with self.store.changed:
            self.store.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()
        return port


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    allow_reuse_address = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lines: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.lines.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.lines.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        for line in list(self.lines):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked may be gone by now."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def kube(self) -> KubeApi:
        return self.server.kube  # type: ignore[attr-defined,no-any-return]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815 - names that the library looks for

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(asked.query, keep_blank_values=True).items()}
        place = re.fullmatch(r"/apis/([^/]+)/([^/]+)/namespaces/([^/]+)/([^/]+)(?:/([^/]+))?(?:/(status))?", asked.path)
        name = (place[5] or "") if place else ""
        verb = self._verb(name, query)
        fault = self.kube.fault_for(verb)
        self.fault, self.asked = fault, (verb, name, query)
        if fault is not None and not self._survives(fault):
            return
        try:
            self._authorize(place, verb, name)
            assert place is not None
            if verb == "watch":
                self._watch(place[3], query)
                return
            given = json.loads(body) if body else None
            labels = query.get("labelSelector", "")
            code, said = self._done(verb, place[3], name, given, subresource=place[6] or "", selector=labels)
        except RefusedError as error:
            code, said = error.code, error.status()
        except ValueError as error:
            code, said = 400, RefusedError(400, "BadRequest", f"the body is no JSON: {error}").status()
        if fault is not None and fault.kind in {"unheard", "mute"}:
            if fault.kind == "mute":
                fault.is_done.set()
                self.kube.ending.wait(fault.seconds or 60)
            self._hang_up()
            return
        self._say(code, said)

    def _verb(self, name: str, query: Mapping[str, str]) -> str:
        """RBAC, "Referring to resources": verbs of requests."""
        if self.command == "GET":
            return "get" if name else "watch" if query.get("watch") in {"true", "1"} else "list"
        return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(
            self.command, "delete" if name else "deletecollection"
        )

    def _survives(self, fault: Fault) -> bool:
        match fault.kind:
            case "lost":
                self._hang_up()
            case "silent":
                fault.is_done.set()
                self.kube.ending.wait(fault.seconds or 60)
                self._hang_up()
            case "status":
                reason = {429: "TooManyRequests", 503: "ServiceUnavailable"}.get(fault.status, "InternalError")
                headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                self._say(fault.status, RefusedError(fault.status, reason, "as the test asked for").status(), headers)
            case "late":
                self.kube.ending.wait(fault.seconds)
                return True
            case "garbage":
                self._say_bytes(200, b"<html>a proxy speaks</html>", {})
            case _:
                return True
        return False

    def _authorize(self, place: re.Match[str] | None, verb: str, name: str) -> None:
        kind = self.kube.store.kind
        token = (self.headers.get("Authorization") or "").split(" ")[-1].strip()
        if token not in self.kube.tokens:
            raise RefusedError(401, "Unauthorized", "Unauthorized")
        if place is None or (place[1], place[2], place[4]) != (kind.group, kind.version, kind.plural):
            raise RefusedError(404, "NotFound", "the server could not find the requested resource")
        resource = f"{place[4]}/{place[6]}" if place[6] else place[4]
        if place[3] not in self.kube.namespaces or not self.kube.allows(verb, resource, name):
            named = f' "{name}"' if name else ""
            raise RefusedError(
                403,
                "Forbidden",
                f'{kind.name}{named} is forbidden: User "{USER}" cannot {verb} resource "{resource}" in API group '
                f'"{kind.group}" in the namespace "{place[3]}"',
            )

    def _done(
        self, verb: str, namespace: str, name: str, given: Object | None, *, subresource: str, selector: str
    ) -> tuple[int, Object]:
        store = self.kube.store
        match verb:
            case "list":
                return 200, store.list(namespace, selector)
            case "get":
                return 200, store.get(namespace, name)
            case "create":
                return 201, store.create(namespace, given or {})
            case "update":
                return 200, store.replace(namespace, name, given or {}, subresource=subresource)
            case "delete":
                return 200, store.delete(namespace, name, given)
        raise RefusedError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _watch(self, namespace: str, query: Mapping[str, str]) -> None:
        """Changes since a version, one JSON object a line, for a time (KC, "Efficient detection of changes")."""
        store, selector = self.kube.store, Selector(query.get("labelSelector", ""))
        asked = query.get("resourceVersion", "")
        seconds = min(float(query.get("timeoutSeconds") or 1e9), self.kube.longest_watch_seconds)
        give_up = time.monotonic() + seconds
        try:
            if self.fault is not None and self.fault.kind == "gone":
                raise RefusedError(410, "Expired", f"too old resource version: {asked}")
            with store.changed:
                first = [] if asked not in {"", "0"} else store.list(namespace, selector.text)["items"]
                version = store.version if asked in {"", "0"} else int(asked)
                store.since(version)
        except RefusedError as error:
            if error.code == 410 and not self.kube.gone_by_status:
                self._begin_chunks()
                self._line("ERROR", error.status())
                self._end_chunks()
                return
            raise
        self._begin_chunks()
        for item in first:
            self._line("ADDED", item)
        self._follow(namespace, selector, version, give_up, query.get("allowWatchBookmarks") == "true")

    def _follow(self, namespace: str, selector: Selector, version: int, give_up: float, bookmarks: bool) -> None:
        store, kube = self.kube.store, self.kube
        told = time.monotonic()
        while not kube.ending.is_set():
            with store.changed:
                try:
                    events: list[Event] = store.since(version)
                    if not events and (left := give_up - time.monotonic()) > 0:
                        store.changed.wait(min(left, kube.bookmark_seconds, 0.5))
                        events = store.since(version)
                except RefusedError as error:  # compacted while it watched
                    self._line("ERROR", error.status())
                    break
            if kube.behind_at is not None:
                events = [event for event in events if event.version <= kube.behind_at]
            for event in events:
                version = event.version
                seen = event.seen_by(selector) if event.namespace == namespace else None
                if seen is not None:
                    self._line(*seen)
                    if self.fault is not None and self.fault.kind == "torn":
                        self.wfile.write(b'ff\r\n{"type":"MODI')
                        self._hang_up()
                        return
            if bookmarks and time.monotonic() - told >= kube.bookmark_seconds:
                told = time.monotonic()
                kind = store.kind
                empty = {"kind": kind.kind, "apiVersion": f"{kind.group}/{kind.version}"}
                self._line("BOOKMARK", {**empty, "metadata": {"resourceVersion": str(version)}})
            if not events and time.monotonic() >= give_up:
                break
        self._end_chunks()

    def _begin_chunks(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _line(self, kind: str, item: Object) -> None:
        line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")

    def _end_chunks(self) -> None:
        self.wfile.write(b"0\r\n\r\n")
        self._note(200)

    def _say(self, code: int, said: Object, headers: Mapping[str, str] | None = None) -> None:
        self._say_bytes(code, json.dumps(said).encode(), headers or {})

    def _say_bytes(self, code: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._note(code)
        self.send_response(code)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.fault is not None and self.fault.kind == "torn":
            self.wfile.write(body[: len(body) // 2])
            self._cut()
            return
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self._note(0)
        self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _note(self, status: int) -> None:
        verb, name, query = self.asked
        self.kube.note(Request(verb, name, status, query))


@contextmanager
def kube_api(**options: Any) -> Iterator[KubeApi]:
    """Yield a stand-in that listens, and end it."""
    kube = KubeApi(**options)
    kube.start()
    try:
        yield kube
    finally:
        with suppress(OSError):
            kube.stop()


def role_rules(file: Path) -> Sequence[Mapping[str, Any]]:
    """Return the rules of a Role object."""
    return tuple(yaml.safe_load(file.read_text())["rules"])


def rayjob(name: str = "one", **labels: str) -> Object:
    """Return a small RayJob that nobody has created yet."""
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name, "labels": labels},
        "spec": {"entrypoint": "hcs work"},
    }
