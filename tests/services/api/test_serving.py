"""The process: how it starts and ends, what it loads, and whom it lets in."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from serving import serving

from hcs.catalog import create_key, local_key, open_catalog, revoke_key
from hcs.errors import StorageError, UsageError
from schemas.keys import Scope
from services.api.__main__ import read_options
from services.api.description import TAKING_SCREENS, document
from services.api.serving import is_loopback, open_door, take_port

HEAVY = {"ray", "torch", "timm", "torchvision", "sklearn", "umap", "numba", "skimage", "alembic"}
SECONDS_OF_THE_PROCESSOR = 2.0
WATCHED = """
import json, signal, sys
from pathlib import Path
def tell(*_):
    Path({path!r}).write_text(json.dumps(sorted(sys.modules)))
signal.signal(signal.SIGUSR1, tell)
from services.api.__main__ import main
sys.exit(main())
"""


def ended(*options: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a server that does not come to serve, and return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "hcs.cli", "serve", *map(str, options)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_it_starts_in_less_than_two_seconds(finished):
    with serving(finished.catalog) as server, server.client() as client:
        assert client.get("/readyz").status_code == 200

        assert processor_seconds(server.process.pid) < SECONDS_OF_THE_PROCESSOR


def test_whatever_it_is_asked_it_never_loads_what_computes_embeddings(finished, tmp_path):
    told = tmp_path / "modules.json"
    command = ("-P", "-c", WATCHED.format(path=str(told)))
    values = {"run": "run-1", "barcode": "P1", "well": "A01", "site": "1", "perturbation": "CPD4"}
    with serving(finished.catalog, "--root", finished.folder, command=command) as server:
        with server.client(finished.keys.submit) as client:
            statuses = {}
            for path, item in document()["paths"].items():
                for method in item:
                    body = {"json": finished.submission("loads")} if (path, method) in TAKING_SCREENS else {}
                    needed = [one["name"] for one in item[method].get("parameters", ()) if one.get("required")]
                    body["params"] = {name: "run-1" for name in needed if name not in values}
                    statuses[path, method] = client.request(method, path.format(**values), **body).status_code
        server.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 20
        while not (told.exists() and told.read_text(encoding="utf-8").endswith("]")) and time.monotonic() < deadline:
            time.sleep(0.05)

    refused = {name for name, status in statuses.items() if status >= 400}
    assert refused == {("/v1/runs/{run}", "delete"), ("/v1/runs/{run}/cancel", "post")}
    modules = {name.split(".")[0] for name in re.findall(r'"([^"]+)"', told.read_text(encoding="utf-8"))}
    assert {"fastapi", "sqlalchemy", "PIL"} <= modules
    assert modules & HEAVY == set()


class Halfway:
    """A request of which half has arrived: the server has said that it reads the rest."""

    def __init__(self, server, key):
        self.line = socket.create_connection(server.host_and_port, timeout=30)
        self.line.sendall(
            b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
            + f"Expect: 100-continue\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        )
        assert self.line.recv(100).startswith(b"HTTP/1.1 100 ")
        self.line.sendall(b"{")

    def finish(self):
        self.line.sendall(b"}")
        return self.line.recv(65536)


def test_it_ends_in_ten_seconds_whatever_is_under_way(finished):
    with serving(finished.catalog) as server:
        halfway = Halfway(server, finished.keys.submit)
        began = time.monotonic()

        code = server.end(signal.SIGINT)

        assert time.monotonic() - began < 10
        assert code == 130
        halfway.line.close()


def test_a_request_that_is_under_way_is_answered_before_the_end(finished):
    with serving(finished.catalog) as server:
        halfway = Halfway(server, finished.keys.submit)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)

        answer = halfway.finish()

        assert answer.startswith(b"HTTP/1.1 422 ")
        assert server.process.wait(10) == -signal.SIGTERM
        halfway.line.close()


def test_the_command_becomes_the_server_and_takes_its_options(finished):
    with serving(finished.catalog, "--root", finished.folder, command=("-m", "hcs.cli", "serve")) as server:
        command_line = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().split(b"\0")
        with server.client(finished.keys.read) as client:
            assert client.get("/v1/runs/run-1").status_code == 200

        assert b"services.api" in command_line
        assert str(finished.folder) in "".join(server.lines)


def test_on_a_laptop_the_key_of_the_machine_is_made_at_the_first_start(tmp_path):
    catalog = tmp_path / "new" / "catalog.sqlite"
    with serving(catalog, cwd=tmp_path) as server:
        path = catalog.parent / "api-key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert str(path) in "".join(server.lines)
        with server.client(path.read_text(encoding="ascii").strip()) as client:
            assert client.get("/v1/runs").json()["items"] == []
        assert f"deliveries lie under {tmp_path};" in "".join(server.lines)
        assert server.url.startswith("http://127.0.0.1:")


def test_roots_are_read_from_the_environment_and_an_option_beats_it(monkeypatch):
    assert read_options([]).roots == (".",)
    monkeypatch.setenv("HCS_ROOTS", "/data, s3://bucket/screens")
    assert read_options([]).roots == ("/data", "s3://bucket/screens")
    assert read_options(["--root", "/a", "--root=/b"]).roots == ("/a", "/b")


def test_others_are_let_near_only_when_somebody_made_keys(tmp_path):
    catalog = tmp_path / "catalog.sqlite"
    with open_catalog(str(catalog)) as store:
        local_key(store)  # for who works on this machine, and for nobody else
        create_key(store, name="short", scopes=[Scope.READ], expires_in=timedelta(milliseconds=1))
        gone, _ = create_key(store, name="gone", scopes=[Scope.READ])
        revoke_key(store, gone.prefix)
        time.sleep(0.01)
        with pytest.raises(UsageError, match="hcs keys create"):
            open_door(store, is_local=False, host="10.0.0.1")

    refused = ended("--host", "0.0.0.0", "--port", 0, "--catalog", catalog)  # noqa: S104

    assert refused.returncode == 2
    assert "hcs keys create" in refused.stderr


def test_others_are_let_near_when_there_is_a_key(tmp_path):
    catalog = tmp_path / "catalog.sqlite"
    with open_catalog(str(catalog)) as store:
        _, secret = create_key(store, name="lims", scopes=[Scope.READ])
    with serving(catalog, "--host", "0.0.0.0", cwd=tmp_path) as server:  # noqa: S104
        port = server.host_and_port[1]
        server.url = f"http://127.0.0.1:{port}"
        with server.client(secret) as client:
            assert client.get("/v1/runs").status_code == 200
        assert not (tmp_path / "api-key").exists()


LOCAL = ("127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost")
OPEN = ("0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "", "::ffff:10.0.0.1", "example.org")  # noqa: S104


def test_only_loopback_is_for_this_machine_alone():
    assert [host for host in (*LOCAL, *OPEN) if is_loopback(host)] == list(LOCAL)


def test_a_taken_port_is_told_in_one_paragraph(finished):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = ended("--port", taken.getsockname()[1], "--catalog", finished.catalog)

    assert refused.returncode == 1
    assert refused.stderr.startswith("error: port ")
    assert len(refused.stderr.splitlines()) == 1


def test_what_cannot_be_served_is_told_in_one_paragraph(tmp_path):
    refused = ended("--catalog", tmp_path / "catalog.sqlite", "--root", "http://example.org")

    assert refused.returncode == 2
    assert refused.stderr.startswith("error: a root is")
    with pytest.raises(UsageError, match="port"):
        read_options(["--port", "70000"])


def test_a_host_that_there_is_not_is_told_apart_from_a_taken_port():
    with pytest.raises(StorageError, match="an address of this machine is expected as --host, but 'no such host'"):
        take_port("no such host", 0)


def test_a_root_that_is_not_there_is_noted_and_served(tmp_path):
    with serving(tmp_path / "catalog.sqlite", "--root", tmp_path / "mistyped", cwd=tmp_path) as server:
        assert server.lines[0].startswith(f"note: the root {tmp_path / 'mistyped'} is no folder now")
