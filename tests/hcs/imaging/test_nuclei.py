from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import numpy as np
import pytest
from scipy import ndimage

from hcs.imaging.nuclei import count_nuclei, nuclear_channel, segment_nuclei


def edge_labels(labels):
    return set(np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))) - {0}


@pytest.mark.parametrize(
    ("side", "diameter", "n_nuclei", "n_fields"),
    [(256, 8, 100, 6), (256, 14, 40, 8), (256, 14, 90, 6), (256, 22, 30, 8), (640, 15, 250, 2), (1080, 40, 120, 2)],
)
def test_counts_are_right_to_five_percent(field, side, diameter, n_nuclei, n_fields):
    fields = [field(seed, side=side, diameter=diameter, n_nuclei=n_nuclei) for seed in range(n_fields)]

    errors = [count_nuclei(item.pixels) / item.n_nuclei - 1 for item in fields]

    assert np.mean(np.abs(errors)) <= 0.05, errors


def test_a_known_diameter_gives_the_same_count(field):
    item = field(3, diameter=16)

    assert count_nuclei(item.pixels, diameter=16) == pytest.approx(item.n_nuclei, rel=0.06)


def test_vignetting_and_haze_do_not_change_the_count(field, vignette):
    plain, dimmed = field(6), field(6, illumination=vignette(256))
    hazy = plain.pixels + 0.3 * ndimage.gaussian_filter(plain.pixels.astype(float), 14)

    assert count_nuclei(dimmed.pixels) == pytest.approx(count_nuclei(plain.pixels), rel=0.05)
    assert count_nuclei(hazy) == pytest.approx(count_nuclei(plain.pixels), rel=0.05)


@pytest.mark.parametrize("n_nuclei", [1, 2, 3])
def test_a_few_nuclei_are_found(n_nuclei):
    place = np.arange(256)
    image = np.random.default_rng(0).normal(300, 20, (256, 256))
    for index in range(n_nuclei):
        distance = np.hypot(place[:, None] - 60 * (index + 1), place[None] - 50 * (index + 1))
        image += 1500 * np.clip(8 - distance, 0, 1)

    assert count_nuclei(image) == n_nuclei


@pytest.mark.parametrize("side", [64, 256, 640])
@pytest.mark.parametrize("seed", range(3))
def test_noise_holds_no_nuclei(side, seed):
    rng = np.random.default_rng(seed)

    assert count_nuclei(rng.normal(500, 20, (side, side)).astype(np.uint16)) == 0
    assert count_nuclei(rng.poisson(0.5, (side, side)).astype(np.uint8)) == 0


@pytest.mark.parametrize("sigma", [1, 2, 4, 8])
def test_smooth_noise_holds_no_nuclei(sigma):
    noise = ndimage.gaussian_filter(np.random.default_rng(sigma).standard_normal((256, 256)), sigma)

    assert count_nuclei(1000 + 100 * noise / noise.std()) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_blank_image_holds_no_nuclei(dtype):
    blank = np.full((128, 128), 9, dtype)

    assert count_nuclei(blank) == 0
    assert not segment_nuclei(blank).any()


def test_an_unevenly_lit_blank_image_holds_no_nuclei(vignette):
    light = 1000 * vignette(256)

    assert count_nuclei(np.random.default_rng(0).poisson(light)) == 0
    assert count_nuclei(light) == 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (16, 16), (20, 31)])
def test_tiny_images_are_counted_without_complaint(shape):
    pixels = np.random.default_rng(0).integers(0, 99, shape).astype(np.uint16)

    assert count_nuclei(pixels) == segment_nuclei(pixels).max()


@pytest.mark.parametrize("seed", range(4))
def test_transposing_and_scaling_leave_the_count(field, seed):
    pixels = field(seed).pixels

    assert count_nuclei(pixels.T) == count_nuclei(pixels)
    assert count_nuclei(pixels * np.uint16(4)) == count_nuclei(pixels)
    assert count_nuclei(pixels + 1000.0) == count_nuclei(pixels)


