"""What else could explain a hit, in sentences. The command line, the API and the dashboard say the same ones.

Each verdict has one function that says it; none of them decides anything. All are said from the columns that a call is
stored with, so that nothing has to be computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, assert_never

if TYPE_CHECKING:  # an API that says sentences loads nothing that computes
    from hcs.hits.batches import BatchVerdict
    from hcs.hits.count import CountVerdict
    from hcs.hits.fluorescence import ChannelVerdict
    from hcs.hits.position import PositionVerdict
    from hcs.hits.quality import QualityVerdict
    from hcs.statistics.position_inflation import Inflation

_QUESTIONS = {
    "position_verdict": "the places of its wells",
    "explained_by_count": "the number of cells",
    "channel_verdict": "channels",
    "batch_verdict": "batches",
    "quality_verdict": "quality flags",
    "n_other_positions": "replicates in other positions",
}
"""Column of a call -> what it says something about; null where that was not tested."""


def sentences_of_call(call: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what else could explain a call, a sentence a question.

    Of a call that is no hit nothing but the places of its wells was looked at. What was not tested of a hit, as in runs
    of earlier versions, is named in one last sentence.

    Args:
        call: The columns of `TreatmentCalls`; others are not looked at.
    """
    said = [
        say_position(
            call["position_verdict"],
            p_value=call["p_value"],
            p_position=call["p_position"],
            n_replicates=call["n_replicates"],
        ),
        say_count(call["explained_by_count"], cell_count_ratio=call["cell_count_ratio"]),
        say_channels(call["channel_verdict"], channel=call["channel"]),
        say_batches(
            call["batch_verdict"],
            n_batches=call["n_batches"],
            n_testable=call["n_batches_testable"],
            n_holding=call["n_batches_holding"],
        ),
        say_quality(
            call["quality_verdict"],
            n_flagged=call["n_flagged"],
            n_judged=call["n_judged"],
            share_of_controls=call["flagged_share_of_controls"],
        ),
        say_other_positions(
            call["n_other_positions"],
            mean_average_precision=call["other_positions_precision"],
            n_replicates=call["n_replicates"],
        ),
    ]
    untested = [what for column, what in _QUESTIONS.items() if call[column] is None]
    if call["is_hit"] and untested:
        said.append(f"not tested: {', '.join(untested)}")
    return tuple(sentence for sentence in said if sentence is not None)


def doubts_of_call(call: Mapping[str, Any]) -> tuple[str, ...]:
    """Return in a word or two each what speaks against taking a hit for biology; nothing where nothing does.

    Args:
        call: As for `sentences_of_call`.
    """
    count = {"explained": "cell count", "cannot_tell": "maybe cell count"}.get(call["explained_by_count"])
    said = (
        count,
        f"{call['channel']} alone" if call["channel_verdict"] == "one_channel" else None,
        "no batch by itself" if call["batch_verdict"] == "no_batch" else None,
        "flagged images" if call["quality_verdict"] == "flagged_more" else None,
    )
    return tuple(words for words in said if words is not None)


def say_inflation(inflation: Inflation) -> str:
    """Return what the control positions of a screen show."""
    if not inflation.n_sets:
        return (
            "position not testable: no well is known to hold a negative control on two plates or more, so what the "
            "place of a well does is not known, and p-values are as they came"
        )
    return (
        f"{inflation.n_below} of {inflation.n_sets} positions that hold controls on several plates have p < .05 "
        f"({100 * inflation.rate:.0f} %, where 5 % are expected); p-values are corrected by m = {inflation.mean:.2f}, "
        f"s = {inflation.deviation:.2f}"
    )


def say_what_is_left(
    smallest_p: float, *, smallest_of_layout: float, q_max: float, n_tested: int, n_corrected: int
) -> str | None:
    """Return what the positions leave to be called, or nothing where a single treatment still can be.

    Args:
        smallest_p: The smallest corrected p-value that a treatment can reach.
        smallest_of_layout: The smallest that its wells and controls allow, before positions have a say.
        q_max: Largest false discovery rate of a hit.
        n_tested: Perturbations that are tested.
        n_corrected: Those whose wells share positions, so that their p-values are corrected.
    """
    some = f"none of the {n_corrected} of {n_tested} perturbations whose wells share positions"
    none = "no treatment" if n_corrected == n_tested else some
    if smallest_of_layout > q_max:
        return (
            f"{none} can be called: the smallest p-value that the layout allows is {smallest_of_layout:.2g}, where at "
            f"most {q_max:g} is needed. More replicates, or more controls beside them, help"
        )
    if smallest_p > q_max:
        return (
            f"{none} can be called: the smallest p-value that the positions leave is {smallest_p:.2g}, where at most "
            f"{q_max:g} is needed; the place of a well decides more than what is in it. Replicates in other positions, "
            "or profiles without the effects of rows and columns, may help"
        )
    if smallest_p > q_max / n_tested:
        return (
            f"{none} can be called by itself: the smallest p-value that the positions leave is {smallest_p:.2g}, where "
            f"one of {n_tested} needs {q_max / n_tested:.2g}; several that reach it can"
        )
    return None


