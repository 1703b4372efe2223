"""Weights that lie in a store are those of the file, and are fetched once to be described and once to be loaded."""

from __future__ import annotations

import numpy as np
import pytest
from s3 import Proxy

from hcs.embedding.weights import PACKAGED
from hcs.errors import WeightsError
from hcs.pipeline.weights import describe_encoders, load_described
from hcs.settings import Settings
from schemas.screen import EncoderChoice

FILE = PACKAGED / "mobilenetv3_small_100.safetensors"
SETTINGS = Settings(offline=True)


@pytest.fixture
def uri(proxy: Proxy) -> str:
    uri = f"{proxy.make_bucket('weights')}/our own.safetensors"
    proxy.put(uri, FILE.read_bytes())
    proxy.clear()
    return uri


def test_weights_in_a_store_are_those_of_the_file(proxy: Proxy, uri: str) -> None:
    choices = [EncoderChoice(name="mobilenetv3_small_100", weights=place) for place in (uri, str(FILE))]

    there, here = describe_encoders(choices, settings=SETTINGS, is_tried=True)

    assert there.weights_uri == uri
    assert there.weights_sha256 == here.weights_sha256
    assert proxy.kinds() == {"GET": 1}
    planes = np.random.default_rng(0).random((2, 64, 64), dtype=np.float32)
    vectors = [load_described(info, device="cpu").embed(planes, batch_size=2) for info in (there, here)]
    np.testing.assert_array_equal(*vectors)
    assert proxy.kinds() == {"GET": 2}


def test_weights_that_are_gone_or_no_weights_are_said_with_their_address(proxy: Proxy, uri: str) -> None:
    with pytest.raises(WeightsError, match=f"weights were expected at {uri}x"):
        describe_encoders([EncoderChoice(name="mobilenetv3_small_100", weights=f"{uri}x")], settings=SETTINGS)
    proxy.put(uri, b"\x80 a pickle")
    with pytest.raises(WeightsError, match=f"^{uri} is called .safetensors but holds a pickle"):
        describe_encoders([EncoderChoice(name="mobilenetv3_small_100", weights=uri)], settings=SETTINGS)
