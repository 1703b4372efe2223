"""All that could explain a hit beside biology, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.hits.batches import BatchSupport, batch_supports
from hcs.hits.count import CountVerdict, explained_by_count
from hcs.hits.evidence import Siblings, siblings
from hcs.hits.fluorescence import ChannelEffect, Channels, channels_of_effects
from hcs.hits.hit_pool import HitPool
from hcs.hits.position import OtherPositions, precisions_in_other_positions
from hcs.hits.quality import WellQuality, quality_of_hits
from hcs.hits.strata import stratum_of
from hcs.hits.treatments import ScreenWells
from hcs.statistics.threads import on_threads

_VALUES_AT_ONCE = 500_000
"""Of profiles of hits that are looked at together: 4 MB."""
_Compared = tuple[ChannelEffect, BatchSupport, WellQuality, OtherPositions]
_NOTHING_KNOWN = ChannelEffect("cannot_tell", None, {}, None)


@dataclass(frozen=True)
class ScaledProfiles:
    """Profiles before whitening, in which each column is of one channel."""

    blocks: tuple[NDArray[np.floating], ...]
    """(W, D) of each encoder, side by side."""
    channels: Channels
    """Channel -> columns of the blocks side by side."""

    @property
    def n_features(self) -> int:
        """Of all blocks."""
        return sum(block.shape[1] for block in self.blocks)

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

    def chosen(self, rows: NDArray[np.bool_]) -> WellFacts:
        """Return the same facts of some of the wells (W,)."""
        return WellFacts(
            flags=None if self.flags is None else self.flags[rows],
            strata=None if self.strata is None else self.strata[rows],
            scaled=None
            if self.scaled is None
            else ScaledProfiles(tuple(block[rows] for block in self.scaled.blocks), self.scaled.channels),
        )

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
    groups = _groups(screen, hits, facts=facts)
    compared = on_threads(lambda group: _compare(screen, group, facts=facts, seed=seed), groups, n_threads=None)
    by_hit = {
        number: one
        for group, found in zip(groups, compared, strict=True)
        for number, one in zip(group.numbers, found, strict=True)
    }
    by_count = on_threads(
        lambda rows: explained_by_count(screen, ratios, rows, strata=facts.strata, seed=seed), hits, n_threads=None
    )
    return [
        Explanation(verdict, _median_ratio(ratios[rows]), *by_hit[number], len(rows))
        for number, (rows, verdict) in enumerate(zip(hits, by_count, strict=True))
    ]


def _groups(screen: ScreenWells, hits: Sequence[NDArray[np.intp]], *, facts: WellFacts) -> list[Siblings]:
    """Return hits that lie on the same plates, in one stratum and the same batches, few enough for their profiles."""
    width = max(screen.profiles.shape[1], 0 if facts.scaled is None else facts.scaled.n_features)
    groups: list[Siblings] = []
    for group in siblings(screen, hits):
        alike: dict[tuple[int, ...], list[int]] = {}
        for place, rows in enumerate(group.replicates):
            key = (stratum_of(rows, strata=facts.strata), *screen.batches[rows].tolist())
            alike.setdefault(key, []).append(place)
        step = max(1, _VALUES_AT_ONCE // (len(group.plates) * width))
        for places in alike.values():
            groups += group.chosen(places).parts(step)
    return groups


def _compare(screen: ScreenWells, group: Siblings, *, facts: WellFacts, seed: int) -> list[_Compared]:
    """Return what the wells of each hit say beside the controls of their plates."""
    rows, controls = group.replicates, screen.negcons_of(group.plates)
    if facts.strata is not None:
        controls = controls[facts.strata[controls] == facts.strata[rows[0, 0]]]
    pool = _pool(group, screen.profiles[rows], screen.profiles[controls], screen.plates[controls])
    flags = np.full(len(screen.plates), np.nan) if facts.flags is None else facts.flags
    return list(
        zip(
            _channels(screen, group, controls, scaled=facts.scaled, seed=seed),
            batch_supports(pool, batches=screen.batches[rows[0]], seed=seed),
            quality_of_hits(
                flags[rows], group.plates, control_flags=flags[controls], control_plates=pool.control_plates
            ),
            precisions_in_other_positions(pool, screen.positions[rows]),
            strict=True,
        )
    )


def _channels(
    screen: ScreenWells,
    group: Siblings,
    controls: NDArray[np.intp],
    *,
    scaled: ScaledProfiles | None,
    seed: int,
) -> list[ChannelEffect]:
    """Return where each hit shows."""
    if scaled is None or len(group.plates) < 2:
        return [_NOTHING_KNOWN] * len(group.numbers)
    own = scaled.of(screen.rows[group.replicates.ravel()]).reshape(*group.replicates.shape, -1)
    pool = _pool(group, own, scaled.of(screen.rows[controls]), screen.plates[controls])
    return channels_of_effects(pool, channels=scaled.channels, seed=seed)


def _pool(
    group: Siblings,
    replicates: NDArray[np.floating],
    controls: NDArray[np.floating],
    control_plates: NDArray[np.intp],
) -> HitPool:
    return HitPool(
        np.asarray(replicates, dtype=np.float64),
        group.plates,
        np.asarray(controls, dtype=np.float64),
        control_plates,
    )


def _median_ratio(ratios: NDArray[np.float64]) -> float | None:
    counted = ratios[np.isfinite(ratios)]
    return float(np.median(counted)) if counted.size else None
