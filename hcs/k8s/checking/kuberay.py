"""What KubeRay 1.7 refuses of a RayJob or RayCluster beyond its schema: rules that stand in the operator's code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.kuberay_deletion import check_deletion
from hcs.k8s.checking.objects import Object, Where, dig, dotted, kind, name, notes, title
from hcs.k8s.checking.pods import RAY_CLUSTERS, RAY_JOBS

NAME_LIMITS = {"RayCluster": 53, "RayService": 47, "RayJob": 47, "RayCronJob": 36}
"""What operators append to a name must still fit into a label."""

_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_RESOURCE_PARAMETERS = ("num-cpus", "num-gpus", "memory", "resources")
_OFF_BY_DEFAULT = {
    "networkPolicy": "RayClusterNetworkPolicy",
    "tlsOptions": "RayClusterMTLS",
    "historyServerOptions": "RayClusterHistoryServer",
}
_AUTOSCALER = "RAY_enable_autoscaler_v2"

Said = tuple[Where, str, str, str]
"""Path within the object, what was expected, what came, and what to do."""


def check_kuberay(objects: list[Object]) -> Iterator[Finding]:
    """Return a finding for each rule of the operator that an object breaks."""
    for item in objects:
        if str(item["apiVersion"]).startswith("ray.io/") and kind(item) in RAY_CLUSTERS:
            for path, expected, got, advice in _said_of(item):
                yield Finding(title(item), dotted(path), "kuberay", expected, got, advice)


def _said_of(item: Object) -> Iterator[Said]:
    limit = NAME_LIMITS[kind(item)]
    if len(name(item)) > limit or not _DNS_1035.fullmatch(name(item)):
        expected = f"a letter, then lower case letters, digits and dashes, at most {limit}"
        yield ("metadata", "name"), expected, name(item), "choose another name"
    if kind(item) in RAY_JOBS:
        yield from _of_job(item, RAY_JOBS[kind(item)])
    path = RAY_CLUSTERS[kind(item)]
    cluster = dig(item, *path)
    if isinstance(cluster, dict):
        yield from _of_cluster(cluster, path, notes(item))
        if kind(item) != "RayCluster" and dig(cluster, "authOptions", "enableK8sTokenAuth"):
            got = "enableK8sTokenAuth: true"
            yield (*path, "authOptions"), "a token in a Secret, the only one for runs", got, "name a secretName instead"


def _of_job(item: Object, path: Where) -> Iterator[Said]:
    job = dig(item, *path) or {}
    selects, cluster = bool(job.get("clusterSelector")), job.get("rayClusterSpec")
    mode = job.get("submissionMode", "K8sJobMode")
    if job.get("suspend") and not job.get("shutdownAfterJobFinishes"):
        yield (*path, "suspend"), "shutdownAfterJobFinishes: true beside suspend", "false", "set it"
    if job.get("suspend") and selects:
        yield (*path, "suspend"), "a cluster of its own beside suspend", "clusterSelector", "remove one of the two"
    if cluster is None and not selects:
        yield (*path, "rayClusterSpec"), "rayClusterSpec or clusterSelector", "neither", "describe the cluster"
    if selects and (job.get("backoffLimit") or 0) > 0:
        yield (*path, "backoffLimit"), "no backoffLimit with clusterSelector", str(job["backoffLimit"]), "remove it"
    if mode == "InteractiveMode" and (job.get("backoffLimit") or 0) > 0:
        yield (*path, "backoffLimit"), "no backoffLimit in InteractiveMode", str(job["backoffLimit"]), "remove it"
    for field in ("activeDeadlineSeconds", "preRunningDeadlineSeconds"):
        if job.get(field) is not None and job[field] <= 0:
            yield (*path, field), "a number above 0", str(job[field]), "raise or remove it"
    for field in ("backoffLimit", "ttlSecondsAfterFinished"):
        if (job.get(field) or 0) < 0:
            yield (*path, field), "0 or more", str(job[field]), "raise or remove it"
    if mode == "SidecarMode":
        yield from _of_sidecar(job, path, selects=selects)
    for where, expected, got, advice in check_deletion(
        job, has_autoscaler=bool(dig(cluster, "enableInTreeAutoscaling"))
    ):
        yield (*path, *where), expected, got, advice


def _of_sidecar(job: dict[str, Any], path: Where, *, selects: bool) -> Iterator[Said]:
    for field in ("submitterPodTemplate", "submitterConfig"):
        if job.get(field) is not None:
            yield (*path, field), f"no {field} in SidecarMode", "one", "remove it, or use K8sJobMode"
    if selects:
        yield (*path, "clusterSelector"), "no clusterSelector in SidecarMode", "one", "use K8sJobMode"
    policy = dig(job, "rayClusterSpec", "headGroupSpec", "template", "spec", "restartPolicy")
    if policy not in (None, "", "Never"):
        where = (*path, "rayClusterSpec", "headGroupSpec", "template", "spec", "restartPolicy")
        yield where, "Never in SidecarMode", str(policy), "remove it"


def _of_cluster(cluster: dict[str, Any], path: Where, said: dict[str, str]) -> Iterator[Said]:
    groups = cluster.get("workerGroupSpecs") or []
    scales = bool(cluster.get("enableInTreeAutoscaling"))
    head = (*path, "headGroupSpec")
    yield from _of_group(cluster.get("headGroupSpec") or {}, head)
    for place, group in enumerate(groups):
        where = (*path, "workerGroupSpecs", place)
        yield from _of_group(group, where)
        yield from _of_replicas(group, where, scales=scales)
        yield from _of_scaling(group, where, cluster)
    yield from _of_names(groups, path)
    yield from _of_autoscaler(cluster, path, scales=scales)
    yield from _of_storage(cluster, path, said)
    yield from _of_authentication(cluster, path)
    for field, gate in _OFF_BY_DEFAULT.items():
        if cluster.get(field) is not None:
            expected = f"no {field}: the operator's feature gate {gate} is off unless somebody turns it on"
            yield (*path, field), expected, "one", "remove it; plain NetworkPolicies and Secrets do without the gate"


def _of_group(group: dict[str, Any], path: Where) -> Iterator[Said]:
    parameters = group.get("rayStartParams") or {}
    if not dig(group, "template", "spec", "containers"):
        yield (*path, "template", "spec", "containers"), "at least one container", "none", "add Ray's container"
    doubled = [key for key in _RESOURCE_PARAMETERS if parameters.get(key)]
    if doubled and group.get("resources"):
        got = f"resources and rayStartParams {', '.join(doubled)}"
        yield (*path, "resources"), "resources in one place", got, "keep one of the two"
    if "labels" in parameters:
        yield (*path, "rayStartParams", "labels"), "labels beside rayStartParams", "within them", "move them up"


def _of_names(groups: list[dict[str, Any]], path: Where) -> Iterator[Said]:
    names = [str(group.get("groupName")) for group in groups]
    for place, named in enumerate(names):
        if named in names[:place]:
            yield (*path, "workerGroupSpecs", place, "groupName"), "a name of its own", named, "rename the group"


def _of_replicas(group: dict[str, Any], path: Where, *, scales: bool) -> Iterator[Said]:
    least, most = group.get("minReplicas"), group.get("maxReplicas")
    for field, number in (("minReplicas", least), ("maxReplicas", most)):
        if isinstance(number, int) and number < 0:
            yield (*path, field), "0 or more", str(number), "raise it"
    if isinstance(least, int) and isinstance(most, int) and least > most:
        yield (*path, "minReplicas"), f"at most maxReplicas, {most}", str(least), "lower it or raise the other"
    wanted = group.get("replicas")
    if scales and isinstance(wanted, int) and isinstance(most, int) and not (least or 0) <= wanted <= most:
        expected = f"between minReplicas and maxReplicas, {least or 0} to {most}"
        yield (*path, "replicas"), expected, str(wanted), "move it between them, or leave it out"


def _of_scaling(group: dict[str, Any], path: Where, cluster: dict[str, Any]) -> Iterator[Said]:
    idle, priority = group.get("idleTimeoutSeconds"), group.get("priority")
    is_second = dig(cluster, "autoscalerOptions", "version") == "v2" or _head_variable(cluster, _AUTOSCALER) in (
        "1",
        "true",
    )
    if isinstance(idle, int) and idle < 0:
        yield (*path, "idleTimeoutSeconds"), "0 or more", str(idle), "raise it"
    if idle is not None and not is_second:
        yield (*path, "idleTimeoutSeconds"), "autoscalerOptions.version: v2 beside it", "none", "set it, or remove this"
    if priority:
        if not is_second:
            yield (*path, "priority"), "autoscalerOptions.version: v2 beside it", "none", "set it, or remove this"
        if not _is_at_least(cluster.get("rayVersion"), (2, 56)):
            got = str(cluster.get("rayVersion"))
            yield (*path, "priority"), "rayVersion 2.56 or later", got, "raise rayVersion, or remove the priority"


def _of_autoscaler(cluster: dict[str, Any], path: Where, *, scales: bool) -> Iterator[Said]:
    options = cluster.get("autoscalerOptions") or {}
    variable = _head_variable(cluster, _AUTOSCALER)
    if isinstance(options.get("idleTimeoutSeconds"), int) and options["idleTimeoutSeconds"] < 0:
        got = str(options["idleTimeoutSeconds"])
        yield (*path, "autoscalerOptions", "idleTimeoutSeconds"), "0 or more", got, "raise it"
    if any(one.get("name") == "KUBERAY_GEN_AUTOSCALER_START_CMD" for one in options.get("env") or ()):
        got = "KUBERAY_GEN_AUTOSCALER_START_CMD"
        yield (*path, "autoscalerOptions", "env"), "no variable that KubeRay itself sets", got, "remove it"
    if not scales:
        if variable in ("1", "true"):
            where = (*path, "enableInTreeAutoscaling")
            yield where, f"true, since the head sets {_AUTOSCALER}", "false", "set it, or remove the variable"
        return
    if options.get("version") is not None and variable is not None:
        where = (*path, "autoscalerOptions", "version")
        yield where, "the autoscaler's version in one place", f"here and in {_AUTOSCALER}", "remove the variable"
    groups: list[tuple[Where, dict[str, Any]]] = [(("headGroupSpec",), cluster.get("headGroupSpec") or {})]
    groups += [(("workerGroupSpecs", n), one) for n, one in enumerate(cluster.get("workerGroupSpecs") or ())]
    for where_group, group in groups:
        policy = dig(group, "template", "spec", "restartPolicy")
        if options.get("version") == "v2" and policy not in (None, "", "Never"):
            where_policy = (*path, *where_group, "template", "spec", "restartPolicy")
            yield where_policy, "Never, or nothing, with the autoscaler v2", str(policy), "remove it"
        if group.get("suspend"):
            yield (*path, *where_group, "suspend"), "no suspended group with an autoscaler", "true", "remove it"


def _of_storage(cluster: dict[str, Any], path: Where, said: dict[str, str]) -> Iterator[Said]:
    options = cluster.get("gcsFaultToleranceOptions")
    parameters = dig(cluster, "headGroupSpec", "rayStartParams") or {}
    head = (*path, "headGroupSpec")
    if options is None:
        if _head_variable(cluster, "RAY_REDIS_ADDRESS") is not None and said.get("ray.io/ft-enabled") != "true":
            yield head, "gcsFaultToleranceOptions beside RAY_REDIS_ADDRESS", "none", "set them, or remove the variable"
    else:
        if said.get("ray.io/ft-enabled"):
            yield (
                ("metadata", "annotations"),
                "no ray.io/ft-enabled beside gcsFaultToleranceOptions",
                "one",
                "remove it",
            )
        for variable in ("REDIS_PASSWORD", "RAY_REDIS_ADDRESS"):
            if _head_variable(cluster, variable) is not None:
                yield head, f"{variable} in gcsFaultToleranceOptions alone", "in the head's env", "remove it there"
        if parameters.get("redis-password"):
            yield (*head, "rayStartParams"), "the password in gcsFaultToleranceOptions", "here", "move it there"
        if options.get("backend") == "rocksdb":
            where = (*path, "gcsFaultToleranceOptions", "backend")
            yield where, "redis: rocksdb's feature gate is off unless somebody turns it on", "rocksdb", "use redis"
        elif options.get("storage") is not None:
            yield (*path, "gcsFaultToleranceOptions", "storage"), "no storage with redis", "some", "remove it"
    if parameters.get("redis-username") or _head_variable(cluster, "REDIS_USERNAME") is not None:
        yield head, "the user of redis in gcsFaultToleranceOptions", "in the head group", "move it there"


def _of_authentication(cluster: dict[str, Any], path: Where) -> Iterator[Said]:
    options = cluster.get("authOptions") or {}
    version = cluster.get("rayVersion")
    if options.get("mode") == "token":
        least = (2, 55) if options.get("enableK8sTokenAuth") else (2, 52)
        if not _is_at_least(version, least):
            expected = f"{least[0]}.{least[1]}.0 or later, for authentication by token"
            yield (*path, "rayVersion"), expected, str(version), "say the version of Ray in the image"
        if options.get("enableK8sTokenAuth") and options.get("secretName"):
            yield (*path, "authOptions"), "one kind of token", "secretName and enableK8sTokenAuth", "remove one"
    elif options.get("enableK8sTokenAuth"):
        got = str(options.get("mode"))
        yield (*path, "authOptions", "mode"), "token, beside enableK8sTokenAuth", got, "set it"


def _head_variable(cluster: dict[str, Any], variable: str) -> str | None:
    for one in dig(cluster, "headGroupSpec", "template", "spec", "containers", 0, "env") or ():
        if one.get("name") == variable:
            return str(one.get("value", ""))
    return None


def _is_at_least(version: Any, least: tuple[int, int]) -> bool:
    found = re.match(r"v?(\d+)\.(\d+)", str(version or ""))
    return found is not None and (int(found[1]), int(found[2])) >= least
