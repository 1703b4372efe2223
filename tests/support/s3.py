"""A real S3 server for tests, and a proxy before it that counts requests and can answer in its place."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread, local
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

KEY, SECRET = "key-of-a-test", "sesame-open"
_SERVE = """
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""


@dataclass
class Store:
    """An S3 server at an address."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What a user's environment says to reach it."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """Return a client of boto3, which is not what the project reads through."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(max_pool_connections=32),
        )

    def make_bucket(self, name: str) -> str:
        """Return the URI of a new bucket."""
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def put(self, uri: str, content: bytes) -> None:
        """Store one object."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.client().put_object(Bucket=bucket, Key=key, Body=content)

    def upload(self, folder: Path, uri: str) -> None:
        """Store every file of a folder under a URI."""
        client = self.client()
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                key = "/".join(part for part in (prefix, path.relative_to(folder).as_posix()) if part)
                client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    def contents(self, uri: str) -> dict[str, bytes]:
        """Return every object under a URI by its key."""
        client = self.client()
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@contextmanager
def s3_server() -> Iterator[Store]:
    """Yield a server in a process of its own, which ends with the context or with this process."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "MOTO_ALLOW_NONEXISTENT_REGION": "true"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Store(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        process.stdout.close()


@dataclass
class Request:
    """What was asked: LIST, GET, HEAD, PUT or DELETE, of which key, and of which bytes."""

    kind: str
    key: str
    range: str | None = None
    started: float = 0.0
    ended: float = 0.0


@dataclass
class Answer:
    """What is answered instead, to how many requests whose kind and key fit; `cut` sends so many bytes less."""

    kind: str
    key: str
    status: int = 200
    code: str = ""
    times: float = float("inf")
    cut: int = 0
    after: int = 0

    def fits(self, request: Request) -> bool:
        """Return whether it is this answer's turn."""
        if self.kind != request.kind or not re.search(self.key, request.key):
            return False
        self.after -= 1
        if self.after >= 0 or self.times <= 0:
            return False
        self.times -= 1
        return True


@dataclass
class Proxy(Store):
    """Stands before a server, counts, and answers in its place where it was told to."""

    requests: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    lock: Any = field(default_factory=Lock)

    def counted(self, *kinds: str) -> Counter[tuple[str, str]]:
        """Return how often each key was asked for, by the kind of request; all kinds where none is named."""
        return Counter((item.kind, item.key) for item in self.requests if not kinds or item.kind in kinds)

    def kinds(self) -> Counter[str]:
        """Return how many requests of each kind came."""
        return Counter(item.kind for item in self.requests)

    def clear(self) -> None:
        """Forget what was asked."""
        self.requests.clear()

    def answer(self, kind: str, key: str, **how: Any) -> None:
        """Answer requests of a kind, whose key a regular expression finds, in the server's place."""
        self.answers.append(Answer(kind, key, **how))

    def chosen(self, request: Request) -> Answer | None:
        """Return what is answered in the server's place."""
        with self.lock:
            return next((answer for answer in self.answers if answer.fits(request)), None)


@contextmanager
def proxy_of(store: Store) -> Iterator[Proxy]:
    """Yield a proxy before a server."""
    target = urlsplit(store.endpoint)
    kept = local()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None: ...

        def _serve(self) -> None:
            started = time.monotonic()
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = _request_of(self.command, self.path, self.headers.get("Range"))
            request.started = started
            with proxy.lock:  # before the answer, so that whoever has it can count
                proxy.requests.append(request)
            own = proxy.chosen(request)
            if own is not None and not own.cut:
                status, headers, content = own.status, {"Content-Type": "application/xml"}, _error(own.code)
            else:
                status, headers, content = _forward(kept, target, self, body)
            cut = own.cut if own is not None else 0
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) - cut])
            if cut:
                self.close_connection = True
            request.ended = time.monotonic()

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve  # noqa: N815 - the names that the library calls

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _request_of(command: str, path: str, asked: str | None) -> Request:
    parts = urlsplit(path)
    query = parse_qs(parts.query, keep_blank_values=True)
    if command == "GET" and "list-type" in query:
        return Request("LIST", query.get("prefix", [""])[0])
    if "uploads" in query or "uploadId" in query:
        return Request("MULTIPART", parts.path)
    return Request(command, unquote(parts.path).lstrip("/").partition("/")[2], asked)


def _forward(kept: Any, target: Any, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
    if not hasattr(kept, "connection"):
        kept.connection = http.client.HTTPConnection(target.hostname, target.port, timeout=60)
    headers = {name: value for name, value in handler.headers.items() if name.lower() not in _HOP}
    kept.connection.request(handler.command, handler.path, body=body or None, headers=headers)
    answer = kept.connection.getresponse()
    content = answer.read()
    own = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
    if handler.command == "HEAD" and (length := answer.getheader("Content-Length")):
        own["Content-Length"] = length
    return answer.status, own, content


_HOP = {"connection", "content-length", "transfer-encoding", "keep-alive", "expect"}


def _error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>told by a test</Message></Error>".encode()
