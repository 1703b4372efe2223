"""How names and numbers are written on a page: a name stays text whatever it holds, and a number has its unit."""

from __future__ import annotations

import math
import re

NOTHING = "-"
LONGEST_NAME = 60
"""Characters of a name in a heading or a line; the whole name stands in the table."""

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~:$&=@^/])")


def plain(text: object) -> str:
    """Return a text that Markdown shows as it is: `<script>`, `:smile:`, `$x$` and `[a](b)` are letters."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def shortened(name: str | None, *, longest: int = LONGEST_NAME) -> str:
    """Return a name that fits into a line."""
    if not name:
        return NOTHING
    return name if len(name) <= longest else f"{name[: longest - 3]}..."


def number(value: float | None, *, digits: int = 3, unit: str = "") -> str:
    """Return a number in so many significant digits, with its unit; what nobody knows is a dash."""
    if value is None or math.isnan(value):
        return NOTHING
    written = f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    return f"{written} {unit}".rstrip()


def dose(micromolar: float | None, step: float | None) -> str:
    """Return a concentration, or the step of a dose that has none."""
    if micromolar is not None:
        return f"{micromolar:.4g} \N{MICRO SIGN}M"
    return NOTHING if step is None else f"step {step:g}"


def counted(n: int, what: str) -> str:
    """Return `1 plate`, `2 plates`, `2 batches`."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}{'es' if what.endswith(('s', 'ch')) else 's'}"
