"""The answer of the page of hits in a sentence, and what may be the reason when there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dashboards.views.hits_choices import CONTROLS, TREATMENTS, Question
from dashboards.words import counted, dose, number, plain, shortened
from schemas.api import Hit

AT_MOST = "\N{LESS-THAN OR EQUAL TO}"


def answer(hits: Sequence[Hit], question: Question) -> str:
    """Return what was found, as a sentence of Markdown: how many treatments of how many compounds, and the doubt."""
    if not hits:
        return _no_answer(question)
    what = _what(len(hits), question)
    compounds = len({hit.perturbation for hit in hits})
    of = f" of {counted(compounds, 'compound')}" if compounds != len(hits) else ""
    verb = "is" if len(hits) == 1 else "are"
    if question.q_max >= 1:
        first = f"**{what}{of}** {verb} shown{_conditions(question)}, whatever the q"
    else:
        noun = "a hit" if len(hits) == 1 else "hits"
        first = f"**{what}{of}** {verb} {noun}{_conditions(question)} at q {AT_MOST} {question.q_max:g}"
    return f"{first}; {_doubts(hits)}."


def _doubts(hits: Sequence[Hit]) -> str:
    """Return how many hits may have another explanation, and which, the commonest first."""
    doubtful = sum(bool(hit.doubts) for hit in hits)
    if doubtful == 0:
        return "nothing else is known to explain any of them"
    counts = Counter(words for hit in hits for words in hit.doubts)
    told = ", ".join(f"{n:,} {plain(shortened(words))}" for words, n in sorted(counts.items(), key=_commonest_first))
    return f"{doubtful:,} of them may be explained otherwise ({told})"


def _commonest_first(pair: tuple[str, int]) -> tuple[int, str]:
    return -pair[1], pair[0]


def _no_answer(question: Question) -> str:
    what = f"**No {_what(1, question).removeprefix('1 ')}**"
    if question.q_max >= 1:
        return f"{what} is there{_conditions(question)}, whatever the q."
    return f"{what} is a hit{_conditions(question)} at q {AT_MOST} {question.q_max:g}."


def why_none(every: Sequence[Hit], question: Question) -> list[str]:
    """Return what may be the reason that nothing passes, as sentences of Markdown.

    Args:
        every: The calls of the run on this profile that are of the kind that is asked for, whatever their q.
        question: What was asked.
    """
    if not every:
        return ["The run has made no such call on this profile: there are no wells of this kind."]
    said = []
    callable_ones = [hit for hit in every if hit.q_value is not None]
    if not callable_ones:
        reasons = sorted({hit.reason for hit in every if hit.reason})
        told = f": {plain(shortened(reasons[0], longest=200))}" if reasons else ""
        return [f"None of {_what(len(every), question)} could be called{told}."]
    smallest = min(hit.q_value for hit in callable_ones if hit.q_value is not None)
    if smallest > question.q_max:
        said.append(f"The smallest q of {_what(len(callable_ones), question)} is {number(smallest)}.")
    else:
        said.append("Some have such a q, but none of them also has the rest of what is asked.")
    weak = sum(hit.call == "underpowered" for hit in every)
    if weak:
        said.append(
            f"{counted(weak, 'treatment')} {'is' if weak == 1 else 'are'} underpowered: with so few wells or controls "
            "even the smallest possible p would be no hit. More replicates, or more controls a plate, would tell."
        )
    uncalled = len(every) - len(callable_ones)
    if uncalled:
        said.append(f"{counted(uncalled, 'treatment')} could not be called, for want of replicates beside controls.")
    return said


def loosened(words: str, n: int, *, most: int) -> str:
    """Return what one condition less would give, in words: `3 treatments of any effect`."""
    return f"{counted(n, 'treatment')}{' or more' if n >= most else ''} {words}"


def described(hit: Hit) -> str:
    """Return a treatment in a line of plain text: name, dose."""
    return (
        f"{shortened(hit.name or hit.perturbation)}, {dose(hit.concentration_micromolar, hit.dose_step)}".removesuffix(
            ", -"
        )
    )


def in_short(hit: Hit) -> str:
    """Return what a card says of a treatment, in Markdown."""
    strength = f"effect {number(hit.effect)} \N{MULTIPLICATION SIGN} control" if hit.effect is not None else "no effect"
    verdict = (
        "A hit"
        if hit.is_hit
        else {"underpowered": "Underpowered", "not_callable": "Not callable"}.get(hit.call, "No hit")
    )
    sure = "without a q" if hit.q_value is None else f"q {number(hit.q_value)}"
    seen = (
        f"{counted(hit.n_replicates, 'well')} on {counted(hit.n_plates, 'plate')} in {counted(hit.n_batches, 'batch')}"
    )
    mechanism = "No mechanism is known"
    if hit.mechanism:
        mechanism = f"Mechanism {hit.mechanism_source}: {plain(shortened(hit.mechanism))}"
    return (
        f"{verdict}: {sure}, mAP {number(hit.mean_average_precision)}, {strength}; {seen}{held_in(hit)}. {mechanism}. "
        f"{_otherwise(hit)}"
    ).rstrip()


def held_in(hit: Hit) -> str:
    """Return in how many batches it holds, as the end of a sentence; nothing where that was not tested."""
    if hit.n_batches_holding is None or not hit.n_batches_testable:
        return ""
    return f", and holds in {hit.n_batches_holding} of {counted(hit.n_batches_testable, 'batch')} by itself"


def _otherwise(hit: Hit) -> str:
    """Return what may explain a hit otherwise, beside how many cells are left."""
    said = []
    if hit.cell_count_ratio is not None:
        said.append(f"It has {number(hit.cell_count_ratio, digits=2)} of the controls' cells.")
    if hit.doubts:
        said.append(f"It may be explained otherwise: {', '.join(plain(shortened(words)) for words in hit.doubts)}.")
    return " ".join(said)


def _what(n: int, question: Question) -> str:
    noun = {TREATMENTS: "treatment", CONTROLS: "positive control"}.get(question.kind, "treatment or positive control")
    if n == 1 or question.kind in {TREATMENTS, CONTROLS}:
        return counted(n, noun)
    return f"{n:,} treatments and positive controls"


def _conditions(question: Question) -> str:
    said = ""
    if question.mechanism is not None:
        said += f" with mechanism {plain(shortened(question.mechanism))}"
    others = []
    if question.effect_min > 0:
        others.append(f"an effect of at least {question.effect_min:g} \N{MULTIPLICATION SIGN} control")
    if question.batches_min > 0:
        others.append(f"at least {counted(question.batches_min, 'batch')} in which they hold")
    if question.not_toxic:
        others.append("at least half of the controls' cells")
    if question.not_by_count:
        others.append("no explanation by cell count")
    if question.not_one_channel:
        others.append("more than one channel")
    if question.not_flagged:
        others.append("no more flagged images than controls")
    if others:
        joined = others[0] if len(others) == 1 else f"{', '.join(others[:-1])} and {others[-1]}"
        said += f"{' and' if said else ' with'} {joined}"
    return said