def say_position(
    verdict: PositionVerdict | None, *, p_value: float | None, p_position: float | None, n_replicates: int
) -> str | None:
    """Return what the places of its wells do to a p-value, or nothing where there is none or it was not tested."""
    if verdict is None or p_value is None or p_position is None:
        return None
    match verdict:
        case "corrected":
            corrected, plain = f"{p_position:.2g}", f"{p_value:.2g}"
            if corrected == plain:
                return f"the places of its wells explain nothing of it: its p-value stays {plain}"
            return (
                f"its p-value is {corrected} without what the places of wells give for nothing, and {plain} with it; q "
                "is of the first"
            )
        case "not_shared":
            return (
                "its wells lie in other places on other plates, so that no place by itself makes them alike: its "
                f"p-value of {p_value:.2g} is as it came"
            )
        case "not_testable":
            if n_replicates == 1:
                return f"whether its place explains it cannot be told of one well: its p-value, {p_value:.2g}, stays"
            return (
                "whether the places of its wells explain it cannot be told: no position is known to hold a negative "
                f"control on two plates like its own; its p-value, {p_value:.2g}, is as it came"
            )
        case _:
            assert_never(verdict)


def say_other_positions(
    n_other_positions: int | None, *, mean_average_precision: float | None, n_replicates: int
) -> str | None:
    """Return how a treatment scores where its replicates do not share a position, or nothing if nobody has looked.

    Args:
        n_other_positions: Replicates that have another one in another position.
        mean_average_precision: Over them.
        n_replicates: All of them.
    """
    if n_other_positions is None:
        return None
    if n_replicates == 1:
        return "it has one well: whether it would look alike in another one is not known"
    if mean_average_precision is None:
        return "all its replicates lie in one position: whether it would look alike in another one is not known"
    return (
        f"over replicates in other positions its mean average precision is {mean_average_precision:.2f} "
        f"({n_other_positions} of {n_replicates} replicates have such a partner)"
    )


def say_count(verdict: CountVerdict | None, *, cell_count_ratio: float | None) -> str | None:
    """Return whether the number of cells explains a hit, or nothing where it was not tested."""
    cells = (
        "its cells were not counted"
        if cell_count_ratio is None
        else f"its wells hold {100 * cell_count_ratio:.0f} % of the controls' cells"
    )
    match verdict:
        case None:
            return None
        case "explained":
            return f"explained by the number of cells: {cells}, and other wells with as many look the same"
        case "not_explained":
            return f"not explained by the number of cells: {cells}, and it looks different from wells with as many"
        case "cannot_tell":
            return f"whether the number of cells explains it cannot be told: {cells}; too little is known of such wells"
        case _:
            assert_never(verdict)


def say_channels(verdict: ChannelVerdict | None, *, channel: str | None) -> str | None:
    """Return whether a hit shows in one channel alone, or nothing where it was not tested.

    Args:
        verdict: Of `hcs.hits.fluorescence`.
        channel: The one that shows the most of it, if one does by itself.
    """
    match verdict:
        case None:
            return None
        case "one_channel":
            return (
                f"it shows in {channel} alone: the compound may glow there by itself; look at the images before "
                "taking it for biology"
            )
        case "several_channels":
            return f"it shows in more channels than {channel}: not what a glowing compound does"
        case "cannot_tell":
            if channel is None:
                return (
                    "whether one channel holds all of it cannot be told: the profile does not say what is of which, or "
                    "the effect is too weak, channel by channel"
                )
            return f"whether it shows in more channels than {channel} cannot be told: too little is left without it"
        case _:
            assert_never(verdict)


def say_batches(
    verdict: BatchVerdict | None, *, n_batches: int, n_testable: int | None, n_holding: int | None
) -> str | None:
    """Return in how many batches a hit holds, or nothing where it was not tested.

    Args:
        verdict: Of `hcs.hits.batches`.
        n_batches: Of its replicates.
        n_testable: Those whose wells are enough to tell.
        n_holding: Those in which it holds by itself.
    """
    if verdict is None or n_testable is None or n_holding is None:
        return None
    untested = f"; {n_batches - n_testable} more have too few wells to tell" if n_batches > n_testable else ""
    match verdict:
        case "every_batch":
            return f"it holds in each of {n_testable} batches by itself{untested}"
        case "some_batches":
            return f"it holds in {n_holding} of {n_testable} batches by themselves{untested}"
        case "no_batch":
            return f"it holds in none of {n_testable} batches by itself, only in all of them together{untested}"
        case "one_batch":
            return "all its replicates are of one batch: whether it holds in another is not known"
        case "cannot_tell":
            few = "each has" if n_testable == 0 else f"{n_batches - n_testable} have"
            return f"in how many of its {n_batches} batches it holds cannot be told: {few} too few wells by itself"
        case _:
            assert_never(verdict)


def say_quality(
    verdict: QualityVerdict | None,
    *,
    n_flagged: int | None,
    n_judged: int | None,
    share_of_controls: float | None,
) -> str | None:
    """Return whether the wells of a hit were flagged more often than controls, or nothing where it was not tested.

    Args:
        verdict: Of `hcs.hits.quality`.
        n_flagged: Its wells with a flag.
        n_judged: Its wells whose images were judged beside controls' that were.
        share_of_controls: That were flagged, from 0 to 1; not looked at if none was judged.
    """
    if verdict == "cannot_tell":
        return "the images of its wells, or of the controls beside them, were not judged"
    if verdict is None or n_flagged is None or n_judged is None or share_of_controls is None:
        return None
    flagged = f"{n_flagged} of its {n_judged} wells are flagged"
    if n_judged == 1:
        flagged = "its one well is flagged" if n_flagged else "its one well is not flagged"
    wells = f"{flagged}, and {100 * share_of_controls:.0f} % of the controls"
    match verdict:
        case "flagged_more":
            return f"{wells}: look at its images first"
        case "as_controls":
            return f"{wells}: no more than by chance"
        case _:
            assert_never(verdict)
