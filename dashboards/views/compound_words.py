"""Why one treatment is a hit, or none, in sentences of Markdown; whatever a user named stays text in them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dashboards.words import counted, dose, number, plain, shortened
from schemas.api import Hit, Neighbour, PerturbationWell

TIMES = "\N{MULTIPLICATION SIGN}"
MOST_CELLS_GONE = 0.5
MOST_FALSE = 0.5
_LONG = 200


def headline(hit: Hit) -> str:
    """Return the verdict on a treatment."""
    at = dose(hit.concentration_micromolar, hit.dose_step)
    what = plain(shortened(hit.name or hit.perturbation)) + (f" at {at}" if at != "-" else "")
    if hit.is_hit:
        of = "positive controls" if hit.control_type == "poscon" else "treatments"
        return f"**{what} is a hit**: q {number(hit.q_value)}{_false_among(hit.q_value, of)}."
    if hit.call == "not_callable":
        why = f": {plain(shortened(hit.reason, longest=_LONG))}" if hit.reason else ""
        return f"**{what} could not be called**{why}."
    if hit.call == "underpowered":
        return (
            f"**{what} is underpowered**: its layout allows no p below {number(_smallest(hit))}, too large to "
            "be a hit among so many treatments, whatever its cells look like. More replicates, or more controls on "
            "their plates, would tell."
        )
    return f"**{what} is no hit**: q {number(hit.q_value)}. Its wells are not told from the negative controls."


def _smallest(hit: Hit) -> float | None:
    """Return the smallest p that a treatment like it can get, without what places give for nothing where known."""
    return hit.smallest_possible_p if hit.smallest_possible_p_position is None else hit.smallest_possible_p_position


def _false_among(q_value: float | None, of: str) -> str:
    """Return what a q means, as one says it: `0.02` is one false in 50."""
    if not q_value or q_value > MOST_FALSE:
        return ""
    n = float(f"{1 / q_value:.2g}")
    return f". Of {of} that are at least as sure, about 1 in {n:,.0f} is expected to be false"


def reasons(hit: Hit, *, names: Mapping[str, str]) -> list[str]:
    """Return what the verdict rests on, a sentence or two each.

    Args:
        hit: The call.
        names: Key of a treatment -> what people call it, as far as known.
    """
    return [*_alike(hit), *_strong(hit), *_cells(hit), *_mechanism(hit, names)]


def explanations(hit: Hit) -> list[str]:
    """Return what else could explain it, as the API says it, a sentence each."""
    return [plain(f"{sentence[:1].upper()}{sentence[1:]}.") for sentence in hit.explanations]


def _alike(hit: Hit) -> list[str]:
    seen = (
        f"{counted(hit.n_replicates, 'well')} on {counted(hit.n_plates, 'plate')} in {counted(hit.n_batches, 'batch')}"
    )
    controls = f"{counted(hit.n_controls, 'negative control well')} of the same plates"
    if hit.mean_average_precision is not None:
        said = (
            f"**Alike**: searched for with one of its {seen}, the others stand before the {controls} with a mean "
            f"average precision of {number(hit.mean_average_precision)} (1 is always before every control)."
        )
    elif hit.p_value is not None:
        said = (
            f"**Far**: it was in {seen}, with no other well to be like. Its distance from the middle of the plate is "
            f"compared with that of controls that were held out for it, {hit.n_controls} of them on the same plate."
        )
    else:
        return [f"It was in {seen}, beside {controls}."]
    return [said, *_sure(hit)]


def _sure(hit: Hit) -> list[str]:
    if hit.p_value is None:
        return []
    least = hit.smallest_possible_p
    limit = "" if least is None else f"; the smallest that this layout can give is {number(least)}"
    if least is not None and hit.p_value <= least:
        limit = ", the smallest that this layout can give"
    return [f"**Sure**: by chance that happens with p {number(hit.p_value)}{limit}."]


def _strong(hit: Hit) -> list[str]:
    if hit.effect is None:
        return []
    return [
        f"**Strong**: the effect is {number(hit.effect)} {TIMES} control. So much longer is the mean profile of its "
        "wells than that of as many control wells; 1 is no effect."
    ]


def _cells(hit: Hit) -> list[str]:
    ratio = hit.cell_count_ratio
    if ratio is None:
        return ["**Cells**: none were counted."]
    cells = f"its wells have {number(ratio, digits=2)} {TIMES} the cells of the negative controls (median)"
    if ratio < MOST_CELLS_GONE:
        cells += ", most are gone: it is toxic"
    return [f"**Cells**: {cells}."]


def _mechanism(hit: Hit, names: Mapping[str, str]) -> list[str]:
    said = "**Mechanism**: none is annotated"
    if hit.mechanism and hit.mechanism_source == "annotated":
        said = f"**Mechanism**: annotated as {plain(shortened(hit.mechanism, longest=_LONG))}"
    if hit.predicted_mechanism:
        predicted = plain(shortened(hit.predicted_mechanism, longest=_LONG))
        also = "also " if _share(hit.mechanism, hit.predicted_mechanism) and "annotated as" in said else ""
        said += f"; predicted {also}{predicted}"
    else:
        said += ", and none is predicted" if "annotated as" not in said else "; none is predicted"
    return [f"{said}{_evidence(hit, names)}."]


def _evidence(hit: Hit, names: Mapping[str, str]) -> str:
    found = evidence_of(hit)
    if not found:
        return ""
    first = found[0]
    name = plain(shortened(names.get(first["treatment"], first["treatment"])))
    nearest = f"the most similar annotated hit is {name} (similarity {number(first['similarity'])})"
    agreeing = sum(_share(item["mechanism"], first["mechanism"]) for item in found)
    return f", since {nearest}, and {agreeing} of the {len(found)} nearest agree"


def evidence_of(hit: Hit) -> list[dict[str, Any]]:
    """Return the annotated hits that a prediction rests on, the most similar first."""
    if not hit.mechanism_evidence:
        return []
    neighbours = json.loads(hit.mechanism_evidence).get("neighbours")
    return list(neighbours) if isinstance(neighbours, list) else []


def neighbours_in_words(neighbours: Sequence[Neighbour], own: str | None) -> str:
    """Return what the most similar treatments have in common, in Markdown."""
    if not neighbours:
        return "No similar treatment is known: neighbours are made for treatments that were called."
    labels = Counter(label for item in neighbours for label in set((item.mechanism or "").split("|")) if label)
    if not labels:
        return f"None of the {counted(len(neighbours), 'nearest treatment')} has a mechanism."
    label, n = min(labels.items(), key=lambda pair: (-pair[1], pair[0]))
    same = ", its own" if _share(own, label) else ""
    verb = "has" if n == 1 else "have"
    return (
        f"**{n} of the {len(neighbours)} most similar treatments {verb} the mechanism "
        f"{plain(shortened(label))}**{same}."
    )


def quality_in_words(wells: Sequence[PerturbationWell], flagged: int | None) -> str:
    """Return how its wells are, in Markdown.

    Args:
        wells: Of the perturbation.
        flagged: How many have a site that is out of focus or saturated.
    """
    sites, failed = sum(well.sites for well in wells), sum(well.sites_failed for well in wells)
    excluded = sum(well.excluded_reason is not None for well in wells)
    said = [
        f"{counted(len(wells), 'well')} with {counted(sites, 'site')}",
        "every site was read" if not failed else f"**{counted(failed, 'site')} could not be read**",
        "none taken out by a person" if not excluded else f"**{counted(excluded, 'well')} taken out by a person**",
    ]
    if flagged is not None:
        flags = "none out of focus or saturated"
        said.insert(2, flags if not flagged else f"**{counted(flagged, 'well')} out of focus or saturated**")
    return f"{'; '.join(said)}."


def _share(one: str | None, other: str | None) -> bool:
    """Return whether two mechanisms have a label in common; several are joined by a bar."""
    first, second = (
        {label.strip().casefold() for label in (text or "").split("|") if label.strip()} for text in (one, other)
    )
    return bool(first & second)
