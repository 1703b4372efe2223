"""What a call must satisfy to be listed among hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_

from hcs.catalog.frames import equals
from hcs.catalog.models import Call, CallMechanism
from hcs.errors import UsageError

NOT_TOXIC = 0.5
"""A treatment is not toxic when it leaves at least this share of the controls' cells."""
TREATMENT_TYPES = ("treatment", "poscon")
LARGEST_NUMBER = 1_000_000_000
"""What a number that somebody typed may be: databases hold twice as much."""


@dataclass(frozen=True)
class HitLimits:
    """What is asked of hits, all of it together.

    Raises:
        UsageError: If a limit makes no sense.
    """

    mechanism: str | None = None
    """One label, in any case; it is compared with each label of `a|b`. What was predicted counts too, and
    `mechanism_source` tells the two apart."""
    q_max: float = 0.05
    """Largest q value; 1 keeps also the rows without one."""
    not_toxic: bool = False
    """Whether `cell_count_ratio` must be known and at least 0.5."""
    not_by_count: bool = False
    """Whether those are left out that the number of cells explains. As with the two that follow, what cannot be told or
    was not tested is kept."""
    not_one_channel: bool = False
    """Whether those are left out that show in one channel alone."""
    not_flagged: bool = False
    """Whether those are left out whose wells are flagged more often than controls."""
    min_batches: int | None = None
    """Smallest number of batches in which the treatment holds by itself. Where that is not known, since it is no hit or
    its run is of an earlier version, it is left out."""
    control_types: Sequence[str] = TREATMENT_TYPES
    """`treatment`, `poscon` or both: two families, each with its own q values."""

    def __post_init__(self) -> None:
        if not 0 < self.q_max <= 1:
            raise UsageError(f"--q-max is above 0 and at most 1 (which keeps rows without a q), but {self.q_max} came.")
        if self.min_batches is not None and not 1 <= self.min_batches <= LARGEST_NUMBER:
            raise UsageError(
                f"--min-batches is at least 1 and at most {LARGEST_NUMBER:,}, but {self.min_batches} came."
            )
        if unknown := sorted(set(self.control_types) - set(TREATMENT_TYPES)):
            raise UsageError(f"calls are made of {' and '.join(TREATMENT_TYPES)}, but {', '.join(unknown)} came.")

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what a row of `Call` satisfies."""
        passing: list[ColumnElement[bool]] = [Call.control_type.in_(self.control_types)]
        if self.q_max < 1:
            passing.append(Call.q_value <= self.q_max)
        if self.not_toxic:
            passing.append(Call.cell_count_ratio >= NOT_TOXIC)
        if self.not_by_count:
            passing.append(Call.explained_by_count.is_distinct_from("explained"))
        if self.not_one_channel:
            passing.append(Call.channel_verdict.is_distinct_from("one_channel"))
        if self.not_flagged:
            passing.append(Call.quality_verdict.is_distinct_from("flagged_more"))
        if self.min_batches is not None:
            passing.append(Call.n_batches_holding >= self.min_batches)
        if self.mechanism is not None:
            passing.append(_has_label(self.mechanism))
        return passing


AS_USUAL = HitLimits()
EVERY_CALL = HitLimits(q_max=1.0)
"""Also the calls that are no hits, and those without a q value."""


def _has_label(mechanism: str) -> ColumnElement[bool]:
    """Return the condition that a call, joined with its labels, has one of them; a label stands once beside a call."""
    return and_(
        CallMechanism.run_id == Call.run_id,
        CallMechanism.profile == Call.profile,
        CallMechanism.treatment == Call.treatment,
        CallMechanism.control_type == Call.control_type,
        equals(CallMechanism.folded_label, mechanism.strip().casefold()),
    )
