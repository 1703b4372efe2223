"""What every pod and object of ours must be like: no rights that it does not need, and a bound on what it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, dig, dotted, kind, labels, namespace, of_kind, title
from hcs.k8s.checking.pods import RAY_JOBS, Pods
from hcs.k8s.checking.restricted import check_restricted
from hcs.k8s.checking.selectors import chosen
from hcs.k8s.checking.tokens import check_tokens
from hcs.k8s.quantities import quantity

LOWEST_UID = 10_000
"""Below it, a uid may be one that the node itself uses."""

CLUSTER_SCOPED = {
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "PriorityClass",
    "StorageClass",
    "PersistentVolume",
    "CustomResourceDefinition",
    "ClusterQueue",
    "ResourceFlavor",
    "ClusterImageCatalog",
}
ENFORCED = "pod-security.kubernetes.io/enforce"
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
REPLICATED = ("Deployment", "StatefulSet")


def check_policy(objects: list[Object], pods: list[Pods]) -> Iterator[Finding]:
    """Return a finding for each thing that our policy does not allow."""
    for item in objects:
        yield from _check_place(item)
        if kind(item) in RAY_JOBS:
            yield from _check_runtime(item)
    for one in pods:
        if one.role != "managed":
            yield from _check_pods(one)
            yield from check_restricted(one)
    yield from _check_disruption(objects, pods)
    yield from check_tokens(objects, pods)


def _check_place(item: Object) -> Iterator[Finding]:
    if kind(item) == "Namespace":
        level = labels(item).get(ENFORCED)
        if level != "restricted":
            path = f"metadata.labels[{ENFORCED}]"
            yield Finding(title(item), path, "policy/namespace-label", "restricted", str(level), "set the label")
    elif kind(item) not in CLUSTER_SCOPED and namespace(item) == "default":
        yield Finding(title(item), "metadata.namespace", "policy/namespace", "a namespace of our own", "default",
                      "set `namespace` in the kustomization")  # fmt: skip


def _check_runtime(item: Object) -> Iterator[Finding]:
    path = (*RAY_JOBS[kind(item)], "runtimeEnvYAML")
    if dig(item, *path):
        yield Finding(title(item), dotted(path), "policy/runtime-env", "nothing that is installed while it runs",
                      str(dig(item, *path))[:60], "put it into the image")  # fmt: skip


def _check_pods(pods: Pods) -> Iterator[Finding]:
    def found(rule: str, path: str, expected: str, got: Any, advice: str) -> Finding:
        return Finding(pods.owner_title, path, f"policy/{rule}", expected, str(got), advice)

    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pods.spec.get(field):
            yield found("host", pods.at(field), "nothing of the node", f"{field}: true", "remove it")
    for place, volume in enumerate(pods.spec.get("volumes") or ()):
        if "hostPath" in volume:
            yield found("host", pods.at("volumes", place), "nothing of the node", "a hostPath", "use another volume")
        memory = volume.get("emptyDir") or {}
        if memory.get("medium") == "Memory" and quantity(memory.get("sizeLimit")) is None:
            path = pods.at("volumes", place, "emptyDir", "sizeLimit")
            yield found("memory", path, "a limit, since it takes memory", memory.get("sizeLimit"), "set it")
    for path, container in pods.containers():
        yield from _check_bounds(pods, container, path)
    for path, container in pods.containers(with_autoscaler=True):
        if "image" in container or not path.endswith("autoscalerOptions"):  # by default it is the head's
            yield from _check_image(pods, container, path)
        yield from _check_security(pods, container, path)
    if pods.role == "head":
        yield from _check_head(pods)
    if kind(pods.owner) in REPLICATED:
        yield from _check_probes(pods)


def _check_head(pods: Pods) -> Iterator[Finding]:
    if pods.annotations.get(SAFE_TO_EVICT) != "false":
        path = f"{dotted(pods.path)}.metadata.annotations[{SAFE_TO_EVICT}]"
        yield Finding(pods.owner_title, path, "policy/eviction", '"false": a run ends with its head',
                      repr(pods.annotations.get(SAFE_TO_EVICT)), "set the annotation")  # fmt: skip


def _check_security(pods: Pods, container: Object, path: str) -> Iterator[Finding]:
    own, shared = container.get("securityContext") or {}, pods.spec.get("securityContext") or {}

    def found(rule: str, field: str, expected: str, got: Any, advice: str = "set it") -> Finding:
        return Finding(
            pods.owner_title, f"{path}.securityContext.{field}", f"policy/{rule}", expected, str(got), advice
        )

    uid = own.get("runAsUser", shared.get("runAsUser"))
    if own.get("runAsNonRoot", shared.get("runAsNonRoot")) is not True:
        yield found("uid", "runAsNonRoot", "true", own.get("runAsNonRoot", shared.get("runAsNonRoot")))
    if not isinstance(uid, int) or uid < LOWEST_UID:
        yield found("uid", "runAsUser", f"{LOWEST_UID} or more", uid)
    if own.get("readOnlyRootFilesystem") is not True:
        yield found("read-only", "readOnlyRootFilesystem", "true", own.get("readOnlyRootFilesystem"))
    if own.get("allowPrivilegeEscalation") is not False:
        yield found("escalation", "allowPrivilegeEscalation", "false", own.get("allowPrivilegeEscalation"))
    if own.get("privileged"):
        yield found("privileged", "privileged", "no privileged container", "true", "remove it")
    if "ALL" not in (dig(own, "capabilities", "drop") or ()):
        yield found("capabilities", "capabilities.drop", "[ALL]", dig(own, "capabilities", "drop"))
    if dig(own, "capabilities", "add"):
        yield found("capabilities", "capabilities.add", "none", dig(own, "capabilities", "add"), "remove them")
    seccomp = dig(own, "seccompProfile", "type") or dig(shared, "seccompProfile", "type")
    if seccomp not in ("RuntimeDefault", "Localhost"):
        yield found("seccomp", "seccompProfile.type", "RuntimeDefault", seccomp)


def _check_image(pods: Pods, container: Object, path: str) -> Iterator[Finding]:
    image = str(container.get("image", ""))
    tag = image.rpartition("/")[2].partition(":")[2]
    if "@sha256:" not in image and tag in ("", "latest"):
        yield Finding(pods.owner_title, f"{path}.image", "policy/image", "an image of a fixed version", image or "none",
                      "name a version or a digest")  # fmt: skip


def _check_bounds(pods: Pods, container: Object, path: str) -> Iterator[Finding]:
    for side in ("requests", "limits"):
        for resource in ("cpu", "memory"):
            amount = quantity(dig(container, "resources", side, resource))
            if amount is None or amount <= 0:
                got = str(dig(container, "resources", side, resource))
                where = f"{path}.resources.{side}.{resource}"
                yield Finding(pods.owner_title, where, "policy/resources", "an amount above 0", got, "set it")
            elif side == "limits":
                yield from _check_request(pods, container, path, resource)
    limit = quantity(dig(container, "resources", "limits", "memory"))
    in_memory = sum(_memory_volumes(pods, container).values())
    if limit is not None and in_memory >= limit:
        yield Finding(
            pods.owner_title,
            f"{path}.resources.limits.memory",
            "policy/memory",
            f"more than the {float(in_memory) / 2**20:.0f} Mi of the volumes in memory that it mounts",
            f"{float(limit) / 2**20:.0f} Mi",
            "raise the limit or shrink the volumes",
        )


def _check_request(pods: Pods, container: Object, path: str, resource: str) -> Iterator[Finding]:
    request = quantity(dig(container, "resources", "requests", resource))
    limit = quantity(dig(container, "resources", "limits", resource))
    if request is not None and limit is not None and request > limit:
        got = str(dig(container, "resources", "requests", resource))
        expected = f"at most the limit, {dig(container, 'resources', 'limits', resource)}"
        where = f"{path}.resources.requests.{resource}"
        yield Finding(pods.owner_title, where, "policy/resources", expected, got, "lower it")


def _memory_volumes(pods: Pods, container: Object) -> dict[str, Any]:
    mounted = {mount.get("name") for mount in container.get("volumeMounts") or ()}
    return {
        volume["name"]: quantity(dig(volume, "emptyDir", "sizeLimit")) or 0
        for volume in pods.spec.get("volumes") or ()
        if dig(volume, "emptyDir", "medium") == "Memory" and volume.get("name") in mounted
    }


def _check_probes(pods: Pods) -> Iterator[Finding]:
    for place, container in enumerate(pods.spec.get("containers") or ()):
        wanted = ("readinessProbe", "livenessProbe") if container.get("ports") else ("livenessProbe",)
        for probe in wanted:
            if not container.get(probe):
                where = pods.at("containers", place, probe)
                yield Finding(pods.owner_title, where, "policy/probes", "a probe", "none", "add it")


def _check_disruption(objects: list[Object], pods: list[Pods]) -> Iterator[Finding]:
    budgets = of_kind(objects, "PodDisruptionBudget")
    for one in pods:
        replicas = dig(one.owner, "spec", "replicas")
        if kind(one.owner) not in REPLICATED or not isinstance(replicas, int) or replicas < 1:
            continue
        own = [budget for budget in budgets if one in chosen(budget, pods)]
        if len(own) > 1:
            yield Finding(one.owner_title, "spec.selector", "policy/disruption", "one PodDisruptionBudget for its pods",
                          str(len(own)), "remove the others: a pod of two is never evicted")  # fmt: skip
        if not own and replicas > 1:
            yield Finding(one.owner_title, "spec.replicas", "policy/disruption", "a PodDisruptionBudget for its pods",
                          f"{replicas} replicas and none", "add one")  # fmt: skip
        for budget in own:
            least = dig(budget, "spec", "minAvailable")
            if dig(budget, "spec", "maxUnavailable") in (0, "0%") or _is_all(least, replicas):
                yield Finding(title(budget), "spec", "policy/disruption", f"fewer than all {replicas} pods",
                              f"minAvailable {least}", "lower it: no node could be drained")  # fmt: skip


def _is_all(least: Any, replicas: int) -> bool:
    """Return whether so many of the replicas are all; a share of them is rounded up, as Kubernetes does."""
    if isinstance(least, str) and least.endswith("%") and least[:-1].isdecimal():
        return -(-int(least[:-1]) * replicas // 100) >= replicas
    return isinstance(least, int) and least >= replicas
