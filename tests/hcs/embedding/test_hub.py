from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from hcs.embedding.hub import download_weights, find_in_hub_cache, weights_url
from hcs.embedding.weights import check_safetensors
from hcs.errors import StorageError, WeightsError

REPOSITORY = "timm/small.ours"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Leave stderr alone."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A hub on this machine, and the folder that it serves."""
    folder = tmp_path / "hub"
    folder.mkdir()
    with HTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def publish(folder: Path, content: bytes) -> None:
    file = folder / REPOSITORY / "resolve" / "main" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)


def test_the_hub_keeps_weights_where_timm_looks_for_them() -> None:
    url = weights_url("timm/pvt_v2_b0.in1k")

    assert url == "https://huggingface.co/timm/pvt_v2_b0.in1k/resolve/main/model.safetensors"


def test_a_download_arrives_whole(hub: tuple[str, Path], weights_file: Path, tmp_path: Path) -> None:
    address, folder = hub
    publish(folder, weights_file.read_bytes())
    target = tmp_path / "new" / "small.safetensors"

    download_weights(REPOSITORY, target, check=check_safetensors, hub=address)

    assert target.read_bytes() == weights_file.read_bytes()
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("content", [b"", b"<html>please log in</html>", "cut off"])
def test_a_download_that_is_not_weights_leaves_nothing_behind(
    hub: tuple[str, Path], weights_file: Path, tmp_path: Path, content: bytes | str
) -> None:
    address, folder = hub
    publish(folder, content if isinstance(content, bytes) else weights_file.read_bytes()[:-1000])
    target = tmp_path / "new" / "small.safetensors"

    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        download_weights(REPOSITORY, target, check=check_safetensors, hub=address)

    assert list(target.parent.iterdir()) == []


def test_a_file_that_the_hub_does_not_hold_is_said(hub: tuple[str, Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"timm/small\.ours.*could not be downloaded.*404"):
        download_weights(REPOSITORY, tmp_path / "x.safetensors", check=check_safetensors, hub=hub[0])


def test_a_hub_that_cannot_be_reached_is_said(hub: tuple[str, Path], tmp_path: Path) -> None:
    closed = HTTPServer(("127.0.0.1", 0), QuietHandler)
    closed.server_close()

    with pytest.raises(WeightsError, match=r"could not be downloaded \(.*refused"):
        download_weights(
            REPOSITORY,
            tmp_path / "x.safetensors",
            check=check_safetensors,
            hub=f"http://127.0.0.1:{closed.server_port}",
        )


def test_a_cache_that_cannot_be_made_is_said(weights_file: Path) -> None:
    with pytest.raises(StorageError, match="HCS_WEIGHTS_CACHE"):
        download_weights(REPOSITORY, weights_file / "x.safetensors", check=check_safetensors, hub="http://127.0.0.1:1")


def test_the_cache_of_the_hub_is_looked_at(tmp_path: Path, weights_file: Path) -> None:
    repository = tmp_path / "models--timm--small.ours"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    (snapshot / "model.safetensors").symlink_to(weights_file)

    assert find_in_hub_cache(REPOSITORY, cache=tmp_path) == snapshot / "model.safetensors"
    assert find_in_hub_cache("timm/other.ours", cache=tmp_path) is None
