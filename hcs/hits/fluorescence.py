"""Whether a hit shows in one channel alone, as a compound does that glows by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.hits.hit_pool import HitPool

ChannelVerdict = Literal["one_channel", "several_channels", "cannot_tell"]
Channels = Mapping[str, Sequence[int] | NDArray[np.integer]]
"""Channel -> its columns of the profiles. Columns of no channel, or of two, are in none and are not looked at."""

NOTHING_ELSEWHERE, SOMETHING_ELSEWHERE = 0.05, 0.01
"""The other channels with a p-value above the first show nothing; with one up to the second, something."""
SIGNIFICANCE = 0.05
"""Of a channel by itself."""
LEAST_LEFT = 0.1
"""A channel holds the effect alone if a feature of the others has less than this share of its signal on average."""
_MAX_DRAWS = 399
"""Enough to compare p with 0.01: of 399 draws 3 may be as extreme."""


@dataclass(frozen=True)
class ChannelEffect:
    """Where a hit shows."""

    verdict: ChannelVerdict
    channel: str | None
    """The one that holds the most of it; None where no channel by itself is significant."""
    p_values: Mapping[str, float]
    """Of each channel by itself."""
    p_elsewhere: float | None
    """Of all other channels together."""


def channels_by_name(features: Sequence[str], channels: Sequence[str]) -> dict[str, list[int]]:
    """Return the columns of each channel by the names of features, as CellProfiler writes them.

    A channel is a word between underscores, whatever its case: `Nuclei_Intensity_MeanIntensity_DNA`. What names no
    channel, as areas do, or two, as correlations do, belongs to none.

    Args:
        features: (D,) names.
        channels: Names of channels, such as `DNA`, `RNA`, `ER`, `AGP`, `Mito`.
    """
    by_lower = {channel.lower(): channel for channel in channels}
    columns: dict[str, list[int]] = {channel: [] for channel in channels}
    for column, feature in enumerate(features):
        named = {by_lower[word] for word in feature.lower().split("_") if word in by_lower}
        if len(named) == 1:
            columns[named.pop()].append(column)
    return columns


def channels_of_embeddings(kept: Sequence[NDArray[np.bool_]], channels: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Return the columns of each channel in profiles made of embeddings side by side.

    Args:
        kept: One an encoder, (C x D,): which columns of its embedding the profiles have. An embedding is the D features
            of the first channel, then those of the second.
        channels: (C,) names.

    Raises:
        InputRejectedError: If the features of an embedding are not as many for each channel.
    """
    of_columns = []
    for mask in kept:
        if not channels or len(mask) % len(channels):
            raise InputRejectedError(
                f"as many features for each of the channels {', '.join(channels) or '(none)'} are expected, but an "
                f"embedding has {len(mask)} columns"
            )
        of_columns.append(np.flatnonzero(mask) // (len(mask) // len(channels)))
    together = np.concatenate(of_columns)
    return {name: np.flatnonzero(together == number) for number, name in enumerate(channels)}


def channels_of_effects(pool: HitPool, *, channels: Channels, seed: int) -> list[ChannelEffect]:
    """Return whether each hit shows in one channel alone.

    Every channel is tested by itself as treatments are, and then all channels but the one that shows the most.

    - `one_channel`: the others together are not significant (p > .05), and a feature of theirs carries less than a
      tenth of the signal of one of this channel.
    - `several_channels`: the others together are significant (p <= .01).
    - `cannot_tell`: no channel is significant by itself (p <= .05); what the others show may be noise or a weak effect;
      or the profile does not say what is of which channel.

    A compound that glows is one reason for an effect in one channel. Biology that one stain shows is another; images
    tell them apart, profiles do not.

    Args:
        pool: The hits' wells and the negative controls of their plates, scaled but not whitened: whitening mixes
            channels.
        channels: Channel -> columns.
        seed: Of the run.

    Raises:
        InputRejectedError: If a column is not in the profiles, or in two channels.
    """
    columns = {name: np.asarray(members, dtype=np.intp) for name, members in channels.items() if len(members)}
    _check(columns, pool.controls.shape[1])
    n_hits = len(pool.replicates)
    if len(columns) < 2 or pool.has_controls.sum() < 2:
        return [ChannelEffect("cannot_tell", None, {}, None)] * n_hits
    compared = pool.of_replicates(pool.has_controls)
    by_channel = {name: _parts(compared.of_columns(members), seed=seed) for name, members in columns.items()}
    strongest = [
        min(columns, key=lambda name: (by_channel[name][hit].p_value, -by_channel[name][hit].signal, name))
        for hit in range(n_hits)
    ]
    elsewhere: dict[int, _Part] = {}
    for channel in dict.fromkeys(strongest):
        hits = np.array([hit for hit in range(n_hits) if strongest[hit] == channel])
        others = np.sort(np.concatenate([members for name, members in columns.items() if name != channel]))
        found = _parts(compared.of_hits(hits).of_columns(others), seed=seed)
        elsewhere.update(zip(hits.tolist(), found, strict=True))
    return [
        _effect(channel, {name: parts[hit] for name, parts in by_channel.items()}, elsewhere[hit])
        for hit, channel in enumerate(strongest)
    ]


@dataclass(frozen=True)
class _Part:
    """What some columns show of a hit."""

    p_value: float
    signal: float
    """The squared effect beyond that of controls, which is 1; a mean over features, so that sizes compare."""


def _parts(pool: HitPool, *, seed: int) -> list[_Part]:
    tests = pool.tests(seed=seed, max_draws=_MAX_DRAWS)
    return [
        _Part(test.p_value, max(0.0, effect**2 - 1) if np.isfinite(effect) else 0.0)
        for test, effect in zip(tests, pool.effects(), strict=True)
    ]


def _effect(channel: str, by_channel: Mapping[str, _Part], elsewhere: _Part) -> ChannelEffect:
    p_values = {name: part.p_value for name, part in by_channel.items()}
    if p_values[channel] > SIGNIFICANCE:
        return ChannelEffect("cannot_tell", None, p_values, elsewhere.p_value)
    is_alone = elsewhere.p_value > NOTHING_ELSEWHERE and elsewhere.signal < LEAST_LEFT * by_channel[channel].signal
    verdict: ChannelVerdict = "one_channel" if is_alone else "cannot_tell"
    if elsewhere.p_value <= SOMETHING_ELSEWHERE:
        verdict = "several_channels"
    return ChannelEffect(verdict, channel, p_values, elsewhere.p_value)


def _check(columns: Mapping[str, NDArray[np.intp]], n_features: int) -> None:
    together = np.concatenate([np.empty(0, dtype=np.intp), *columns.values()])
    n_distinct = len(np.unique(together))
    if n_distinct < len(together) or not np.isin(together, np.arange(n_features)).all():
        raise InputRejectedError(
            f"channels of a profile with {n_features} columns are expected to name each of them once at most, but they "
            f"name {len(together)} columns, {n_distinct} of them different, from {together.min()} to {together.max()}; "
            "leave a column of two channels out of both"
        )
