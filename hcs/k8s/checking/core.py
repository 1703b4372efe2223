"""Kubernetes' own objects against its strict schemas, of several versions."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from hcs.errors import UsageError
from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, group, kind, name, namespace, title
from hcs.k8s.checking.schemas import findings_of

VERSIONS = ("1.33", "1.35", "1.37")
"""The versions of Kubernetes that manifests are held against unless somebody says otherwise."""

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAMES_WITH_COLONS = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")


def is_core(item: Object) -> bool:
    """Return whether an object is of a group of Kubernetes itself."""
    return "." not in group(item) or group(item).endswith(".k8s.io")


def check_core(objects: list[Object], *, versions: Sequence[str] = VERSIONS) -> Iterator[Finding]:
    """Return a finding for everything in Kubernetes' own objects that one of its versions refuses.

    Raises:
        UsageError: If no schemas of a version are at hand.
    """
    for version in versions:
        _folder(version)
    for item in objects:
        if is_core(item):
            told: set[tuple[str, str]] = set()
            for version in versions:
                for finding in _check_one(item, version):
                    if (finding.path, finding.rule) not in told:  # the first version that refuses it says so
                        told.add((finding.path, finding.rule))
                        yield finding
    yield from check_names(objects)


def check_names(objects: list[Object]) -> Iterator[Finding]:
    """Return a finding for names and labels that Kubernetes does not take, and for objects that come twice."""
    for item in objects:
        limit = 63 if kind(item) in ("Service", "Namespace") else 253
        is_free = kind(item) in _NAMES_WITH_COLONS
        if not is_free and (not _SUBDOMAIN.fullmatch(name(item)) or len(name(item)) > limit):
            yield Finding(title(item), "metadata.name", "schema/name", "lower case letters, digits and dashes, "
                          f"at most {limit}", name(item), "choose another name")  # fmt: skip
        for key, value in (item["metadata"].get("labels") or {}).items():
            if not isinstance(value, str) or len(value) > 63 or not _LABEL.fullmatch(value):
                yield Finding(title(item), f"metadata.labels[{key}]", "schema/label", "a label of at most 63 letters, "
                              "digits, dashes, dots and underscores", repr(value), "shorten or quote it")  # fmt: skip
    counted = Counter((group(item), title(item), namespace(item)) for item in objects)
    for (_, named, where), number in counted.items():
        if number > 1:
            yield Finding(named, "", "schema/twice", f"one object of this name in namespace {where}", str(number),
                          "remove or rename all but one")  # fmt: skip


def _check_one(item: Object, version: str) -> Iterator[Finding]:
    validator = _validator(version, kind(item).lower(), str(item["apiVersion"]))
    if validator is None:
        yield Finding(
            title(item),
            "apiVersion",
            "schema/unknown-kind",
            f"a kind that Kubernetes {version} knows",
            f"{item['apiVersion']} {kind(item)}",
            "write the apiVersion and kind as `kubectl explain` shows them",
        )
        return
    yield from findings_of(validator, item, said_by=f"Kubernetes {version}")


@lru_cache(maxsize=16)
def _folder(version: str) -> Any:
    import kubernetes_validate

    schemas = resources.files(kubernetes_validate) / "kubernetes-json-schema"
    named = sorted(entry.name for entry in schemas.iterdir() if entry.name.startswith("v"))
    wanted = re.compile(rf"v{re.escape(version.removeprefix('v'))}(\.\d+)?-local-strict")
    for folder in named:
        if wanted.fullmatch(folder):
            return schemas / folder
    known = ", ".join(match[1] for entry in named if (match := re.fullmatch(r"v(\d+\.\d+).*-local-strict", entry)))
    raise UsageError(
        f"expected versions of Kubernetes whose schemas are here: {known}; got {version}; name one of them"
    )


@lru_cache(maxsize=8)
def _registry(version: str) -> Any:
    from jsonschema.validators import Draft202012Validator
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    definitions = json.loads((_folder(version) / "_definitions.json").read_text(encoding="utf-8"))
    resource = Resource.from_contents(definitions, default_specification=DRAFT202012)
    return Draft202012Validator, Registry().with_resource(definitions["$id"], resource)


@lru_cache(maxsize=256)
def _validator(version: str, of_kind: str, api_version: str) -> Any:
    """Return what validates a kind, or None where the version does not know it."""
    shortened = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    file = _folder(version) / f"{of_kind}-{shortened}.json"
    if not file.is_file():
        return None
    kind_of_validator, registry = _registry(version)
    return kind_of_validator(json.loads(file.read_text(encoding="utf-8")), registry=registry)
