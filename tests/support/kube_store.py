"""The objects of a stand-in of the Kubernetes API, and the rules by which they change. `kube_api` serves them.

Each rule is named with its source: KC is https://kubernetes.io/docs/reference/using-api/api-concepts/, CONV the API
conventions of SIG Architecture (contributors/devel/sig-architecture/api-conventions.md of kubernetes/community).
"""

from __future__ import annotations

import copy
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
Validate = Callable[[Object], list[str]]

FOREGROUND = "foregroundDeletion"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class RefusedError(Exception):
    """An answer that is none of success, as a `Status` (CONV, "Response Status Kind")."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason

    def status(self) -> Object:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.code,
        }


@dataclass(frozen=True)
class Kind:
    """A kind of objects of a namespace."""

    group: str = "ray.io"
    version: str = "v1"
    plural: str = "rayjobs"
    kind: str = "RayJob"

    @property
    def name(self) -> str:
        return f"{self.plural}.{self.group}"


@dataclass(frozen=True)
class Event:
    """One change: the object after it, and before it; a deleted one has the version of its deletion (KC, "watch")."""

    version: int
    namespace: str
    before: Object | None
    after: Object | None
    last: Object

    def seen_by(self, selector: Selector) -> tuple[str, Object] | None:
        """What a watch with a selector is told: who stops matching is deleted for it (KC, "watch")."""
        was = self.before is not None and selector.matches(self.before)
        now = self.after is not None and selector.matches(self.after)
        kind = {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}.get((was, now))
        return None if kind is None else (kind, self.last)


@dataclass(frozen=True)
class Selector:
    """A label selector (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/)."""

    text: str = ""

    def matches(self, found: Object) -> bool:
        labels = found["metadata"].get("labels") or {}
        return all(self._holds(part, labels) for part in re.split(r",(?![^(]*\))", self.text) if part.strip())

    def _holds(self, part: str, labels: Mapping[str, str]) -> bool:
        part = part.strip()
        if among := re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", part):
            values = [value.strip() for value in among[3].split(",")]
            return (labels.get(among[1]) in values) == (among[2] == "in")
        if unequal := re.fullmatch(r"([^!=]+)!=([^=]*)", part):
            return labels.get(unequal[1].strip()) != unequal[2].strip()
        if equal := re.fullmatch(r"([^!=]+)==?([^=]*)", part):
            return labels.get(equal[1].strip()) == equal[2].strip()
        if part.startswith("!"):
            return part[1:] not in labels
        if re.fullmatch(r"[A-Za-z0-9./_-]+", part):
            return part in labels
        raise RefusedError(400, "BadRequest", f"unable to parse requirement: {part!r}")


@dataclass
class Store:
    """Objects of one kind in all namespaces, and what happened to them."""

    kind: Kind = field(default_factory=Kind)
    quotas: dict[str, int] = field(default_factory=dict)
    """Namespace -> how many objects it may hold (https://kubernetes.io/docs/concepts/policy/resource-quotas/)."""
    validate: Validate = lambda found: []
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    version: int = 1000
    compacted: int = 0
    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))

    def create(self, namespace: str, given: Object) -> Object:
        with self.changed:
            made = copy.deepcopy(given)
            name = self._checked(namespace, made)
            if (namespace, name) in self.objects:  # CONV, "Idempotency": the name is the key
                raise RefusedError(409, "AlreadyExists", f'{self.kind.name} "{name}" already exists')
            self._check_quota(namespace, name)
            made.pop("status", None)  # of kinds with the subresource `status` (CONV, "Spec and Status")
            made["metadata"] |= {
                "namespace": namespace,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": _now(),
                "generation": 1,
            }
            return self._keep(namespace, name, made)

    def get(self, namespace: str, name: str) -> Object:
        with self.changed:
            if (found := self.objects.get((namespace, name))) is None:
                raise RefusedError(404, "NotFound", f'{self.kind.name} "{name}" not found')
            return copy.deepcopy(found)

    def list(self, namespace: str, selector: str = "") -> Object:
        """All of one state, with its version (KC, "Resource versions")."""
        with self.changed:
            found = [copy.deepcopy(one) for (where, _), one in sorted(self.objects.items()) if where == namespace]
            return {
                "kind": f"{self.kind.kind}List",
                "apiVersion": f"{self.kind.group}/{self.kind.version}",
                "metadata": {"resourceVersion": str(self.version)},
                "items": [one for one in found if Selector(selector).matches(one)],
            }

    def replace(self, namespace: str, name: str, given: Object, *, subresource: str = "") -> Object:
        """Replace one; a version that is not the newest is a conflict (CONV, "Concurrency Control and Consistency")."""
        with self.changed:
            before = self.get(namespace, name)
            wanted = given["metadata"].get("resourceVersion")
            if wanted and wanted != before["metadata"]["resourceVersion"]:
                raise RefusedError(
                    409,
                    "Conflict",
                    f'Operation cannot be fulfilled on {self.kind.name} "{name}": the object has been modified; please '
                    "apply your changes to the latest version and try again",
                )
            after = copy.deepcopy(before if subresource == "status" else given)
            if subresource == "status":
                after["status"] = copy.deepcopy(given.get("status") or {})
            else:
                after["status"] = before.get("status", {})
                for key in ("namespace", "uid", "creationTimestamp", "generation", "deletionTimestamp"):
                    if key in before["metadata"]:
                        after["metadata"][key] = before["metadata"][key]
                if after.get("spec") != before.get("spec"):
                    after["metadata"]["generation"] += 1
            return self._keep(namespace, name, after)

    def delete(self, namespace: str, name: str, options: Object | None = None) -> Object:
        """Delete one, or let it wait for its finalizers (https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/).

        Preconditions that do not hold are a conflict (KC, "DeleteOptions" in the reference of the API).
        """
        with self.changed:
            options = options or {}
            found = self.get(namespace, name)
            for key, wanted in (options.get("preconditions") or {}).items():
                if found["metadata"].get(key) != wanted:
                    raise RefusedError(
                        409,
                        "Conflict",
                        f'Operation cannot be fulfilled on {self.kind.name} "{name}": Precondition failed: {key} in '
                        f"precondition: {wanted}, {key} in object meta: {found['metadata'].get(key)}",
                    )
            finalizers = found["metadata"].setdefault("finalizers", [])
            if options.get("propagationPolicy") == "Foreground" and FOREGROUND not in finalizers:
                finalizers.append(FOREGROUND)  # https://kubernetes.io/docs/concepts/architecture/garbage-collection/
            if finalizers:
                if "deletionTimestamp" not in found["metadata"]:
                    found["metadata"] |= {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": 0}
                    found = self._keep(namespace, name, found)
                return found
            self._remove(namespace, name)
            return {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": {"name": name},
            }

    def say(self, namespace: str, name: str, **status: Any) -> Object:
        """What a controller does: write the status."""
        with self.changed:
            found = self.get(namespace, name)
            found["status"] = {**found.get("status", {}), **status}
            return self.replace(namespace, name, found, subresource="status")

    def hold(self, namespace: str, name: str, finalizer: str) -> None:
        """Add a finalizer, as KubeRay does before it starts anything."""
        with self.changed:
            found = self.get(namespace, name)
            found["metadata"].setdefault("finalizers", []).append(finalizer)
            self._keep(namespace, name, found)

    def let_go(self, namespace: str, name: str) -> None:
        """Take all finalizers away: an object that was to be deleted is gone then."""
        with self.changed:
            found = self.get(namespace, name)
            found["metadata"]["finalizers"] = []
            self._keep(namespace, name, found)
            if "deletionTimestamp" in found["metadata"]:
                self._remove(namespace, name)

    def compact(self) -> None:
        """Forget everything that happened until now (KC, "410 Gone responses")."""
        with self.changed:
            self.compacted = self.version
            self.events.clear()

    def since(self, version: int) -> list[Event]:
        """The changes after a version."""
        if version < self.compacted:
            raise RefusedError(410, "Expired", f"too old resource version: {version} ({self.compacted})")
        return [event for event in self.events if event.version > version]

    def _checked(self, namespace: str, made: Object) -> str:
        metadata = made.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if made.get("apiVersion") != f"{self.kind.group}/{self.kind.version}" or made.get("kind") != self.kind.kind:
            raise RefusedError(400, "BadRequest", "the API version or kind in the data does not match the expected one")
        if not isinstance(name, str) or len(name) > 253 or not _NAME.fullmatch(name):
            raise RefusedError(
                422,
                "Invalid",
                f'{self.kind.kind}.{self.kind.group} "{name}" is invalid: metadata.name: Invalid value: "{name}": a '
                "lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'",
            )
        if made["metadata"].get("namespace", namespace) != namespace:
            raise RefusedError(
                400, "BadRequest", "the namespace of the provided object does not match the namespace sent"
            )
        if made["metadata"].get("resourceVersion"):
            raise RefusedError(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        if wrong := self.validate(made):
            said = wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]"
            raise RefusedError(422, "Invalid", f'{self.kind.kind}.{self.kind.group} "{name}" is invalid: {said}')
        return name

    def _check_quota(self, namespace: str, name: str) -> None:
        limit = self.quotas.get(namespace)
        used = sum(where == namespace for where, _ in self.objects)
        if limit is not None and used >= limit:
            what = f"count/{self.kind.name}"
            raise RefusedError(
                403,
                "Forbidden",
                f'{self.kind.name} "{name}" is forbidden: exceeded quota: runs, requested: {what}=1, used: '
                f"{what}={used}, limited: {what}={limit}",
            )

    def _keep(self, namespace: str, name: str, after: Object) -> Object:
        before = self.objects.get((namespace, name))
        self.version += 1  # grows with every change of any object (KC, "Resource versions")
        after["metadata"]["resourceVersion"] = str(self.version)
        self.objects[namespace, name] = after
        self._tell(namespace, before, after, after)
        return copy.deepcopy(after)

    def _remove(self, namespace: str, name: str) -> None:
        before = self.objects.pop((namespace, name))
        self.version += 1
        last = copy.deepcopy(before)
        last["metadata"]["resourceVersion"] = str(self.version)
        self._tell(namespace, before, None, last)

    def _tell(self, namespace: str, before: Object | None, after: Object | None, last: Object) -> None:
        known = [None if one is None else copy.deepcopy(one) for one in (before, after, last)]
        assert known[2] is not None
        self.events.append(Event(self.version, namespace, known[0], known[1], known[2]))
        self.changed.notify_all()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
