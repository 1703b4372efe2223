from __future__ import annotations

import hashlib
import threading
from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hcs.errors import UnreadableImageError
from hcs.io import pixels as pixels_module
from hcs.io.pixels import read_plane, read_site
from hcs.io.storage import read_bytes
from schemas.work import PlaneRef

SHAPE = (12, 17)
RNG = np.random.default_rng(0)


def plane(seed: int, dtype: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, SHAPE).astype(dtype)


def refs(*paths: str, channels: tuple[str, ...] = ("DNA", "ER"), z: int = 1) -> list[PlaneRef]:
    return [
        PlaneRef(well="A01", site=1, channel=channel, z=z, relative_path=path, size_bytes=1)
        for channel, path in zip(channels, paths, strict=True)
    ]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Two channels of one site."""
    tifffile.imwrite(tmp_path / "d.tif", plane(1))
    tifffile.imwrite(tmp_path / "e.tif", plane(2))
    return tmp_path


def test_a_plane_comes_with_the_hash_of_its_file(site: Path) -> None:
    read = read_plane(str(site / "d.tif"))

    data = (site / "d.tif").read_bytes()
    np.testing.assert_array_equal(read.pixels, plane(1))
    assert (read.sha256, read.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert read.top_of_range == 65535


def test_a_site_has_its_channels_in_the_order_asked_for(site: Path) -> None:
    planes = refs("d.tif", "e.tif")

    there = read_site(str(site), planes, channels=["DNA", "ER"], projection="max")
    back = read_site(str(site), planes[::-1], channels=["ER", "DNA"], projection="max")

    assert there.pixels.dtype == np.uint16
    assert there.channels == ("DNA", "ER")
    np.testing.assert_array_equal(there.pixels, np.stack([plane(1), plane(2)]))
    np.testing.assert_array_equal(back.pixels, there.pixels[::-1])
    assert there.witnesses == back.witnesses
    assert [path for path, _, _ in there.witnesses] == ["d.tif", "e.tif"]
    assert there.witnesses[0][2] == read_plane(str(site / "d.tif")).sha256


def test_only_the_wanted_channels_are_read(site: Path) -> None:
    (site / "e.tif").unlink()

    read = read_site(str(site), refs("d.tif", "e.tif"), channels=["DNA"], projection="max")

    assert read.pixels.shape == (1, *SHAPE)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stack=npst.arrays(np.uint16, st.tuples(st.integers(2, 5), st.just(4), st.just(5))),
    projection=st.sampled_from(["max", "mean"]),
    in_pages=st.booleans(),
)
def test_a_stack_is_projected_whether_it_lies_in_files_or_pages(
    tmp_path: Path, stack: np.ndarray, projection: str, in_pages: bool
) -> None:
    if in_pages:
        tifffile.imwrite(tmp_path / "z.tif", stack, photometric="minisblack")
        planes = refs("z.tif", channels=("DNA",))
    else:
        planes = []
        for z, page in enumerate(stack, start=1):
            tifffile.imwrite(tmp_path / f"z{z}.tif", page)
            planes += refs(f"z{z}.tif", channels=("DNA",), z=z)

    read = read_site(str(tmp_path), planes[::-1], channels=["DNA"], projection=projection)  # type: ignore[arg-type]  # drawn

    expected = stack.max(axis=0) if projection == "max" else np.rint(stack.astype(float).mean(axis=0))
    assert read.pixels.dtype == np.uint16
    np.testing.assert_array_equal(read.pixels[0], expected.astype(np.uint16))


def test_the_mean_of_real_numbers_is_not_rounded(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "z.tif", np.float32([np.zeros((4, 5)), np.full((4, 5), 0.5)]), photometric="minisblack")

    read = read_site(str(tmp_path), refs("z.tif", channels=("DNA",)), channels=["DNA"], projection="mean")

    assert (read.pixels == 0.25).all()
    assert read.pixels.dtype == np.float32


def test_projection_none_refuses_a_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "z.tif", np.zeros((3, 4, 5), np.uint16), photometric="minisblack")

    with pytest.raises(UnreadableImageError, match="a stack of 3; choose"):
        read_site(str(tmp_path), refs("z.tif", channels=("DNA",)), channels=["DNA"], projection="none")
    with pytest.raises(UnreadableImageError, match=r"z\.tif: expected one plane, the file holds a stack of 3"):
        read_plane(str(tmp_path / "z.tif"))


def test_channels_inside_one_file_are_picked_by_their_number_and_the_file_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = np.stack([plane(1), plane(2)])
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata={"axes": "CYX"}, ome=True)
    reads: Counter[str] = Counter()

    def counted(uri: str, *, witness: str | None = None) -> bytes:
        reads[uri] += 1
        return read_bytes(uri, witness=witness)

    monkeypatch.setattr(pixels_module, "read_bytes", counted)
    planes = refs("a.tif#channel=1", "a.tif#channel=0")

    read = read_site(str(tmp_path), planes, channels=["DNA", "ER"], projection="max")

    np.testing.assert_array_equal(read.pixels, stack[::-1])
    assert reads == {f"{tmp_path}/a.tif": 1}
    assert [path for path, _, _ in read.witnesses] == ["a.tif#channel=0", "a.tif#channel=1"]
    np.testing.assert_array_equal(read_plane(f"{tmp_path}/a.tif#channel=1").pixels, plane(2))


@pytest.mark.parametrize("key", ["", "#channel=2", "#channel=DNA", "#channel=-1", "#channel=²"])
def test_a_channel_that_the_file_does_not_hold_is_said(tmp_path: Path, key: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 8, 9), np.uint16), metadata={"axes": "CYX"}, ome=True)

    with pytest.raises(UnreadableImageError, match="the file holds 0 to 1"):
        read_plane(f"{tmp_path}/a.tif{key}")


def test_a_missing_channel_names_the_site_and_what_there_is(site: Path) -> None:
    with pytest.raises(UnreadableImageError, match="well A01 site 1 has no image of channel Mito; it has DNA, ER"):
        read_site(str(site), refs("d.tif", "e.tif"), channels=["DNA", "Mito"], projection="max")


def test_a_missing_file_is_an_unreadable_image(site: Path) -> None:
    (site / "e.tif").unlink()

    with pytest.raises(UnreadableImageError, match=r"e\.tif: No such file"):
        read_site(str(site), refs("d.tif", "e.tif"), channels=["DNA", "ER"], projection="max")


@pytest.mark.parametrize(
    ("other", "said"),
    [(np.zeros((5, 6), np.uint16), "DNA 17 x 12 uint16; ER 6 x 5 uint16"), (plane(2, np.uint8), "ER 17 x 12 uint8")],
)
def test_channels_that_differ_are_refused(site: Path, other: np.ndarray, said: str) -> None:
    tifffile.imwrite(site / "e.tif", other)

    with pytest.raises(UnreadableImageError, match=said):
        read_site(str(site), refs("d.tif", "e.tif"), channels=["DNA", "ER"], projection="max")


def test_several_time_points_are_refused(site: Path) -> None:
    first, second = refs("d.tif", "e.tif")

    with pytest.raises(UnreadableImageError, match="time points 1, 2"):
        read_site(str(site), [first, second.model_copy(update={"timepoint": 2})], channels=["DNA"], projection="max")


def test_pixels_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.float32([[0, np.nan], [np.inf, 1]]))

    with pytest.raises(UnreadableImageError, match="2 are NaN or infinite"):
        read_plane(str(tmp_path / "a.tif"))


@pytest.mark.parametrize(
    ("pixels", "top"),
    [
        (np.uint8([[7]]), 255),
        (np.uint16([[7]]), 65535),
        (np.int16([[7]]), 32767),
        (np.float32([[0.25, 1.0]]), 1.0),
        (np.float32([[0.25, 300.0]]), 300.0),
        (np.float32([[-0.5, 0.5]]), 0.5),
    ],
)
def test_the_top_of_the_range_follows_the_pixels_kind(tmp_path: Path, pixels: np.ndarray, top: float) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels)

    assert read_plane(str(tmp_path / "a.tif")).top_of_range == top


def test_twelve_bits_in_sixteen_count_only_where_every_file_says_so(site: Path) -> None:
    says_so = [(281, 3, 1, 4095, True)]
    tifffile.imwrite(site / "d.tif", plane(1), extratags=says_so)
    one = read_site(str(site), refs("d.tif", "e.tif"), channels=["DNA", "ER"], projection="max")
    tifffile.imwrite(site / "e.tif", plane(2), extratags=says_so)
    both = read_site(str(site), refs("d.tif", "e.tif"), channels=["DNA", "ER"], projection="max")

    assert (one.top_of_range, both.top_of_range) == (65535, 4095)


def test_formats_may_be_mixed_in_a_site(tmp_path: Path) -> None:
    (tmp_path / "d.png").write_bytes(imagecodecs.png_encode(plane(1, np.uint8)))
    tifffile.imwrite(tmp_path / "e.tif", plane(2, np.uint8))

    read = read_site(str(tmp_path), refs("d.png", "e.tif"), channels=["DNA", "ER"], projection="max")

    np.testing.assert_array_equal(read.pixels, np.stack([plane(1, np.uint8), plane(2, np.uint8)]))


def test_threads_that_read_at_once_read_the_same(site: Path) -> None:
    results: list[bytes] = []

    def work() -> None:
        read = read_site(str(site), refs("d.tif", "e.tif"), channels=["DNA", "ER"], projection="max")
        results.append(read.pixels.tobytes())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 8
    assert len(set(results)) == 1
