"""Custom objects against the definitions of their kinds, as an API server reads them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from hcs.errors import MissingFileError
from hcs.k8s.checking.cel import check_rules
from hcs.k8s.checking.core import is_core
from hcs.k8s.checking.finding import Finding, Unchecked
from hcs.k8s.checking.objects import Object, group, kind, title
from hcs.k8s.checking.schemas import findings_of

Schema = dict[str, Any]
_LIMITS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_KEPT = ("type", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
         "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "required")  # fmt: skip
_LOGIC = ("allOf", "anyOf", "oneOf")


def check_custom(objects: list[Object], *, definitions: Path | None) -> Iterator[Finding | Unchecked]:
    """Return what the definitions of custom kinds say of the objects, and which of their rules are not evaluated.

    Args:
        objects: All objects; those of Kubernetes itself are passed over.
        definitions: A folder of CustomResourceDefinitions as YAML; None: there are none.

    Raises:
        MissingFileError: If the folder is not there.
    """
    if definitions is not None and not definitions.is_dir():
        raise MissingFileError(f"expected a folder of CustomResourceDefinitions, got {definitions}; name one by --crds")
    for item in objects:
        if is_core(item):
            continue
        schema = _find(item, definitions)
        if schema is None:
            yield Finding(
                title(item),
                "apiVersion",
                "schema/unknown-kind",
                f"a kind that is defined in {definitions or 'the folder of --crds, which was not named'}",
                f"{item['apiVersion']} {kind(item)}",
                "add its CustomResourceDefinition to that folder, or correct apiVersion and kind"
                if definitions
                else "name a folder with its CustomResourceDefinition, or leave such objects out by --core-only",
            )
        else:
            yield from _check_one(item, schema)


def _check_one(item: Object, schema: Schema) -> Iterator[Finding | Unchecked]:
    from jsonschema.validators import Draft202012Validator

    filled = with_defaults(item, schema)
    said_by = f"the definition of {kind(item)}"
    found = list(findings_of(Draft202012Validator(_strict_of(schema)), filled, said_by=said_by))
    yield from found
    if not found:  # an API server evaluates rules only on what its schema takes
        yield from check_rules(filled, schema, item=title(item))


def with_defaults(value: Any, schema: Schema) -> Any:
    """Return a value as the API server sees it: null dropped where it is no value, then defaults filled in."""
    if isinstance(value, dict):
        properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
        filled = {}
        for key, inner in value.items():
            below = properties.get(key) or (others if isinstance(others, dict) else {})
            if inner is not None or below.get("nullable") or not below:
                filled[key] = with_defaults(inner, below)
        for key, below in properties.items():
            if key not in filled and "default" in below:
                filled[key] = with_defaults(copy.deepcopy(below["default"]), below)
        return filled
    if isinstance(value, list):
        return [with_defaults(inner, schema.get("items") or {}) for inner in value]
    return value


def strict(schema: Schema, *, top: bool = True) -> Schema:
    """Return a structural schema as JSON Schema that refuses unknown fields."""
    made: Schema = {key: schema[key] for key in _KEPT if key in schema}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if schema.get("type") == "integer" and schema.get("format") in _LIMITS:
        low, high = _LIMITS[schema["format"]]
        made["minimum"] = max(low, schema.get("minimum", low))
        made["maximum"] = min(high, schema.get("maximum", high))
    if schema.get("nullable") and "type" in made:
        kinds = made["type"] if isinstance(made["type"], list) else [made["type"]]
        made["type"] = [*kinds, "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
    for word in _LOGIC:
        if word in schema and not (word == "anyOf" and schema.get("x-kubernetes-int-or-string")):
            made[word] = [_logic(inner) for inner in schema[word]]
    if "not" in schema:
        made["not"] = _logic(schema["not"])
    if "items" in schema:
        made["items"] = strict(schema["items"], top=False)
    if schema.get("x-kubernetes-list-type") == "set":
        made["uniqueItems"] = True
    return {**made, **_fields(schema, top=top)}


def _fields(schema: Schema, *, top: bool) -> Schema:
    properties = {key: strict(inner, top=False) for key, inner in (schema.get("properties") or {}).items()}
    embedded = schema.get("x-kubernetes-embedded-resource")
    if top or embedded:
        properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    made: Schema = {"properties": properties} if properties else {}
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        made["additionalProperties"] = strict(others, top=False)
    elif schema.get("type") == "object" and not others and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    return made


def _logic(schema: Schema) -> Schema:
    """Return a part under anyOf and its like, which adds conditions and no fields."""
    made: Schema = {key: schema[key] for key in _KEPT if key in schema}
    if "properties" in schema:
        made["properties"] = {key: _logic(inner) for key, inner in schema["properties"].items()}
    for word in _LOGIC:
        if word in schema:
            made[word] = [_logic(inner) for inner in schema[word]]
    if "not" in schema:
        made["not"] = _logic(schema["not"])
    return made


_strict_schemas: dict[int, tuple[Schema, Schema]] = {}


def _strict_of(schema: Schema) -> Schema:
    """Return the strict form of a definition, made once: the larger ones take a while."""
    known = _strict_schemas.get(id(schema))
    if known is None or known[0] is not schema:
        known = _strict_schemas[id(schema)] = (schema, strict(schema))
    return known[1]


def _find(item: Object, folder: Path | None) -> Schema | None:
    if folder is None:
        return None
    return _read(folder.resolve(), group(item), str(item["apiVersion"]).rpartition("/")[2], kind(item))


@lru_cache(maxsize=128)
def _read(folder: Path, of_group: str, version: str, of_kind: str) -> Schema | None:
    for file in sorted(folder.glob("*.y*ml")):
        text = file.read_text(encoding="utf-8")
        if f"group: {of_group}\n" not in text or f"kind: {of_kind}\n" not in text:
            continue  # reading all of them takes seconds
        for document in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            for one in _unpacked(document):
                found = _schema_of(one, of_group, version, of_kind)
                if found is not None:
                    return found
    return None


def _unpacked(document: Any) -> list[Any]:
    """Return the objects of a document: `kubectl get crd` prints several as one list."""
    is_list = isinstance(document, dict) and document.get("kind") == "List"
    return list(document.get("items") or ()) if is_list else [document]


def _schema_of(document: Any, of_group: str, version: str, of_kind: str) -> Schema | None:
    if not isinstance(document, dict) or document.get("kind") != "CustomResourceDefinition":
        return None
    spec = document["spec"]
    if spec["group"] != of_group or spec["names"]["kind"] != of_kind:
        return None
    for entry in spec["versions"]:
        if entry["name"] == version and entry.get("served"):
            return dict(entry["schema"]["openAPIV3Schema"])
    return None
