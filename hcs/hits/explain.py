"""What else could explain a hit, in sentences. The command line and the dashboard say the same ones.

Each verdict has one function that says it; none of them decides anything.
"""

from __future__ import annotations

from typing import assert_never

from hcs.hits.batches import BatchSupport
from hcs.hits.count import CountVerdict
from hcs.hits.fluorescence import ChannelEffect
from hcs.hits.position import OtherPositions
from hcs.hits.quality import WellQuality
from hcs.statistics.position_inflation import Inflation


def say_inflation(inflation: Inflation) -> str:
    """Return what the control positions of a screen show."""
    if not inflation.n_sets:
        return (
            "position not testable: no well holds a negative control on two plates or more, so what the place of a "
            "well does is not known, and p-values are as they came"
        )
    return (
        f"{inflation.n_below} of {inflation.n_sets} positions that hold controls on several plates have p < .05 "
        f"({100 * inflation.rate:.0f} %, where 5 % are expected); p-values are corrected by m = {inflation.mean:.2f}, "
        f"s = {inflation.deviation:.2f}"
    )


def say_what_is_left(smallest_p: float, *, q_max: float, n_tested: int) -> str | None:
    """Return what the positions leave to be called, or nothing where a single treatment still can be.

    Args:
        smallest_p: The smallest corrected p-value that a treatment can reach.
        q_max: Largest false discovery rate of a hit.
        n_tested: Treatments that are tested.
    """
    if smallest_p > q_max:
        return (
            f"nothing can be called: the smallest p-value that the positions leave is {smallest_p:.2g}, where at most "
            f"{q_max:g} is needed; the place of a well decides more than what is in it. Replicates in other positions, "
            "or profiles without the effects of rows and columns, may help"
        )
    if smallest_p > q_max / n_tested:
        return (
            f"no treatment can be called by itself: the smallest p-value that the positions leave is {smallest_p:.2g}, "
            f"where one of {n_tested} needs {q_max / n_tested:.2g}; several that reach it can"
        )
    return None


def say_other_positions(other: OtherPositions, *, n_replicates: int) -> str:
    """Return how a treatment scores where its replicates do not share a position."""
    if other.mean_average_precision is None:
        return "all its replicates lie in one position: whether it would look alike in another one is not known"
    return (
        f"over replicates in other positions its mean average precision is {other.mean_average_precision:.2f} "
        f"({other.n_replicates} of {n_replicates} replicates have such a partner)"
    )


def say_count(verdict: CountVerdict, *, cell_count_ratio: float | None) -> str:
    """Return whether the number of cells explains a hit."""
    cells = (
        "its cells were not counted"
        if cell_count_ratio is None
        else f"its wells hold {100 * cell_count_ratio:.0f} % of the controls' cells"
    )
    match verdict:
        case "explained":
            return f"explained by the number of cells: {cells}, and other wells with as many look the same"
        case "not_explained":
            return f"not explained by the number of cells: {cells}, and it looks different from wells with as many"
        case "cannot_tell":
            return f"whether the number of cells explains it cannot be told: {cells}; too little is known of such wells"
        case _:
            assert_never(verdict)


def say_channels(effect: ChannelEffect) -> str:
    """Return whether a hit shows in one channel alone."""
    match effect.verdict:
        case "one_channel":
            return (
                f"it shows in {effect.channel} alone: the compound may glow there by itself; look at the images before "
                "taking it for biology"
            )
        case "several_channels":
            return f"it shows in more channels than {effect.channel}: not what a glowing compound does"
        case "cannot_tell":
            if not effect.p_values:
                return "whether one channel holds all of it cannot be told: the profile does not say what is of which"
            return "whether one channel holds all of it cannot be told: the effect is too weak, channel by channel"
        case _:
            assert_never(effect.verdict)


def say_batches(support: BatchSupport) -> str:
    """Return in how many batches a hit holds."""
    n, testable = support.n_batches, support.n_testable
    untested = f"; {n - testable} more have too few wells to tell" if n > testable else ""
    match support.verdict:
        case "every_batch":
            return f"it holds in each of {testable} batches by itself{untested}"
        case "some_batches":
            return f"it holds in {support.n_holding} of {testable} batches by themselves{untested}"
        case "no_batch":
            return f"it holds in none of {testable} batches by itself, only in all of them together{untested}"
        case "one_batch":
            return "all its replicates are of one batch: whether it holds in another is not known"
        case "cannot_tell":
            return f"in how many of its {n} batches it holds cannot be told: each has too few wells by itself"
        case _:
            assert_never(support.verdict)


def say_quality(quality: WellQuality) -> str:
    """Return whether the wells of a hit were flagged more often than controls."""
    wells = f"{quality.n_flagged} of its {quality.n_wells} wells are flagged"
    match quality.verdict:
        case "flagged_more":
            return f"{wells}, and {100 * quality.share_of_controls:.0f} % of the controls: look at its images first"
        case "as_controls":
            return f"{wells}, and {100 * quality.share_of_controls:.0f} % of the controls: no more than by chance"
        case "cannot_tell":
            return "the images of its wells, or of the controls beside them, were not judged"
        case _:
            assert_never(quality.verdict)
