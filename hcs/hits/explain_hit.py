"""All that could explain a hit beside biology, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.hits.batches import BatchSupport, batch_support
from hcs.hits.count import CountVerdict, explained_by_count
from hcs.hits.explain import say_batches, say_channels, say_count, say_other_positions, say_quality
from hcs.hits.fluorescence import ChannelEffect, Channels, channels_of_effect
from hcs.hits.position import OtherPositions, precision_in_other_positions
from hcs.hits.quality import WellQuality, quality_of_wells
from hcs.hits.strata import in_stratum_of
from hcs.hits.treatments import ScreenWells

_NOTHING_KNOWN = ChannelEffect("cannot_tell", None, {}, None)


@dataclass(frozen=True)
class WellFacts:
    """What is known of N wells beside their profiles, in the order of a `ScreenWells`."""

    positions: NDArray[np.str_]
    """(N,), names of wells."""
    count_ratios: NDArray[np.float64]
    """(N,), of `hcs.hits.count.count_ratios`."""
    flags: NDArray[np.float64] | None = None
    """(N,), 1 where a quality flag was raised, 0 where none was, NaN where unknown; None if quality was not judged."""
    strata: NDArray[np.integer] | None = None
    """(N,), a number a cell line and time point; None where the screen has one."""
    scaled: NDArray[np.float64] | None = None
    """(N, D), profiles before whitening, in which each column is of one channel; None where there are none."""
    channels: Channels | None = None
    """Channel -> columns of `scaled`."""

    def __post_init__(self) -> None:
        fields = (self.positions, self.count_ratios, self.flags, self.strata, self.scaled)
        sizes = [len(field) for field in fields if field is not None]
        if len(set(sizes)) > 1 or (self.scaled is None) != (self.channels is None):
            raise InputRejectedError(
                f"facts about the same wells are expected, and channels exactly where there are scaled profiles, but "
                f"they are of {sizes} wells, scaled profiles are {'missing' if self.scaled is None else 'there'} and "
                f"channels are {'missing' if self.channels is None else 'there'}"
            )


@dataclass(frozen=True)
class Explanation:
    """What else could explain a hit, each by itself."""

    count: CountVerdict
    cell_count_ratio: float | None
    channels: ChannelEffect
    batches: BatchSupport
    quality: WellQuality
    other_positions: OtherPositions
    n_replicates: int

    @property
    def sentences(self) -> tuple[str, ...]:
        """One a question, for a person."""
        said = (
            say_count(self.count, cell_count_ratio=self.cell_count_ratio),
            say_channels(self.channels.verdict, channel=self.channels.channel),
            say_batches(
                self.batches.verdict,
                n_batches=self.batches.n_batches,
                n_testable=self.batches.n_testable,
                n_holding=self.batches.n_holding,
            ),
            say_quality(
                self.quality.verdict,
                n_flagged=self.quality.n_flagged,
                n_judged=self.quality.n_wells,
                share_of_controls=self.quality.share_of_controls,
            ),
            say_other_positions(
                self.other_positions.n_replicates,
                mean_average_precision=self.other_positions.mean_average_precision,
                n_replicates=self.n_replicates,
            ),
        )
        return tuple(sentence for sentence in said if sentence is not None)


def explain_hit(screen: ScreenWells, replicates: NDArray[np.intp], *, facts: WellFacts, seed: int) -> Explanation:
    """Return what else could explain that the replicates of a hit look alike.

    Args:
        screen: The wells.
        replicates: Rows of the hit's wells on plates with negative controls, at least two.
        facts: What is known of the wells.
        seed: Of the run.

    Raises:
        InputRejectedError: If the replicates lie in more than one stratum.
    """
    comparable = in_stratum_of(replicates, strata=facts.strata, n_wells=len(screen.plates))
    controls = screen.negcons_of(screen.plates[replicates])
    pool = np.sort(np.concatenate([replicates, controls[comparable[controls]]]))
    profiles, plates, is_replicate = screen.profiles[pool], screen.plates[pool], np.isin(pool, replicates)
    ratios = facts.count_ratios[replicates]
    counted = ratios[np.isfinite(ratios)]
    flags = np.full(len(screen.plates), np.nan) if facts.flags is None else facts.flags
    channels = (
        _NOTHING_KNOWN
        if facts.scaled is None or facts.channels is None
        else channels_of_effect(facts.scaled[pool], plates, is_replicate, channels=facts.channels, seed=seed)
    )
    return Explanation(
        count=explained_by_count(screen, facts.count_ratios, replicates, strata=facts.strata, seed=seed),
        cell_count_ratio=float(np.median(counted)) if counted.size else None,
        channels=channels,
        batches=batch_support(profiles, plates, is_replicate, batches=screen.batches[pool], seed=seed),
        quality=quality_of_wells(flags[pool], plates, is_replicate),
        other_positions=precision_in_other_positions(profiles, plates, facts.positions[pool], is_replicate),
        n_replicates=len(replicates),
    )
