"""How names and numbers are written on a page: a name stays text whatever it holds, and a number has its unit."""

from __future__ import annotations

import math
import re
import unicodedata

NOTHING = "-"
LONGEST_NAME = 60
"""Characters of a name in a heading or a line; the whole name stands in the table."""

_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that turn the direction of what is written, also of our own words behind a name."""

_APART, _ISOLATED = "\u2060", ("\u2068", "\u2069")
"""Nothing, that no line is broken at; and the two ends of what has a direction of its own."""

_LINKS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)
"""Where to break what would become a link by itself, without any markup."""

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~:$&=@^/])")


def plain(text: object) -> str:
    """Return a text that Markdown shows as it is: `<script>`, `:smile:`, `$x$`, `[a](b)` and addresses are letters.

    One that is written from right to left stands by itself, so that what is around it stays in its order.
    """
    words = _DIRECTIONS.sub("", " ".join(str(text).split()))
    escaped = _MARKUP.sub(r"\\\1", _LINKS.sub(_APART, words))
    return escaped.join(_ISOLATED) if _is_from_right(words) else escaped


def shortened(name: str | None, *, longest: int = LONGEST_NAME) -> str:
    """Return a name that fits into a line."""
    if not name:
        return NOTHING
    kept = _DIRECTIONS.sub("", name) or NOTHING
    return kept if len(kept) <= longest else f"{kept[: longest - 3]}..."


def _is_from_right(text: str) -> bool:
    return any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in text)


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
