"""What a check says of an object."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong in one place."""

    item: str
    """The object, as `Deployment/hcs-api`."""
    path: str
    """Where in it, as `spec.template.spec.containers[0].image`; empty for the object as a whole."""
    rule: str
    """The rule that is broken, as `policy/image`: the word to look up in the reference."""
    expected: str
    got: str
    advice: str

    def __str__(self) -> str:
        """Return one sentence."""
        place = f"{self.item} {self.path}".strip()
        return f"{place}: expected {self.expected}, got {self.got}; {self.advice} [{self.rule}]"


@dataclass(frozen=True, order=True)
class Unchecked:
    """A rule that was not evaluated on purpose, and why."""

    item: str
    path: str
    rule: str
    reason: str

    def __str__(self) -> str:
        """Return one sentence."""
        return f"{self.item} {self.path}: {self.reason}: {self.rule}"


@dataclass(frozen=True)
class Verdict:
    """What came of checking some objects."""

    n_objects: int
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...] = ()
