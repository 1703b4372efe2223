"""Where passwords and keys are: in Secrets alone, and those of the catalog not with the workers of a run.

Units are performed by workers, on what was delivered by others; a worker that is taken over must not hold the catalog.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, dig, kind, name, namespace, of_kind, title
from hcs.k8s.checking.pods import Pods

SECRET_VARIABLES = frozenset(
    {
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "HF_TOKEN",
        "MINIO_ROOT_PASSWORD",
        "PGPASSWORD",
        "POSTGRES_PASSWORD",
        "RAY_AUTH_TOKEN",
        "STREAMLIT_SERVER_COOKIE_SECRET",
    }
)
CATALOG_VARIABLES = frozenset({"HCS_CATALOG", "PGPASSWORD", "PGUSER"})
CATALOG_SECRETS = ("-app", "-superuser")
"""Endings of the Secrets with which one opens a database of CloudNativePG."""

_PASSWORD_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s:]*:[^/@\s]+@", re.IGNORECASE)


def check_credentials(objects: list[Object], pods: list[Pods]) -> Iterator[Finding]:
    """Return a finding for each secret that stands in the manifests, and each that a worker does not need."""
    for item in of_kind(objects, "Secret"):
        if item.get("data") or item.get("stringData"):
            yield Finding(title(item), "data", "policy/secret", "Secrets that the operator of the cluster makes",
                          "one with its values", "take it out, and declare it: hcs/external-secrets")  # fmt: skip
    for item in of_kind(objects, "ConfigMap"):
        for key, value in (item.get("data") or {}).items():
            yield from _check_value(title(item), f"data.{key}", key, value)
    for one in pods:
        for path, container in one.containers(with_autoscaler=True):
            for place, variable in enumerate(container.get("env") or ()):
                where = f"{path}.env[{place}]"
                yield from _check_value(one.owner_title, where, str(variable.get("name")), variable.get("value"))
        if one.role in ("worker", "submitter"):
            yield from _check_worker(one, objects)


def _check_value(item: str, path: str, variable: str, value: Any) -> Iterator[Finding]:
    text = "" if value is None or str(value).startswith("$(") else str(value)
    if (variable in SECRET_VARIABLES and text) or _PASSWORD_IN_URL.match(text):
        yield Finding(item, path, "policy/secret", "a password or key from a Secret (secretKeyRef)",
                      f"{variable} as text", "move it into a Secret")  # fmt: skip


def _check_worker(pods: Pods, objects: list[Object]) -> Iterator[Finding]:
    for path, got in _of_catalog(pods, objects):
        yield Finding(pods.owner_title, path, "policy/catalog", f"a {pods.role} without the catalog's credentials",
                      got, "remove it: the head alone speaks to the catalog")  # fmt: skip


def _of_catalog(pods: Pods, objects: list[Object]) -> Iterator[tuple[str, str]]:
    for place, volume in enumerate(pods.spec.get("volumes") or ()):
        sources = [volume, *(dig(volume, "projected", "sources") or ())]
        for source in sources:
            named = dig(source, "secret", "secretName") or dig(source, "secret", "name")
            if str(named or "").endswith(CATALOG_SECRETS):
                yield pods.at("volumes", place), f"the Secret {named}"
    for path, container in pods.containers():
        for place, variable in enumerate(container.get("env") or ()):
            named = str(dig(variable, "valueFrom", "secretKeyRef", "name") or "")
            if variable.get("name") in CATALOG_VARIABLES or named.endswith(CATALOG_SECRETS):
                yield f"{path}.env[{place}]", str(variable.get("name"))
        for place, source in enumerate(container.get("envFrom") or ()):
            where = f"{path}.envFrom[{place}]"
            if str(dig(source, "secretRef", "name") or "").endswith(CATALOG_SECRETS):
                yield where, f"the Secret {dig(source, 'secretRef', 'name')}"
            for item in objects:
                is_meant = (kind(item), name(item)) == ("ConfigMap", dig(source, "configMapRef", "name"))
                if is_meant and namespace(item) == pods.namespace and CATALOG_VARIABLES & set(item.get("data") or {}):
                    yield where, f"the ConfigMap {name(item)}"
