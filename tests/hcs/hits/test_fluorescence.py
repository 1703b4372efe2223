"""Whether a hit shows in one channel alone."""

from __future__ import annotations

import numpy as np
import pytest

from hcs.errors import InputRejectedError
from hcs.hits.explain import say_channels
from hcs.hits.fluorescence import ChannelEffect, channels_by_name, channels_of_effects
from tests.support.hit_pools import pool_of_one

CHANNELS = {name: list(range(12 * i, 12 * i + 12)) for i, name in enumerate(("DNA", "ER", "Mito"))}


def pool(shifts: dict[str, float], *, n_plates: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    plates, is_replicate = np.repeat(np.arange(n_plates), 13), np.tile(np.arange(13) == 0, n_plates)
    profiles = rng.standard_normal((13 * n_plates, 36))
    for channel, shift in shifts.items():
        profiles[np.ix_(is_replicate, CHANNELS[channel])] += shift * rng.standard_normal(12)
    return profiles, plates, is_replicate


def judge(shifts: dict[str, float], *, seed: int = 0, channels: dict[str, list[int]] = CHANNELS) -> ChannelEffect:
    return channels_of_effects(pool_of_one(*pool(shifts, seed=seed)), channels=channels, seed=0)[0]


def test_what_shows_in_one_channel_is_named() -> None:
    found = {(channel, seed): judge({channel: 3.0}, seed=seed) for channel in CHANNELS for seed in range(4)}

    # One in twenty has something elsewhere by chance.
    assert all(effect.channel == channel for (channel, _), effect in found.items())
    assert sum(effect.verdict == "one_channel" for effect in found.values()) >= 10
    for (channel, _), effect in found.items():
        said = say_channels(effect.verdict, channel=effect.channel)
        assert (f"{channel} alone" in said) == (effect.verdict == "one_channel")


def test_what_shows_in_two_channels_is_in_several_though_one_is_much_stronger() -> None:
    found = judge({"DNA": 4.0, "Mito": 1.5})

    assert (found.verdict, found.channel) == ("several_channels", "DNA")
    assert found.p_elsewhere is not None
    assert found.p_elsewhere <= 0.01
    assert "DNA" in say_channels(found.verdict, channel=found.channel)


def test_what_shows_nowhere_cannot_be_told() -> None:
    found = judge({}, seed=2)

    assert (found.verdict, found.channel) == ("cannot_tell", None)
    assert min(found.p_values.values()) > 0.05
    assert "too weak" in say_channels(found.verdict, channel=found.channel)


def test_an_effect_elsewhere_that_is_too_weak_to_be_seen_is_not_taken_for_none() -> None:
    verdicts = [judge({"DNA": 1.4, "ER": 0.8, "Mito": 0.8}, seed=seed).verdict for seed in range(8)]

    assert "one_channel" not in verdicts


@pytest.mark.parametrize("channels", [{}, {"DNA": list(range(36))}, {"DNA": list(range(36)), "ER": []}])
def test_a_profile_that_does_not_tell_channels_apart_cannot_tell(channels: dict[str, list[int]]) -> None:
    found = judge({"DNA": 3.0}, channels=channels)

    assert found == ChannelEffect("cannot_tell", None, {}, None)
    assert "does not say" in say_channels(found.verdict, channel=found.channel)


def test_columns_of_no_channel_are_not_looked_at() -> None:
    profiles, plates, is_replicate = pool({"DNA": 3.0})
    area = np.random.default_rng(9).standard_normal((len(plates), 5)) + 50 * is_replicate[:, None]

    made = [pool_of_one(values, plates, is_replicate) for values in (profiles, np.hstack([profiles, area]))]
    without_area, with_area = (channels_of_effects(one, channels=CHANNELS, seed=0)[0] for one in made)

    assert with_area == without_area


@pytest.mark.parametrize("extra", [[0], [36], [-1]])
def test_a_column_of_two_channels_or_beyond_the_profile_is_refused(extra: list[int]) -> None:
    with pytest.raises(InputRejectedError, match="name each of them once at most"):
        judge({}, channels={**CHANNELS, "AGP": extra})


def test_features_are_dealt_by_the_channel_in_their_name() -> None:
    features = [
        "Nuclei_Intensity_MeanIntensity_DNA", "Cells_Correlation_K_DNA_RNA", "Cells_AreaShape_Area",
        "Image_Granularity_10_Mito", "Cells_Texture_Contrast_dna_3_00_256", "Cells_Intensity_DNAlike",
    ]  # fmt: skip

    assert channels_by_name(features, ["DNA", "RNA", "Mito"]) == {"DNA": [0, 4], "RNA": [], "Mito": [3]}
