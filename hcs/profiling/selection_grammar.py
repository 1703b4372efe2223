"""The grammar that selections of rows are written in, such as `Metadata_pert_type == 'negcon'`.

    any        = all {"or" all}
    all        = one {"and" one}
    one        = "not" one | "(" any ")" | comparison
    comparison = column ("==" | "!=" | "<" | "<=" | ">" | ">=") value
               | column ["not"] "in" ("[" values "]" | "(" values ")")
    value      = 'text' | "text" | number | true | false
    column     = a name of letters, digits, `_`, `.` and `:` | `any name between backticks`

It is what pandas' `query`, and so pycytominer's `samples`, is mostly used for. Nothing in it is evaluated: there are no
calls, no attributes and no arithmetic, and how deep it nests and how long it is are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from hcs.errors import UsageError

Operator = Literal["==", "!=", "<", "<=", ">", ">="]
Value = str | float | bool

MOST_CHARACTERS = 20_000
MOST_NESTED = 40

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'[^']*'|"[^"]*")
      | (?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.:]))
      | (?P<quoted>`[^`]+`)
      | (?P<word>[^\W0-9][\w.:]*)
      | (?P<sign>==|!=|<=|>=|[<>()\[\],])
    )""",
    re.VERBOSE,
)
_OPERATORS = ("==", "!=", "<", "<=", ">", ">=")
_TRUTHS = {"true": True, "True": True, "false": False, "False": False}
_RESERVED = {"and", "or", "not", "in", *_TRUTHS}
_CLOSING = {"[": "]", "(": ")"}


@dataclass(frozen=True)
class Comparison:
    """A column held against one value."""

    column: str
    operator: Operator
    value: Value
    place: int
    """Of the column in the text, from 0."""


@dataclass(frozen=True)
class Membership:
    """A column that holds one of several values."""

    column: str
    values: tuple[Value, ...]
    place: int


@dataclass(frozen=True)
class Negation:
    """What does not hold."""

    condition: Condition


@dataclass(frozen=True)
class Junction:
    """Conditions that all hold (`and`), or any of them (`or`)."""

    word: Literal["and", "or"]
    conditions: tuple[Condition, ...]


Condition = Comparison | Membership | Negation | Junction


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


def parse_selection(text: str) -> Condition:
    """Return what a selection says.

    Raises:
        UsageError: If it is not one; the message names the place.
    """
    if len(text) > MOST_CHARACTERS:
        raise UsageError(
            f"a selection of rows of at most {MOST_CHARACTERS:,} characters is expected, but {len(text):,} came; write "
            " the answer into a metadata column, and select by that"
        )
    parser = _Parser(text, _tokens(text))
    condition = parser.any_of(0)
    parser.expect_end()
    return condition


def complaint(text: str, place: int, expected: str, came: str, advice: str = "") -> UsageError:
    """Return the error of something at a place of a selection."""
    shown = text[max(place - 30, 0) : place] + " >>> " + text[place : place + 40]
    more = f"; {advice}" if advice else ""
    return UsageError(f"expected {expected}, but {came} came at character {place + 1} of a selection: {shown}{more}")


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None:
            raise _unreadable(text, place + len(text[place:]) - len(text[place:].lstrip()))
        kind = cast("str", found.lastgroup)
        tokens.append(_Token(kind, found[kind], found.start(kind)))
        place = found.end()
    return [*tokens, _Token("end", "the end", end)]


def _unreadable(text: str, place: int) -> UsageError:
    character = text[place]
    if character == "=":
        return complaint(text, place, "a comparison", "a single =", "write == for equal")
    if character in "'\"`":
        return complaint(text, place, f"a closing {character}", "none", "put it after the name or value")
    if character in "&|!~":
        return complaint(text, place, "a word", f"{character}", "write and, or, not")
    return complaint(
        text, place, "a column, a comparison or a value", repr(character), "put odd names of columns between backticks"
    )


class _Parser:
    """Reads tokens from the left; every method reads what it is named after."""

    def __init__(self, text: str, tokens: Sequence[_Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._next = 0

    def any_of(self, depth: int) -> Condition:
        return self._joined("or", depth)

    def expect_end(self) -> None:
        if self._token.kind != "end":
            raise self._unexpected("`and`, `or` or the end")

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _joined(self, word: Literal["and", "or"], depth: int) -> Condition:
        read = self._one if word == "and" else lambda below: self._joined("and", below)
        conditions = [read(depth)]
        while self._takes("word", word):
            conditions.append(read(depth))
        return conditions[0] if len(conditions) == 1 else Junction(word, tuple(conditions))

    def _one(self, depth: int) -> Condition:
        if depth > MOST_NESTED:
            raise self._unexpected(f"at most {MOST_NESTED} nested parentheses and `not`")
        if self._takes("word", "not"):
            return Negation(self._one(depth + 1))
        if self._takes("sign", "("):
            condition = self.any_of(depth + 1)
            if not self._takes("sign", ")"):
                raise self._unexpected("`and`, `or` or a closing )")
            return condition
        return self._comparison()

    def _comparison(self) -> Condition:
        token = self._token
        if token.kind not in {"word", "quoted"} or token.text in _RESERVED:
            raise self._unexpected("a metadata column", "a column stands on the left of what it is compared with")
        self._next += 1
        column = token.text.strip("`")
        if self._takes("word", "not"):
            if not self._takes("word", "in"):
                raise self._unexpected("`in` after `not`")
            return Negation(Membership(column, self._values(), token.place))
        if self._takes("word", "in"):
            return Membership(column, self._values(), token.place)
        sign = self._token
        if sign.text not in _OPERATORS or sign.kind != "sign":
            advice = f"a name with blanks stands between backticks: `{column} ...`"
            raise self._unexpected(f"one of {' '.join(_OPERATORS)} in, after {column}", advice)
        self._next += 1
        return Comparison(column, cast("Operator", sign.text), self._value(), token.place)

    def _values(self) -> tuple[Value, ...]:
        opening = self._token.text
        if not (self._takes("sign", "[") or self._takes("sign", "(")):
            raise self._unexpected("a list, as in ['a', 'b']")
        values = [self._value()]
        while self._takes("sign", ","):
            values.append(self._value())
        if not self._takes("sign", _CLOSING[opening]):
            raise self._unexpected(f"a comma or {_CLOSING[opening]}")
        return tuple(values)

    def _value(self) -> Value:
        token = self._token
        if token.kind == "word" and token.text in _TRUTHS:
            value: Value = _TRUTHS[token.text]
        elif token.kind == "text":
            value = token.text[1:-1]
        elif token.kind == "number":
            value = float(token.text)
        elif token.kind in {"word", "quoted"} and token.text not in _RESERVED:
            raise self._unexpected("a value", f"put text between quotes: '{token.text.strip('`')}'")
        else:
            raise self._unexpected("a value, such as 'negcon' or 10")
        self._next += 1
        return value

    def _takes(self, kind: str, text: str) -> bool:
        is_next = self._token.kind == kind and self._token.text == text
        self._next += is_next
        return is_next

    def _unexpected(self, expected: str, advice: str = "") -> UsageError:
        return complaint(self._text, self._token.place, expected, self._token.text[:40], advice)
