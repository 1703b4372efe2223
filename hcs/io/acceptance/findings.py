"""One way to say a finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.acceptance import Finding, FindingKind, Severity, Verdict

MAX_EXAMPLES = 10

_KINDS = {kind: number for number, kind in enumerate(FindingKind)}
_SEVERITIES = {Severity.FATAL: 0, Severity.HOLE: 1, Severity.NOTE: 2}


def finding(
    kind: FindingKind, severity: Severity, *, place: str, things: Sequence[str], consequence: str
) -> tuple[Finding, ...]:
    """Return one finding about things of a kind, with the first of them as examples; none where there are no things."""
    if not things:
        return ()
    return (
        Finding(
            kind=kind,
            severity=severity,
            place=place,
            count=len(things),
            examples=tuple(things[:MAX_EXAMPLES]),
            consequence=consequence,
        ),
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings with the gravest first, then as the kinds are listed, then by place."""
    return tuple(sorted(findings, key=lambda item: (_SEVERITIES[item.severity], _KINDS[item.kind], item.place)))


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Return what may be done with a plate: one fatal finding rejects it, one hole makes holes."""
    severities = {item.severity for item in findings}
    if Severity.FATAL in severities:
        return Verdict.REJECT
    return Verdict.ACCEPT_WITH_HOLES if Severity.HOLE in severities else Verdict.ACCEPT