def test_only_nuclei_with_their_centre_inside_are_counted():
    place = np.arange(256)

    def image(row):
        pixels = np.random.default_rng(0).normal(300, 10, (256, 256))
        for centre in (row, 128):
            pixels += 1500 * np.clip(8 - np.hypot(place[:, None] - centre, place[None] - 100), 0, 1)
        return pixels

    assert count_nuclei(image(-4)) == 1
    assert count_nuclei(image(3)) == 2
    assert count_nuclei(image(252)) == 2
    assert count_nuclei(image(259)) == 1


def test_labels_cover_the_nuclei_and_number_them(field):
    item = field(8, n_nuclei=30, diameter=20, touching=0)

    labels = segment_nuclei(item.pixels)

    assert labels.shape == item.pixels.shape
    assert labels.dtype == np.int32
    assert sorted(set(labels.ravel())) == list(range(count_nuclei(item.pixels) + 1))
    bright = ndimage.gaussian_filter(item.pixels.astype(float), 1) > 800
    inner = slice(25, -25)
    overlap = np.count_nonzero((labels > 0)[inner, inner] & bright[inner, inner])
    assert overlap / np.count_nonzero((labels > 0)[inner, inner] | bright[inner, inner]) > 0.75


def test_threads_do_not_change_labels(field):
    images = [field(seed).pixels for seed in range(8)]

    with ThreadPoolExecutor(4) as threads:
        shared = list(threads.map(segment_nuclei, images))

    assert [labels.tobytes() for labels in shared] == [segment_nuclei(image).tobytes() for image in images]


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (("AGP", "DNA", "ER", "Mito", "RNA"), "DNA"),
        (("w2 Phalloidin", "hoechst 33342"), "hoechst 33342"),
        (("Hoechst33342", "GFP"), "Hoechst33342"),
        (("FITC", "dapi_conf"), "dapi_conf"),
        (("FOXO", "DRAQ5"), "DRAQ5"),
        (("H2B-mCherry", "GFP"), "H2B-mCherry"),
        (("nuclei", "cells"), "nuclei"),
        (("RNA", "ER"), None),
        (("mtdnax", "DNAse"), None),
        ((), None),
    ],
)
def test_the_nuclear_channel_is_known_by_its_stain(channels, expected):
    assert nuclear_channel(channels) == expected


def test_the_order_of_channels_does_not_decide_which_is_nuclear():
    assert {nuclear_channel(order) for order in permutations(["DAPI", "H2B", "DNA 2", "DNA 1"])} == {"DNA 1"}


def test_counts_of_a_real_screen_agree_with_the_published_ones(real_data):
    imagecodecs = pytest.importorskip("imagecodecs")
    screen = real_data / "imagehts_sirna" / "submorph"
    with (screen / "data" / "profiles.tab").open(encoding="utf-8") as lines:
        published = {row["uname"]: int(row["n"]) for row in csv.DictReader(lines, delimiter="\t")}
    folders = {"001-01": "PK-10B-pl1", "001-02": "PK-11B-pl1"}

    counted = {}
    for name in published:
        replicate, well = name[:6], name[7:]
        path = screen / "source" / folders[replicate] / f"Well-{well[0]}0{well[1:]}" / "Hoechst.jpeg"
        counted[name] = count_nuclei(imagecodecs.imread(path))

    names = sorted(published)
    ours, theirs = (np.array([counts[name] for name in names], float) for counts in (counted, published))
    assert len(names) == 12
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    assert np.mean(np.abs(ours / theirs - 1)) < 0.06


def test_nuclei_of_a_real_plate_are_of_one_size(real_data):
    tifffile = pytest.importorskip("tifffile")
    for name in ("Channel2-01-A-01.tif", "Channel2-13-B-01.tif"):
        labels = segment_nuclei(tifffile.imread(real_data / "sbs_foxo_plate" / name))

        inside = [label for label in range(1, labels.max() + 1) if label not in edge_labels(labels)]
        areas = np.bincount(labels.ravel())[inside]
        assert 150 < len(inside) < 330
        assert 150 < np.median(areas) < 250
        assert np.percentile(areas, 90) / np.percentile(areas, 10) < 3
