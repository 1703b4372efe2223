"""What the objects name must be there: in the same set, made by an operator, or declared to come from elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, Where, dig, dotted, kind, name, namespace, notes, title
from hcs.k8s.checking.pods import RAY_CLUSTERS, Pods

EXTERNAL = {
    "Secret": "hcs/external-secrets",
    "ConfigMap": "hcs/external-configmaps",
    "ServiceAccount": "hcs/external-serviceaccounts",
    "PersistentVolumeClaim": "hcs/external-claims",
    "PriorityClass": "hcs/external-priorityclasses",
    "ClusterRole": "hcs/external-clusterroles",
}
"""Annotations, on any object, that name what the cluster holds without these manifests; separated by commas."""

CLUSTER_WIDE = {"PriorityClass", "ClusterRole"}
BUILT_IN = {
    "ServiceAccount": {"default"},
    "ConfigMap": {"kube-root-ca.crt"},
    "PriorityClass": {"system-cluster-critical", "system-node-critical"},
    "ClusterRole": {"view", "edit", "admin", "cluster-admin"},
}
OPERATOR_SECRETS = ("app", "superuser", "ca", "server", "replication")
"""Endings of the Secrets that CloudNativePG makes for a Cluster."""

SECRET_FIELDS = ("secretKeyRef", "accessKeyId", "secretAccessKey", "sessionToken", "endpointCA", "superuserSecret")


@dataclass(frozen=True)
class Reference:
    """A name that one object says of another."""

    item: str
    path: str
    namespace: str
    kind: str
    name: str
    key: str | None = None


def check_references(objects: list[Object], pods: list[Pods]) -> Iterator[Finding]:
    """Return a finding for everything that is named and not there, and for what is declared and not named."""
    there = {(kind(item), _home(kind(item), namespace(item)), name(item)): item for item in objects}
    declared = _declared(objects)
    references = [*_of_objects(objects), *(one for found in pods for one in _of_pods(found))]
    for one in references:
        known = there.get((one.kind, _home(one.kind, one.namespace), one.name))
        if known is not None:
            yield from _check_key(one, known)
        elif one.name not in declared[one.kind] and not _is_made_elsewhere(one, objects):
            yield _missing(one)
    yield from _check_declarations(objects, {(one.kind, one.name) for one in references})


def _home(of_kind: str, where: str) -> str:
    return "" if of_kind in CLUSTER_WIDE else where


def _declared(objects: list[Object]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for item in objects:
        for of_kind, key in EXTERNAL.items():
            found[of_kind] |= {word.strip() for word in notes(item).get(key, "").split(",")} - {""}
    return found


def _check_declarations(objects: list[Object], named: set[tuple[str, str]]) -> Iterator[Finding]:
    for item in objects:
        for of_kind, names in _declared([item]).items():
            for unused in sorted(word for word in names if (of_kind, word) not in named):
                yield Finding(
                    title(item),
                    f"metadata.annotations[{EXTERNAL[of_kind]}]",
                    "wiring/external",
                    f"{of_kind}s that some object names",
                    f"{unused}, which none names",
                    "remove it from the annotation",
                )


def _is_made_elsewhere(one: Reference, objects: list[Object]) -> bool:
    if one.name in BUILT_IN.get(one.kind, set()):
        return True
    if one.kind == "Secret":
        return any(
            item["apiVersion"].startswith("postgresql.cnpg.io/")
            and kind(item) == "Cluster"
            and namespace(item) == one.namespace
            and one.name in {f"{name(item)}-{ending}" for ending in OPERATOR_SECRETS}
            for item in objects
        )
    return False


def _check_key(one: Reference, known: Object) -> Iterator[Finding]:
    keys = {key for field in ("data", "stringData", "binaryData") for key in known.get(field) or {}}
    if one.key is not None and one.key not in keys:
        yield Finding(
            one.item,
            one.path,
            "wiring/reference",
            f"a key of {one.kind}/{one.name}: {', '.join(sorted(keys)) or 'it has none'}",
            one.key,
            "name one of these keys, or add it",
        )


def _missing(one: Reference) -> Finding:
    declare = f", or declare it in the annotation {EXTERNAL[one.kind]}" if one.kind in EXTERNAL else ""
    return Finding(
        one.item,
        one.path,
        "wiring/reference",
        f"a {one.kind} of namespace {one.namespace}",
        f"{one.name}, which is not there",
        f"add it to the manifests{declare}",
    )


def _of_pods(pods: Pods) -> Iterator[Reference]:
    def to(of_kind: str, named: Any, path: str, key: str | None = None) -> Iterator[Reference]:
        if isinstance(named, str) and named:
            yield Reference(pods.owner_title, path, pods.namespace, of_kind, named, key)

    spec = pods.spec
    yield from to("ServiceAccount", spec.get("serviceAccountName"), pods.at("serviceAccountName"))
    yield from to("PriorityClass", spec.get("priorityClassName"), pods.at("priorityClassName"))
    for place, secret in enumerate(spec.get("imagePullSecrets") or ()):
        yield from to("Secret", secret.get("name"), pods.at("imagePullSecrets", place))
    for place, volume in enumerate(spec.get("volumes") or ()):
        yield from _of_volume(volume, pods, pods.at("volumes", place))
    for path, container in pods.containers(with_autoscaler=True):
        for place, variable in enumerate(container.get("env") or ()):
            source = variable.get("valueFrom") or {}
            for field, of_kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                meant = source.get(field) or {}
                if not meant.get("optional"):
                    yield from to(
                        of_kind, meant.get("name"), f"{path}.env[{place}].valueFrom.{field}", meant.get("key")
                    )
        for place, source in enumerate(container.get("envFrom") or ()):
            for field, of_kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                meant = source.get(field) or {}
                if not meant.get("optional"):
                    yield from to(of_kind, meant.get("name"), f"{path}.envFrom[{place}].{field}")


def _of_volume(volume: dict[str, Any], pods: Pods, path: str) -> Iterator[Reference]:
    parts = [volume, *(dig(volume, "projected", "sources") or ())]
    for part in parts:
        for field, of_kind, key in (
            ("secret", "Secret", "secretName" if part is volume else "name"),
            ("configMap", "ConfigMap", "name"),
            ("persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
        ):
            meant = part.get(field) or {}
            if meant.get(key) and not meant.get("optional"):
                where = f"{path}.{field}.{key}" if part is volume else f"{path}.projected"
                yield Reference(pods.owner_title, where, pods.namespace, of_kind, meant[key])


def _of_objects(objects: list[Object]) -> Iterator[Reference]:
    for item in objects:
        if kind(item) in ("RoleBinding", "ClusterRoleBinding"):
            yield from _of_binding(item)
        elif kind(item) == "StatefulSet" and dig(item, "spec", "serviceName"):
            yield _plain(item, ("spec", "serviceName"), "Service", item["spec"]["serviceName"])
        elif kind(item) in RAY_CLUSTERS:
            path = (*RAY_CLUSTERS[kind(item)], "authOptions", "secretName")
            if dig(item, *path):
                yield _plain(item, path, "Secret", dig(item, *path))
        elif str(item["apiVersion"]).startswith("postgresql.cnpg.io/"):
            yield from _of_database(item)


def _plain(item: Object, path: Where, of_kind: str, named: str, key: str | None = None) -> Reference:
    return Reference(title(item), dotted(path), namespace(item), of_kind, named, key)


def _of_binding(item: Object) -> Iterator[Reference]:
    for place, subject in enumerate(item.get("subjects") or ()):
        if subject.get("kind") == "ServiceAccount":
            where = subject.get("namespace") or namespace(item)
            path = dotted(("subjects", place))
            yield Reference(title(item), path, where, "ServiceAccount", subject.get("name", ""))
    role = item.get("roleRef") or {}
    yield _plain(item, ("roleRef",), role.get("kind", "Role"), role.get("name", ""))


def _of_database(item: Object) -> Iterator[Reference]:
    cluster = dig(item, "spec", "cluster", "name")
    if kind(item) in ("Pooler", "ScheduledBackup", "Backup", "Database") and cluster:
        yield _plain(item, ("spec", "cluster", "name"), "Cluster", cluster)
    if dig(item, "spec", "bootstrap", "initdb", "secret", "name"):
        path = ("spec", "bootstrap", "initdb", "secret", "name")
        yield _plain(item, path, "Secret", dig(item, *path))
    yield from _secrets_within(item, item.get("spec") or {}, ("spec",))


def _secrets_within(item: Object, value: Any, path: Where) -> Iterator[Reference]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        if key in SECRET_FIELDS and isinstance(inner, dict) and inner.get("name"):
            yield _plain(item, (*path, key), "Secret", inner["name"], inner.get("key"))
        else:
            yield from _secrets_within(item, inner, (*path, key))
