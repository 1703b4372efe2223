"""Objects behind a real S3 server, and what is said where it does not do what it was asked."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from s3 import SECRET, Proxy

from hcs.errors import InputChangedError, MissingFileError, StorageError, StoreUnavailableError
from hcs.io.storage import (
    exists,
    join,
    list_files,
    list_names,
    open_read,
    read_bytes,
    reading_once,
    remove,
    sha256_of,
    write_atomically,
)
from hcs.io.stores.s3 import S3Store

IMPATIENT = (0.01, 0.01)


@pytest.fixture
def bucket(proxy: Proxy, request: pytest.FixtureRequest) -> str:
    """A bucket of the test's own."""
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    return proxy.make_bucket(f"b{name}")


@pytest.fixture(autouse=True)
def _counted_from_now_on(bucket: str, proxy: Proxy) -> None:
    proxy.clear()


@pytest.mark.parametrize("key", ["a.bin", "My plate #1+2 = 50%/üé/a?b&c.bin", "%20/a::b.bin", "a//b.bin", "x@y/z.bin"])
def test_what_was_written_is_read_back_whatever_its_name(bucket: str, proxy: Proxy, key: str) -> None:
    uri = f"{bucket}/plates/{key}"

    write_atomically(uri, b"abc")

    assert read_bytes(uri) == b"abc"
    assert sha256_of(uri) == hashlib.sha256(b"abc").hexdigest()
    assert exists(uri)
    assert [file.relative_path for file in list_files(f"{bucket}/plates")] == [key]
    assert proxy.kinds() == {"PUT": 1, "GET": 2, "HEAD": 1, "LIST": 1}


def test_a_file_that_is_removed_is_gone_and_may_be_removed_again(bucket: str) -> None:
    write_atomically(f"{bucket}/a", b"1")

    remove(f"{bucket}/a")
    remove(f"{bucket}/a")

    assert not exists(f"{bucket}/a")
    with pytest.raises(MissingFileError, match="a: No such file or directory; check the path"):
        read_bytes(f"{bucket}/a")


def test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name(bucket: str, proxy: Proxy) -> None:
    for name in ("plate1/a.tif", "plate1/b/c.tif", "plate10/a.tif", "plate1/empty/"):
        proxy.put(f"{bucket}/{name}", b"x")

    assert [file.relative_path for file in list_files(f"{bucket}/plate1/")] == ["a.tif", "b/c.tif"]
    assert list_names(f"{bucket}/plate1") == ("a.tif", "b/", "empty/")
    assert list_names(bucket) == ("plate1/", "plate10/")
    assert exists(f"{bucket}/plate1")
    assert exists(bucket)
    assert not exists(f"{bucket}/plate")
    with pytest.raises(MissingFileError, match="nothing lies under it"):
        list(list_files(f"{bucket}/plate"))


