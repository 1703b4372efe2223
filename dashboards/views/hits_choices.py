"""What is asked on the page of hits: the mechanism first, then how sure, how strong and what may not explain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import streamlit as st

from dashboards.components.addresses import chosen
from dashboards.words import LONGEST_NAME, counted, plain, shortened
from schemas.api import Hit, Mechanism

Q_MAX, EFFECT_MIN, BATCHES_MIN = 0.05, 0.0, 0
TREATMENTS, CONTROLS, BOTH = "treatments", "controls", "both"
KINDS: dict[str, tuple[str, Literal["treatment", "poscon"] | None]] = {
    TREATMENTS: ("Treatments", "treatment"),
    CONTROLS: ("Positive controls", "poscon"),
    BOTH: ("Both", None),
}


@dataclass(frozen=True)
class Question:
    """One question, as the choices on the page put it. The defaults are theirs."""

    mechanism: str | None = None
    q_max: float = Q_MAX
    effect_min: float = EFFECT_MIN
    batches_min: int = BATCHES_MIN
    kind: str = TREATMENTS
    not_by_count: bool = False
    not_one_channel: bool = False
    not_flagged: bool = False
    not_toxic: bool = False

    def to_the_api(self) -> dict[str, Any]:
        """Return the part that the API answers, as options of `Client.hits`."""
        return {
            "mechanism": self.mechanism,
            "q_max": self.q_max,
            "not_toxic": self.not_toxic,
            "not_by_count": self.not_by_count,
            "not_one_channel": self.not_one_channel,
            "not_flagged": self.not_flagged,
            "min_batches": self.batches_min or None,
            "control_type": KINDS[self.kind][1],
        }

    def kept(self, hits: Sequence[Hit]) -> list[Hit]:
        """Return those of the API's answer that also have the effect that is asked for."""
        return [hit for hit in hits if self.effect_min <= 0 or (hit.effect or 0.0) >= self.effect_min]

    def looser(self) -> list[tuple[str, Question]]:
        """Return the questions with one condition less, each with what is left out, in words of Markdown."""
        without = [
            (self.mechanism is not None, f"of any mechanism, not only {plain(shortened(self.mechanism))}", "mechanism"),
            (self.effect_min > 0, "of any effect", "effect_min"),
            (self.not_by_count, "also where cell count explains it", "not_by_count"),
            (self.not_one_channel, "also where one channel alone shows it", "not_one_channel"),
            (self.not_flagged, "also where images are flagged", "not_flagged"),
            (self.not_toxic, "also where most cells are gone", "not_toxic"),
            (self.batches_min > 0, "in however many batches they hold", "batches_min"),
        ]
        questions = [(words, replace(self, **{name: _DEFAULTS[name]})) for is_set, words, name in without if is_set]
        if self.q_max < LOOSE_Q:
            questions.append((f"at q \N{LESS-THAN OR EQUAL TO} {LOOSE_Q:g}", replace(self, q_max=LOOSE_Q)))
        return questions


LOOSE_Q = 0.2
_NOT = ("not_by_count", "not_one_channel", "not_flagged", "not_toxic")
_KEYS = ("mechanism", "q", "effect", "batches", "kind", *_NOT)
_DEFAULTS: dict[str, Any] = {
    "mechanism": None,
    "effect_min": EFFECT_MIN,
    **dict.fromkeys(_NOT, False),
    "batches_min": BATCHES_MIN,
}


def is_chosen() -> bool:
    """Return whether somebody has chosen anything of the question already, here or in the address."""
    return any(name in st.query_params or name in st.session_state for name in _KEYS)


def chosen_question(mechanisms: Sequence[Mechanism]) -> Question:
    """Draw the choices, which stand in the address too, and return the question that they put.

    Args:
        mechanisms: That can be asked for, with their numbers.
    """
    first, second, third, fourth, fifth = st.columns([3.2, 1, 1.3, 1.2, 1.5], vertical_alignment="bottom")
    labels = {mechanism.label: mechanism for mechanism in mechanisms}
    with first:
        mechanism = chosen(
            "Mechanism",
            sorted(labels, key=lambda label: (-labels[label].hits, label)),
            optional=True,
            format_func=lambda label: option_of(labels[label]),
            placeholder=f"Any of {counted(len(labels), 'mechanism')}" if labels else "None is known in this run",
            key="mechanism",
            help="Annotated, or predicted from similar treatments. The numbers count positive controls too.",
        )
    with second:
        q_max = st.number_input(
            "Largest q", 0.0001, 1.0, Q_MAX, 0.01, format="%.4g", key="q", bind="query-params", help=Q_HELP
        )
    with third:
        effect = st.number_input(
            "Smallest effect", 0.0, 1000.0, EFFECT_MIN, 0.5, format="%.4g", key="effect", bind="query-params",
            help=EFFECT_HELP,
        )  # fmt: skip
    with fourth:
        batches = st.number_input(
            "Batches, at least", 0, 1000, BATCHES_MIN, 1, key="batches", bind="query-params", help=BATCHES_HELP
        )  # fmt: skip
    with fifth:
        kind = chosen(
            "Of",
            list(KINDS),
            key="kind",
            format_func=lambda kind: KINDS[kind][0],
            help="q values are made within treatments, and within positive controls.",
        )
    columns = st.columns([1.5, 1.3, 1.6, 0.9], vertical_alignment="center")
    asked = {
        name: column.checkbox(label, key=name, bind="query-params", help=about)
        for column, (name, (label, about)) in zip(columns, NOTS.items(), strict=True)
    }
    return Question(mechanism, float(q_max), float(effect), int(batches), kind or TREATMENTS, **asked)


Q_HELP = (
    "Of the treatments with at most this q, about this share is expected to be false (Benjamini and Hochberg). "
    "1 shows every treatment, also those without a q."
)
EFFECT_HELP = (
    "Length of the mean profile of its wells, in lengths that the mean of as many control wells has: 1 is no effect."
)
BATCHES_HELP = (
    "In how many batches a hit holds by itself. 0 asks for none. From 1 on hits are left out whose batches have too "
    "few wells to tell, and those of runs of earlier versions, which did not test it."
)
NOTS = {
    "not_by_count": (
        "Not explained by cell count",
        "Leaves out hits whose profile is what as few cells do to any profile. Where that cannot be told they stay.",
    ),
    "not_one_channel": (
        "Not in one channel alone",
        "Leaves out hits that a single channel shows, as with a compound that glows by itself. Where that cannot be "
        "told they stay.",
    ),
    "not_flagged": (
        "Images not flagged more",
        "Leaves out hits whose wells are out of focus, saturated or the like more often than the negative controls of "
        "their plates. Where images were not judged they stay.",
    ),
    "not_toxic": (
        "Not toxic",
        "Only with at least half as many cells as the negative controls of the same plates (median).",
    ),
}
"""Option of `Client.hits` -> what its box is called, and what it does."""


def option_of(mechanism: Mechanism) -> str:
    """Return a mechanism as it stands among the choices."""
    label = shortened(mechanism.label, longest=LONGEST_NAME)
    return f"{label} ({counted(mechanism.hits, 'hit')} of {counted(mechanism.treatments, 'treatment')})"
