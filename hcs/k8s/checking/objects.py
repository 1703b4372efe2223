"""Kubernetes objects as parsed YAML: reading them, naming them, reaching into them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import yaml

from hcs.errors import UsageError
from hcs.k8s.bounded import check_bounds

Object = dict[str, Any]
"""One object of a manifest."""

Where = tuple[str | int, ...]
"""Keys and places that lead to something in an object."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster on the large definitions


class _StrictLoader(_Loader):  # type: ignore[misc]  # which of the two it is, the machine decides
    """Reads YAML as Kubernetes does: a key may come once."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is no text", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} comes twice", key_node.start_mark)
        seen.add(key)
    return dict(yaml.constructor.SafeConstructor.construct_mapping(loader, node, deep=True))


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_StrictLoader.yaml_implicit_resolvers = {  # a date is a text to Kubernetes, and so is a lonely `=`
    letter: [pair for pair in pairs if pair[0] not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")]
    for letter, pairs in _Loader.yaml_implicit_resolvers.items()
}


def read_objects(text: str, *, source: str) -> list[Object]:
    """Return the objects of a manifest, in its order; those of a `List` one by one.

    Args:
        text: YAML of any number of documents.
        source: Where it came from, for messages.

    Raises:
        UsageError: If the text is no YAML, has a key twice, or holds something that is no object.
    """
    try:
        check_bounds(text)
        documents = [item for item in yaml.load_all(text, Loader=_StrictLoader) if item is not None]
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise UsageError(f"expected Kubernetes objects as YAML in {source}, got {said}; mend the file") from None
    return [item for document in documents for item in _unpacked(document, source)]


def _unpacked(document: Any, source: str) -> Iterator[Object]:
    if isinstance(document, dict) and document.get("kind") == "List":
        items = document.get("items") or ()
        if not isinstance(items, list | tuple):
            raise UsageError(f"expected a list of objects as items of a List in {source}, got {str(items)[:80]!r}")
        for item in items:
            yield from _unpacked(item, source)
        return
    named = isinstance(document, dict) and isinstance(document.get("metadata"), dict)
    if not named or not all(isinstance(document.get(key), str) for key in ("apiVersion", "kind")):
        raise UsageError(
            f"expected objects with apiVersion, kind and metadata in {source}, got {str(document)[:80]!r}; "
            "give the output of `kubectl kustomize`, or a folder with a kustomization.yaml"
        )
    if not isinstance(document["metadata"].get("name"), str):
        raise UsageError(f"expected metadata.name in {document['kind']} of {source}, got none; name the object")
    for field in ("labels", "annotations"):
        values = document["metadata"].get(field)
        if values is not None and not isinstance(values, dict):
            raise UsageError(
                f"expected names and values as metadata.{field} of {title(document)} in {source}, got "
                f"{str(values)[:80]!r}; mend the file"
            )
    yield document


def kind(item: Object) -> str:
    """Return an object's kind."""
    return str(item["kind"])


def name(item: Object) -> str:
    """Return an object's name."""
    return str(item["metadata"]["name"])


def namespace(item: Object) -> str:
    """Return an object's namespace; `default` where it says none."""
    return str(item["metadata"].get("namespace") or "default")


def group(item: Object) -> str:
    """Return the API group; empty for the core group."""
    version = str(item["apiVersion"])
    return version.rpartition("/")[0]


def title(item: Object) -> str:
    """Return an object as messages name it, as `Deployment/hcs-api`."""
    return f"{kind(item)}/{name(item)}"


def notes(item: Object) -> dict[str, str]:
    """Return an object's annotations."""
    return dict(item["metadata"].get("annotations") or {})


def labels(item: Object) -> dict[str, str]:
    """Return an object's labels."""
    return dict(item["metadata"].get("labels") or {})


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """Return the objects of these kinds."""
    return [item for item in objects if kind(item) in kinds]


def dig(value: Any, *keys: str | int) -> Any:
    """Return what lies under keys and places, or None where the way ends early."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def dotted(keys: Where) -> str:
    """Return a path as people write it: `spec.containers[0].image`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text
