from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import ChannelMismatchError, InputRejectedError, PixelsError
from hcs.imaging.correct import correct_site, scale_site
from hcs.imaging.survey import PlateSurvey, survey_plate

CHANNELS = ("AGP", "DNA", "ER")


@pytest.fixture(scope="module")
def sites(field, vignette):
    """Ten sites of three channels: lit unevenly, evenly, and constant."""
    lit = vignette(128)
    return [
        np.stack(
            [
                field(seed, side=128, n_nuclei=20, illumination=lit).pixels,
                field(seed + 100, side=128, n_nuclei=20).pixels,
                np.full((128, 128), 200, np.uint16),
            ]
        )
        for seed in range(10)
    ]


@pytest.fixture(scope="module")
def survey(sites):
    return survey_plate(sites, channels=CHANNELS)


def as_bytes(survey: PlateSurvey):
    return {name: array.tobytes() for name, array in survey.to_arrays().items()}, survey.channels, survey.notes


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 999))
def test_the_order_of_the_sites_does_not_matter(sites, survey, seed):
    shuffled = [sites[index] for index in np.random.default_rng(seed).permutation(len(sites))]

    assert as_bytes(survey_plate(shuffled, channels=CHANNELS)) == as_bytes(survey)


def test_the_order_of_real_valued_sites_does_not_matter(sites):
    real = [site / np.float32(3) for site in sites]

    assert as_bytes(survey_plate(real[::-1], channels=CHANNELS)) == as_bytes(survey_plate(real, channels=CHANNELS))


def test_permuting_channels_permutes_the_survey(sites, survey):
    order = [2, 0, 1]

    permuted = survey_plate([site[order] for site in sites], channels=[CHANNELS[index] for index in order])

    assert permuted.illumination.tobytes() == survey.illumination[order].tobytes()
    assert permuted.low.tolist() == survey.low[order].tolist()
    assert permuted.high.tolist() == survey.high[order].tolist()


def test_transposing_the_sites_transposes_the_survey(sites, survey):
    transposed = survey_plate([site.swapaxes(1, 2) for site in sites], channels=CHANNELS)

    np.testing.assert_allclose(transposed.illumination, survey.illumination.swapaxes(1, 2), rtol=1e-4)
    np.testing.assert_allclose(transposed.high, survey.high, rtol=1e-3)


@pytest.mark.parametrize("factor", [2, 8])
def test_scaling_a_plate_by_a_power_of_two_leaves_its_scaled_sites_unchanged(sites, survey, factor):
    brighter = [site * np.uint16(factor) for site in sites]
    other = survey_plate(brighter, channels=CHANNELS)

    for site, bright in zip(sites[:3], brighter, strict=False):
        expected = scale_site(correct_site(site, survey), survey)
        assert scale_site(correct_site(bright, other), other).tobytes() == expected.tobytes()


def test_the_range_is_the_percentiles_of_all_corrected_pixels(sites, survey):
    corrected = np.stack([correct_site(site, survey) for site in sites])

    for channel in (0, 1):
        low, high = np.percentile(corrected[:, channel], [0.1, 99.9])
        assert survey.low[channel] == pytest.approx(low, abs=2)
        assert survey.high[channel] == pytest.approx(high, rel=0.01)


def test_a_constant_channel_is_noted_and_scales_to_zero(sites, survey):
    assert "Channel ER is constant (200) in every surveyed site." in survey.notes
    assert survey.high[2] > survey.low[2]
    assert not scale_site(correct_site(sites[0], survey), survey)[2].any()


def test_a_survey_survives_the_way_through_arrays(survey):
    again = PlateSurvey.from_arrays(survey.to_arrays(), channels=survey.channels, notes=survey.notes)

    assert as_bytes(again) == as_bytes(survey)
    assert again.n_sites == 10


def test_sites_of_another_shape_are_left_out_with_a_note(sites, survey):
    odd = np.ones((3, 64, 64), dtype=np.uint16)

    mixed = survey_plate([odd, *sites, odd], channels=CHANNELS)

    assert mixed.illumination.tobytes() == survey.illumination.tobytes()
    assert mixed.n_sites == 10
    assert (
        "2 of 12 sites are not 128 x 128 pixels like most of the plate and were left out of the survey." in mixed.notes
    )


