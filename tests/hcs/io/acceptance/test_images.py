"""How often the files of a plate are looked at, and how much of them is fetched."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from s3 import Proxy

from hcs.errors import StoreUnavailableError
from hcs.io.acceptance.images import check_images
from hcs.io.layouts import read_delivery
from schemas.screen import ScreenConfig

WELLS = ("A01", "A02", "B01")


def tiff(*channels: int, side: int = 600) -> bytes:
    """A file of several channels, larger than what is fetched whole."""
    stack = np.stack([np.full((side, side), channel, np.uint16) for channel in channels])
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, stack, photometric="minisblack", metadata={"axes": "CYX"}, ome=True)
    return buffer.getvalue()


@pytest.fixture
def config(proxy: Proxy, request: pytest.FixtureRequest) -> ScreenConfig:
    bucket = proxy.make_bucket(request.node.name.split("[")[0].replace("_", "-")[:60].strip("-"))
    for well in WELLS:
        proxy.put(f"{bucket}/P/{well}.ome.tif", tiff(1, 2, 3))
    entry = {"uri": f"{bucket}/P", "pattern": "{well}.ome.tif", "channels": {"0": "DNA", "1": "ER", "2": "Mito"}}
    proxy.clear()
    return ScreenConfig.model_validate({"screen": "s", "plates": [entry]})


@pytest.mark.parametrize("is_decoded", [False, True])
def test_a_file_of_several_channels_is_looked_at_once(proxy: Proxy, config: ScreenConfig, is_decoded: bool) -> None:
    delivery = read_delivery(config.plates[0], config)
    assert delivery.images.height == 3 * len(WELLS)
    proxy.clear()

    checked = check_images(delivery, is_decoded=is_decoded, projection="max", threads=4)

    assert [image.relative_path for image in checked] == sorted(delivery.images["relative_path"])
    assert all(image.header is not None and image.header.width == 600 for image in checked)
    asked = [(item.key, item.range) for item in proxy.requests]
    assert len(set(asked)) == len(asked)
    if is_decoded:
        assert sorted(asked) == [(f"P/{well}.ome.tif", None) for well in WELLS]
    else:
        ends = [int(str(part).rpartition("-")[2]) - int(str(part)[6:].partition("-")[0]) for _, part in asked]
        assert sum(ends) < len(WELLS) * len(tiff(1, 2, 3)) / 4
        assert len(asked) <= 3 * len(WELLS)  # the beginning, the page after it, and the end with its lists


def test_a_store_that_refuses_is_said_at_the_first_image(proxy: Proxy, config: ScreenConfig) -> None:
    delivery = read_delivery(config.plates[0], config)
    proxy.answer("GET", "tif", status=403, code="AccessDenied")

    with pytest.raises(StoreUnavailableError, match="AccessDenied"):
        check_images(delivery, is_decoded=False, projection="max", threads=1)
