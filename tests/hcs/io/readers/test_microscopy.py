from __future__ import annotations

import importlib.util
import io

import numpy as np
import pytest
import tifffile

from hcs.errors import UnreadableImageError
from hcs.io.readers import READERS, is_image_name, reader_of
from hcs.io.readers.microscopy import MicroscopyReader

STACK = np.random.default_rng(0).integers(0, 4000, (2, 3, 16, 24), dtype=np.uint16)
NAMES = ("DNA", "ER")


def ome_tiff(pixels: np.ndarray, axes: str) -> bytes:
    stream = io.BytesIO()
    metadata = {"axes": axes} | ({"Channel": {"Name": list(NAMES)}} if "C" in axes else {})
    tifffile.imwrite(stream, pixels, photometric="minisblack", metadata=metadata, ome=True)
    return stream.getvalue()


@pytest.fixture(params=["bioio", "aicsimageio"])
def reader(request: pytest.FixtureRequest) -> MicroscopyReader:
    """The same suite for both libraries; neither is needed by the platform."""
    pytest.importorskip(request.param, reason=f"the extra {request.param} is not installed")
    if request.param == "bioio":
        pytest.importorskip("bioio_ome_tiff", reason="bioio's plugin for OME-TIFF is not installed")
    return MicroscopyReader(frozenset({".tif"}), library=request.param)


# Both libraries use what newer versions of their own dependencies will drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
class TestLibraries:
    """One contract for bioio and its predecessor."""

    def test_channels_and_z_planes_are_read_with_their_names(self, reader: MicroscopyReader) -> None:
        data = ome_tiff(STACK, "CZYX")

        with reader.open(io.BytesIO(data), name="a.ome.tif", size_bytes=len(data)) as image:
            pixels = image.decode()

        assert image.header.channel_names == NAMES
        assert (image.header.n_channels, image.header.n_planes) == (2, 3)
        assert pixels.dtype == np.uint16
        np.testing.assert_array_equal(pixels, STACK)

    def test_several_time_points_are_refused(self, reader: MicroscopyReader) -> None:
        data = ome_tiff(STACK[0], "TYX")

        with (
            pytest.raises(UnreadableImageError, match="3 time points; export one file a site"),
            reader.open(io.BytesIO(data), name="a.ome.tif", size_bytes=len(data)),
        ):
            pass

    def test_a_broken_file_is_one_clear_error(self, reader: MicroscopyReader) -> None:
        data = b"II*\0nonsense"

        with (
            pytest.raises(UnreadableImageError, match=r"a\.ome\.tif: cannot be decoded"),
            reader.open(io.BytesIO(data), name="a.ome.tif", size_bytes=len(data)),
        ):
            pass


@pytest.mark.parametrize("library", ["bioio", "aicsimageio"])
def test_a_library_that_is_not_installed_names_its_extra(library: str) -> None:
    if importlib.util.find_spec(library) is not None:
        pytest.skip(f"{library} is installed here")

    with (
        pytest.raises(UnreadableImageError, match=rf"pip install 'hcs\[{library}\]'"),
        MicroscopyReader(library=library).open(io.BytesIO(b""), name="a.czi", size_bytes=0),
    ):
        pass


def test_every_ending_has_one_reader() -> None:
    endings = [ending for reader in READERS for ending in reader.endings]

    assert len(endings) == len(set(endings))
    assert isinstance(reader_of("x/A01.CZI"), MicroscopyReader)
    assert is_image_name("x/A01.CZI")
    assert not is_image_name("x/._A01.tif")
    assert not is_image_name("x.tif/readme")
    with pytest.raises(UnreadableImageError, match="ending in"):
        reader_of("a.xlsx")
