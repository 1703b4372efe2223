"""The rules in CEL that definitions of custom kinds carry (x-kubernetes-validations)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from hcs.k8s.checking.finding import Finding, Unchecked
from hcs.k8s.checking.objects import Where, dotted

_RESERVED = {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"}
_RESERVED |= {"import", "let", "loop", "package", "namespace", "return", "var", "void", "while"}
_SYMBOLS = {".": "__dot__", "-": "__dash__", "/": "__slash__"}
_OLD = re.compile(r"\boldSelf\b")


def check_rules(value: Any, schema: dict[str, Any], *, item: str, path: Where = ()) -> Iterator[Finding | Unchecked]:
    """Return a finding for each rule that a value breaks, and what was not evaluated: rules on a change, or beyond us.

    Args:
        value: What the API server would keep, with its defaults.
        schema: The structural schema of the value.
        item: The object, for messages.
        path: Where the value lies in it.
    """
    for rule in schema.get("x-kubernetes-validations") or ():
        yield from _check_rule(rule, value, schema, item, path)
    if isinstance(value, dict):
        properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, inner in value.items():
            below = properties.get(key, others)
            if isinstance(below, dict):
                yield from check_rules(inner, below, item=item, path=(*path, key))
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for place, inner in enumerate(value):
            yield from check_rules(inner, schema["items"], item=item, path=(*path, place))


def _check_rule(
    rule: dict[str, Any], value: Any, schema: dict[str, Any], item: str, path: Where
) -> Iterator[Finding | Unchecked]:
    from celpy.adapter import json_to_cel
    from celpy.evaluation import CELEvalError

    text = " ".join(rule["rule"].split())
    if _OLD.search(text) and not rule.get("optionalOldSelf"):
        yield Unchecked(item, dotted(path), text, "a rule on changes, which needs the object as it was")
        return
    program = _compile(rule["rule"])
    if isinstance(program, str):
        yield Unchecked(item, dotted(path), text, f"cel-python cannot read it ({program})")
        return
    try:
        result = program.evaluate({"self": json_to_cel(_escaped(value, schema))})
    except CELEvalError as error:
        if "no such member" not in _first_line(error):
            yield Unchecked(item, dotted(path), text, f"cel-python cannot evaluate it ({_first_line(error)})")
            return
        result = False  # an API server refuses a value whose rule asks for a field that is not there
    if not result:
        yield Finding(
            item,
            dotted((*path, *_field(rule))),
            "schema/cel",
            str(rule.get("message") or "what the definition's rule says"),
            f"a value that breaks `{text}`",
            "change the fields that the rule names",
        )


def _field(rule: dict[str, Any]) -> Where:
    return tuple(word for word in str(rule.get("fieldPath", "")).split(".") if word)


@lru_cache(maxsize=1024)
def _compile(text: str) -> Any:
    """Return a program, or why there is none."""
    import celpy
    from celpy.celparser import CELParseError

    environment = celpy.Environment()
    try:
        return environment.program(environment.compile(text))
    except CELParseError as error:
        return _first_line(error)


def _first_line(error: Exception) -> str:
    said = str(error.args[0] if error.args else error).strip().splitlines()
    return (said[0] if said else type(error).__name__)[:120]


def _escaped(value: Any, schema: dict[str, Any]) -> Any:
    """Return a value whose fields have the names that CEL knows them by; keys of free maps stay as they are."""
    if isinstance(value, dict):
        properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
        below = others if isinstance(others, dict) else {}
        return {
            _escaped_name(key) if key in properties else key: _escaped(inner, properties.get(key, below))
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_escaped(inner, schema.get("items") or {}) for inner in value]
    return value


def _escaped_name(field: str) -> str:
    if field in _RESERVED:
        return f"__{field}__"
    return "".join(_SYMBOLS.get(letter, letter) for letter in field.replace("__", "__underscores__"))
