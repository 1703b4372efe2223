"""All that could explain a hit beside biology, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.hits.batches import BatchSupport, batch_support
from hcs.hits.count import CountVerdict, explained_by_count
from hcs.hits.evidence import Siblings, siblings
from hcs.hits.fluorescence import ChannelEffect, Channels, channels_of_effects
from hcs.hits.position import OtherPositions, precision_in_other_positions
from hcs.hits.quality import WellQuality, quality_of_wells
from hcs.hits.strata import in_stratum_of
from hcs.hits.treatments import ScreenWells
from hcs.statistics.threads import on_threads

_HITS_AT_ONCE = 64
"""Their profiles before whitening are copied."""
_NOTHING_KNOWN = ChannelEffect("cannot_tell", None, {}, None)


@dataclass(frozen=True)
class ScaledProfiles:
    """Profiles before whitening, in which each column is of one channel."""

    blocks: tuple[NDArray[np.floating], ...]
    """(W, D) of each encoder, side by side."""
    channels: Channels
    """Channel -> columns of the blocks side by side."""

    def of(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the profiles of some wells, (P, sum of D)."""
        return np.hstack([np.asarray(block[rows], dtype=np.float64) for block in self.blocks])


@dataclass(frozen=True)
class WellFacts:
    """What is known of W wells beside their profiles, rows as in the table that a `ScreenWells` was made of."""

    flags: NDArray[np.float64] | None = None
    """(W,), 1 where a quality flag was raised, 0 where none was, NaN where unknown; None if quality was not judged."""
    strata: NDArray[np.integer] | None = None
    """(W,), a number a cell line and time point; None where the screen has one."""
    scaled: ScaledProfiles | None = None
    """None where it is not known which column is of which channel."""

    def of(self, screen: ScreenWells) -> WellFacts:
        """Return the same facts with flags and strata in the order of the screen's wells.

        Raises:
            InputRejectedError: If they are about other wells.
        """
        blocks = () if self.scaled is None else self.scaled.blocks
        sizes = {len(field) for field in (self.flags, self.strata, *blocks) if field is not None}
        needed = int(screen.rows.max(initial=-1)) + 1
        if len(sizes) > 1 or min(sizes, default=needed) < needed:
            raise InputRejectedError(
                f"facts about the same wells as the profiles are expected, at least {needed}, but they are about "
                f"{' and '.join(map(str, sorted(sizes)))} wells"
            )
        flags = None if self.flags is None else self.flags[screen.rows]
        return WellFacts(flags, None if self.strata is None else self.strata[screen.rows], self.scaled)


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
    def columns(self) -> Mapping[str, object]:
        """The verdicts and their figures, by the columns of `schemas.tables.TreatmentCalls`."""
        share = self.quality.share_of_controls
        return {
            "explained_by_count": self.count,
            "n_other_positions": self.other_positions.n_replicates,
            "other_positions_precision": self.other_positions.mean_average_precision,
            "channel_verdict": self.channels.verdict,
            "channel": self.channels.channel,
            "batch_verdict": self.batches.verdict,
            "n_batches_testable": self.batches.n_testable,
            "n_batches_holding": self.batches.n_holding,
            "quality_verdict": self.quality.verdict,
            "n_judged": self.quality.n_wells,
            "n_flagged": self.quality.n_flagged,
            "flagged_share_of_controls": None if np.isnan(share) else share,
        }


def explain_hits(
    screen: ScreenWells,
    ratios: NDArray[np.float64],
    hits: Sequence[NDArray[np.intp]],
    *,
    facts: WellFacts,
    seed: int,
) -> list[Explanation]:
    """Return what else could explain that the replicates of each hit look alike.

    Args:
        screen: The wells.
        ratios: (N,), of `hcs.hits.count.count_ratios`.
        hits: Rows of each hit's wells on plates with negative controls; of one well most cannot be told.
        facts: What is known of the wells, `WellFacts.of` this screen.
        seed: Of the run.

    Raises:
        InputRejectedError: If the replicates of a hit lie in more than one stratum.
    """
    channels = _channels_of_hits(screen, hits, facts=facts, seed=seed)
    return on_threads(
        lambda number: _explain(screen, ratios, hits[number], channels[number], facts=facts, seed=seed),
        range(len(hits)),
        n_threads=None,
    )


def _channels_of_hits(
    screen: ScreenWells, hits: Sequence[NDArray[np.intp]], *, facts: WellFacts, seed: int
) -> list[ChannelEffect]:
    """Return where each hit shows; hits on the same plates are looked at together."""
    found = [_NOTHING_KNOWN] * len(hits)
    scaled = facts.scaled
    if scaled is None:
        return found
    groups = [part for group in siblings(screen, hits) if len(group.plates) > 1 for part in group.parts(_HITS_AT_ONCE)]

    def look(group: Siblings) -> list[ChannelEffect]:
        controls = screen.negcons_of(group.plates)
        controls = controls[in_stratum_of(group.replicates[0], strata=facts.strata, n_wells=len(screen.rows))[controls]]
        n_hits, n_replicates = group.replicates.shape
        own = scaled.of(screen.rows[group.replicates.ravel()]).reshape(n_hits, n_replicates, -1)
        return channels_of_effects(
            scaled.of(screen.rows[controls]), screen.plates[controls], own, group.plates,
            channels=scaled.channels, seed=seed,
        )  # fmt: skip

    for group, effects in zip(groups, on_threads(look, groups, n_threads=None), strict=True):
        for number, effect in zip(group.numbers, effects, strict=True):
            found[number] = effect
    return found


def _explain(
    screen: ScreenWells,
    ratios: NDArray[np.float64],
    replicates: NDArray[np.intp],
    channels: ChannelEffect,
    *,
    facts: WellFacts,
    seed: int,
) -> Explanation:
    comparable = in_stratum_of(replicates, strata=facts.strata, n_wells=len(screen.plates))
    controls = screen.negcons_of(screen.plates[replicates])
    pool = np.sort(np.concatenate([replicates, controls[comparable[controls]]]))
    profiles, plates, is_replicate = (
        screen.profiles[pool].astype(np.float64),
        screen.plates[pool],
        np.isin(pool, replicates),
    )
    counted = ratios[replicates][np.isfinite(ratios[replicates])]
    flags = np.full(len(screen.plates), np.nan) if facts.flags is None else facts.flags
    return Explanation(
        count=explained_by_count(screen, ratios, replicates, strata=facts.strata, seed=seed),
        cell_count_ratio=float(np.median(counted)) if counted.size else None,
        channels=channels,
        batches=batch_support(profiles, plates, is_replicate, batches=screen.batches[pool], seed=seed),
        quality=quality_of_wells(flags[pool], plates, is_replicate),
        other_positions=precision_in_other_positions(profiles, plates, screen.positions[pool], is_replicate),
        n_replicates=len(replicates),
    )
