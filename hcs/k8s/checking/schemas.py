"""What a schema refuses, as findings: each cause once, at the place that is to be mended."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, dotted, title


def findings_of(validator: Any, item: Object, *, said_by: str, prefix: tuple[str | int, ...] = ()) -> Iterator[Finding]:
    """Return a finding for each error that a validator of jsonschema has with an object."""
    for error in validator.iter_errors(item):
        yield from _findings_of_error(error, item, said_by, prefix)


def _findings_of_error(error: Any, item: Object, said_by: str, prefix: tuple[str | int, ...]) -> Iterator[Finding]:
    path = (*prefix, *error.absolute_path)
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    if error.validator == "additionalProperties":
        for key in sorted(set(error.instance) - set(known)):
            yield Finding(
                title(item),
                dotted((*path, key)),
                "schema/unknown-field",
                f"a field that {said_by} knows{_nearest(key, known)}",
                key,
                "remove it or mend its name",
            )
    elif error.validator == "required":
        for key in (key for key in error.validator_value if key not in error.instance):
            yield Finding(title(item), dotted((*path, key)), "schema/required", f"a value, says {said_by}", "none",
                          "add it")  # fmt: skip
    else:
        said = error.message if len(error.message) < 160 else f"{error.message[:80]} ... {error.message[-70:]}"
        yield Finding(
            title(item),
            dotted(path),
            "schema/value",
            f"{error.validator} {str(error.validator_value)[:120]}, says {said_by}",
            said,
            "write it as the schema says",
        )


def _nearest(key: str, known: dict[str, Any]) -> str:
    near = get_close_matches(key, list(known), n=1)
    return f" (nearest: {near[0]})" if near else ""