def test_a_listing_is_one_request_a_thousand_objects_and_none_an_object(bucket: str, proxy: Proxy) -> None:
    threads = [Thread(target=_put_many, args=(proxy, bucket, start)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proxy.clear()

    files = list(list_files(f"{bucket}/p"))

    assert len(files) == 1_004
    assert all(file.size_bytes == 1 and (file.witness or "").startswith("etag:") for file in files)
    assert proxy.kinds() == {"LIST": 2}


def _put_many(proxy: Proxy, bucket: str, start: int) -> None:
    client = proxy.client()
    for number in range(start, 1_004, 4):
        client.put_object(Bucket=bucket.removeprefix("s3://"), Key=f"p/{number}", Body=b"1")


def test_opening_a_large_object_fetches_the_ranges_that_are_read_and_none_twice(bucket: str, proxy: Proxy) -> None:
    content = bytes(range(256)) * 8192
    proxy.put(f"{bucket}/large", content)
    proxy.clear()

    with open_read(f"{bucket}/large", size_bytes=len(content)) as stream:
        assert stream.read(4) == content[:4]
        stream.seek(1000)
        assert stream.read(10) == content[1000:1010]
        stream.seek(-100, 2)
        assert stream.read() == content[-100:]
        stream.seek(0)
        assert stream.read(50) == content[:50]

    assert [item.range for item in proxy.requests] == [
        "bytes=0-65535",
        f"bytes={len(content) - 100}-{len(content) - 1}",
    ]


def test_reading_on_fetches_larger_and_larger_pieces(bucket: str, proxy: Proxy) -> None:
    content = bytes(3 << 20)
    proxy.put(f"{bucket}/large", content)
    proxy.clear()

    with open_read(f"{bucket}/large") as stream:
        read = b"".join(iter(lambda: stream.read(10_000), b""))

    assert read == content
    assert proxy.kinds()["GET"] <= 7
    assert proxy.kinds()["HEAD"] == 1


def test_an_object_that_changed_since_it_was_listed_is_not_sent(bucket: str, proxy: Proxy) -> None:
    uri = f"{bucket}/a.tif"
    proxy.put(uri, b"old")
    (listed,) = list_files(bucket)
    assert read_bytes(uri, witness=listed.witness) == b"old"

    proxy.put(uri, b"new")

    with pytest.raises(InputChangedError, match=r"a\.tif as it was when the plate was listed"):
        read_bytes(uri, witness=listed.witness)
    assert read_bytes(uri) == b"new"
    assert read_bytes(uri, witness="mtime:7") == b"new"
    proxy.put(uri, bytes(500_000))
    with (
        pytest.raises(InputChangedError, match="with 3 bytes, but it has 500,000 now"),
        open_read(uri, size_bytes=3) as stream,
    ):
        stream.read()


def test_inside_reading_once_nothing_is_asked_for_twice(bucket: str, proxy: Proxy) -> None:
    proxy.put(f"{bucket}/map.csv", b"1")
    proxy.clear()

    with reading_once():
        for _ in range(3):
            assert read_bytes(f"{bucket}/map.csv") == b"1"
            assert list_names(bucket) == ("map.csv",)
            assert len(list(list_files(bucket))) == 1
            with pytest.raises(MissingFileError):
                read_bytes(f"{bucket}/none.csv")
    read_bytes(f"{bucket}/map.csv")

    assert proxy.counted() == {("GET", "map.csv"): 2, ("GET", "none.csv"): 1, ("LIST", ""): 2}


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests")])
def test_a_store_that_is_busy_for_a_while_is_asked_again(bucket: str, proxy: Proxy, status: int, code: str) -> None:
    proxy.put(f"{bucket}/a", b"abc")
    proxy.answer("GET", "a", status=status, code=code, times=2)
    proxy.answer("PUT", "b", status=status, code=code, times=1)
    proxy.answer("LIST", "", status=status, code=code, times=1)

    assert read_bytes(f"{bucket}/a") == b"abc"
    write_atomically(f"{bucket}/b", b"1")
    assert len(list(list_files(bucket))) == 2


def test_a_store_that_stays_busy_is_no_objects_fault(bucket: str, proxy: Proxy) -> None:
    proxy.answer("GET", "a", status=503, code="SlowDown")

    with pytest.raises(StoreUnavailableError, match=r"too busy \(SlowDown\).*fewer --threads"):
        S3Store(waits=IMPATIENT).read(f"{bucket}/a", witness=None)

    assert proxy.kinds() == {"GET": 3}


def test_a_body_that_is_cut_short_is_fetched_again(bucket: str, proxy: Proxy) -> None:
    proxy.put(f"{bucket}/a", bytes(100_000))
    proxy.answer("GET", "a", cut=10, times=2)

    assert read_bytes(f"{bucket}/a") == bytes(100_000)


def test_a_body_that_stays_short_is_that_objects_fault(bucket: str, proxy: Proxy) -> None:
    proxy.put(f"{bucket}/a", bytes(100_000))
    proxy.answer("GET", "a", cut=10)

    with pytest.raises(StorageError, match="ended its answer too early") as caught:
        S3Store(waits=IMPATIENT).read(f"{bucket}/a", witness=None)

    assert not isinstance(caught.value, StoreUnavailableError)


def answering(content: bytes, status: int, headers: dict[str, str], heard: list[str]) -> ThreadingHTTPServer:
    """A server that is no good store: it answers every GET the same."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture
def bad_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """Make the environment lead to such a server; returned is what it heard."""
    servers: list[ThreadingHTTPServer] = []

    def start(content: bytes, *, status: int = 200, **headers: str) -> list[str]:
        heard: list[str] = []
        servers.append(answering(content, status, {n.replace("_", "-"): v for n, v in headers.items()}, heard))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{servers[-1].server_address[1]}")
        return heard

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("headers", [{}, {"Content_Range": "bytes 50-59/100"}], ids=["no range", "a shorter range"])
def test_a_range_that_is_answered_by_less_is_no_end_of_the_file(bad_store, headers: dict[str, str]) -> None:
    heard = bad_store(b"x" * 10, status=206, **headers)

    with (
        pytest.raises(StorageError, match="ended its answer too early"),
        S3Store(waits=IMPATIENT).open("s3://bucket/a", size_bytes=100) as stream,
    ):
        stream.read()

    assert len(heard) == 3


def test_a_store_that_knows_no_ranges_is_read_all_the_same(bad_store) -> None:
    content = bytes(range(256)) * 4000
    bad_store(content)

    with S3Store(waits=IMPATIENT).open("s3://bucket/a", size_bytes=len(content)) as stream:
        stream.seek(1000)
        assert stream.read(300) == content[1000:1300]


@pytest.mark.parametrize("token", ["", "<NextContinuationToken>same</NextContinuationToken>"], ids=["none", "the same"])
def test_a_listing_that_leads_nowhere_has_an_end(bad_store, token: str) -> None:
    item = "<Contents><Key>p/a</Key><Size>1</Size></Contents>"
    page = f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}{item}</ListBucketResult>"
    heard = bad_store(page.encode())

    with pytest.raises(StorageError, match="more follows and not where"):
        list(S3Store(waits=IMPATIENT).list_files("s3://bucket/p", on_unreadable=lambda folder: None))

    assert len(heard) <= 2


def test_a_put_that_is_refused_leaves_nothing(bucket: str, proxy: Proxy) -> None:
    proxy.answer("PUT", "a", status=403, code="AccessDenied")

    with pytest.raises(
        StoreUnavailableError, match=r"cannot write s3://.*does not let this key do it \(AccessDenied\)"
    ):
        write_atomically(f"{bucket}/a", b"1")

    assert not exists(f"{bucket}/a")


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "AccessDenied"])
def test_a_key_that_is_refused_is_said_at_once_and_never_shown(bucket: str, proxy: Proxy, code: str) -> None:
    proxy.answer("GET", "a", status=403, code=code)
    proxy.answer("LIST", "", status=403, code=code)

    for ask in (lambda: read_bytes(f"{bucket}/a"), lambda: list(list_files(bucket))):
        started = time.monotonic()
        with pytest.raises(StoreUnavailableError, match=code) as caught:
            ask()
        assert time.monotonic() - started < 5  # being patient takes more than ten
        assert SECRET not in str(caught.value)
    assert proxy.kinds() == {"GET": 1, "LIST": 1}


def test_an_archived_object_is_its_own_fault(bucket: str, proxy: Proxy) -> None:
    proxy.answer("GET", "a", status=403, code="InvalidObjectState")

    with pytest.raises(StorageError, match="archive") as caught:
        read_bytes(f"{bucket}/a")

    assert not isinstance(caught.value, StoreUnavailableError)


def test_without_a_key_a_request_is_made_as_public_buckets_allow(
    bucket: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = proxy.client()
    name = bucket.removeprefix("s3://")
    client.put_object(Bucket=name, Key="open", Body=b"1", ACL="public-read")
    client.put_object(Bucket=name, Key="closed", Body=b"1")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    store = S3Store()

    assert store.read(f"{bucket}/open", witness=None) == b"1"
    with pytest.raises(StoreUnavailableError, match=r"no key was found.*AWS_ACCESS_KEY_ID"):
        store.read(f"{bucket}/closed", witness=None)
    store.close()


def test_a_bucket_that_is_not_there_is_said_with_the_address(proxy: Proxy) -> None:
    for ask in (
        lambda: read_bytes("s3://no-such-bucket/a"),
        lambda: list(list_files("s3://no-such-bucket/plate")),
        lambda: write_atomically("s3://no-such-bucket/a", b""),
    ):
        with pytest.raises(MissingFileError, match=f"no bucket 'no-such-bucket' at {proxy.endpoint}"):
            ask()
    assert not exists("s3://no-such-bucket/plate")


@pytest.mark.parametrize("uri", ["s3://", "s3:///a", "s3://a", "s3://b u/c", "s3://../etc"])
def test_what_names_no_bucket_is_refused_without_a_request(proxy: Proxy, uri: str) -> None:
    with pytest.raises(StorageError, match="is no name of a bucket"):
        read_bytes(uri)
    assert not proxy.requests


def test_a_key_inside_an_address_is_refused_and_not_repeated(proxy: Proxy) -> None:
    with pytest.raises(StorageError, match="AWS_SECRET_ACCESS_KEY") as caught:
        read_bytes(f"s3://me:{SECRET}@bucket/a")

    assert SECRET not in str(caught.value)
    assert not proxy.requests


def test_a_store_that_is_not_there_is_said_in_time(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://me:{SECRET}@127.0.0.1:{port}")
    store = S3Store(waits=IMPATIENT)
    started = time.monotonic()

    with pytest.raises(StoreUnavailableError, match=r"does not answer.*AWS_ENDPOINT_URL_S3") as caught:
        store.read(f"{bucket}/a", witness=None)

    assert time.monotonic() - started < 5
    assert SECRET not in str(caught.value)
    store.close()


def test_an_address_that_is_none_is_said(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "minio:9000")

    with pytest.raises(StorageError, match="AWS_ENDPOINT_URL_S3"):
        S3Store().read(f"{bucket}/a", witness=None)


def test_many_threads_share_one_store(bucket: str, proxy: Proxy) -> None:
    write_atomically(f"{bucket}/a", b"abc")
    store = S3Store()
    found: list[bytes] = []
    threads = [Thread(target=lambda: found.append(store.read(f"{bucket}/a", witness=None))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [b"abc"] * 50
    store.close()


def test_without_the_extra_it_is_said_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['botocore'] = None\n"
        "from hcs.io.storage import read_bytes\n"
        "try: read_bytes('s3://bucket/a')\n"
        "except OSError as error: print(error)"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "pip install 'hcs[s3]'" in told


def test_the_extra_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, hcs.io.storage, hcs.pipeline.fetching; print('botocore' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_joining_and_reading_agree_on_odd_names(bucket: str) -> None:
    uri = join(f"{bucket}/My plate #1", "r01c01#1.tif")
    write_atomically(uri, b"1")

    assert read_bytes(f"{uri}#channel=DNA") == b"1"