def test_of_two_shapes_that_are_equally_frequent_the_larger_counts():
    small, large = np.ones((1, 8, 8)), np.ones((1, 9, 8))

    for sites in ([small, large], [large, small]):
        assert survey_plate(sites, channels=["A"]).illumination.shape == (1, 9, 8)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_sites_that_are_not_finite_are_left_out_with_a_note(sites, value):
    broken = sites[0].astype(np.float32)
    broken[1, 5, 5] = value

    survey = survey_plate([*sites, broken], channels=CHANNELS)

    assert survey.n_sites == 10
    assert "1 of 11 sites hold values that are not finite and were left out of the survey." in survey.notes


def test_few_sites_leave_the_illumination_flat_and_say_so(sites):
    survey = survey_plate(sites[:7], channels=CHANNELS)

    assert (survey.illumination == 1).all()
    assert any(note.startswith("Illumination is not corrected: 7 sites") for note in survey.notes)


def test_sites_of_another_pixel_type_are_left_out_and_not_corrected(sites):
    odd = (sites[0] >> 8).astype(np.uint8)

    mixed = survey_plate([odd, *sites], channels=CHANNELS)
    again = PlateSurvey.from_arrays(mixed.to_arrays(), channels=CHANNELS)

    assert mixed.illumination.tobytes() == survey_plate(sites, channels=CHANNELS).illumination.tobytes()
    assert any(note.startswith(f"1 of {len(sites) + 1} sites are not uint16") for note in mixed.notes)
    assert correct_site(sites[0].astype(">u2"), again).tobytes() == correct_site(sites[0], again).tobytes()
    with pytest.raises(PixelsError, match=r"expected with uint16 pixels .* uint8 came"):
        correct_site(odd, again)


def test_one_site_is_enough():
    survey = survey_plate([np.arange(64, dtype=np.uint8).reshape(1, 8, 8)], channels=["A"])

    assert survey.n_sites == 1
    assert survey.high[0] > survey.low[0]


class Reader(Sequence):
    """Reads a site when it is asked for, as from disk."""

    def __init__(self, sites):
        self.sites = sites
        self.n_reads = 0

    def __len__(self):
        return len(self.sites)

    def __getitem__(self, index):
        site = self.sites[index]
        self.n_reads += 1
        return site


def test_sites_can_be_read_one_at_a_time_and_are_taken_twice(sites, survey):
    reader = Reader(sites)

    assert as_bytes(survey_plate(reader, channels=CHANNELS)) == as_bytes(survey)
    assert reader.n_reads == 2 * len(sites)


def test_a_missing_channel_is_refused(sites):
    with pytest.raises(ChannelMismatchError, match=r"expected as 3 channels .* shape \(2, 128, 128\)"):
        survey_plate([sites[0], sites[1][:2]], channels=CHANNELS)


@pytest.mark.parametrize("sites", [[], [np.full((1, 8, 8), np.nan)]])
def test_a_plate_without_a_usable_site_is_refused(sites):
    with pytest.raises(PixelsError, match="at least one readable site") as caught:
        survey_plate(sites, channels=["A"])
    assert isinstance(caught.value, InputRejectedError)


def test_a_survey_of_some_channels_corrects_them_as_all_of_them_do():
    sites = [np.random.default_rng(seed).integers(1, 4000, (3, 40, 50)).astype(np.uint16) for seed in range(9)]
    survey = survey_plate(sites, channels=["AGP", "DNA", "ER"])

    some = survey.only(["ER", "AGP"])

    assert some.channels == ("ER", "AGP")
    np.testing.assert_array_equal(correct_site(sites[0][[2, 0]], some), correct_site(sites[0], survey)[[2, 0]])
    assert some.high.tolist() == survey.high[[2, 0]].tolist()
    with pytest.raises(ChannelMismatchError, match="Mito"):
        survey.only(["DNA", "Mito"])
