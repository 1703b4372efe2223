"""Every pod that the objects make, by Kubernetes itself or by an operator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hcs.k8s.checking.objects import Object, Where, dig, dotted, kind, name, namespace, title

TEMPLATES: dict[str, Where] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
"""Kinds whose pods Kubernetes makes, and where their template lies."""

RAY_CLUSTERS: dict[str, Where] = {
    "RayCluster": ("spec",),
    "RayJob": ("spec", "rayClusterSpec"),
    "RayService": ("spec", "rayClusterConfig"),
    "RayCronJob": ("spec", "jobTemplate", "rayClusterSpec"),
}
"""Kinds of KubeRay, and where the cluster lies in them."""

RAY_JOBS: dict[str, Where] = {"RayJob": ("spec",), "RayCronJob": ("spec", "jobTemplate")}

HEAD_PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "metrics": 8080}
WORKER_PORTS = {"metrics": 8080}
"""What Ray serves whether the template lists it or not; KubeRay names its ports so."""


@dataclass(frozen=True)
class Port:
    """A port that a pod serves."""

    number: int
    name: str | None = None
    protocol: str = "TCP"


@dataclass(frozen=True)
class Pods:
    """The pods that one template makes."""

    item: str
    """As `Deployment/hcs-api` or `RayJob/hcs-run/head`."""
    owner: Object
    path: Where
    """Where the template lies in its owner."""
    namespace: str
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: dict[str, Any]
    """The pods' spec; empty where an operator writes it."""
    ports: tuple[Port, ...]
    role: str = "pod"
    """pod, head, worker, submitter, or managed for an operator's own."""

    def at(self, *keys: str | int) -> str:
        """Return the path of something in the pods' spec."""
        return dotted((*self.path, "spec", *keys))

    def containers(self, *, with_autoscaler: bool = False) -> Iterator[tuple[str, Object]]:
        """Return each container with its path, those that run first included.

        Args:
            with_autoscaler: Also what is said of the container that KubeRay adds to a head, which is less than a whole.
        """
        for group in ("initContainers", "containers"):
            for place, container in enumerate(self.spec.get(group) or ()):
                yield self.at(group, place), container
        path = (*RAY_CLUSTERS.get(kind(self.owner), ("",)),)
        if with_autoscaler and self.role == "head" and dig(self.owner, *path, "enableInTreeAutoscaling"):
            yield dotted((*path, "autoscalerOptions")), dig(self.owner, *path, "autoscalerOptions") or {}

    @property
    def owner_title(self) -> str:
        """The object that holds the template."""
        return title(self.owner)


def all_pods(objects: list[Object]) -> list[Pods]:
    """Return the pods of all objects, in their order."""
    return [pods for item in objects for pods in _pods_of(item)]


def _pods_of(item: Object) -> Iterator[Pods]:
    if kind(item) in TEMPLATES:
        yield _from_template(item, TEMPLATES[kind(item)], title(item))
    elif kind(item) in RAY_CLUSTERS and str(item["apiVersion"]).startswith("ray.io/"):
        yield from _ray_pods(item)
    elif str(item["apiVersion"]).startswith("postgresql.cnpg.io/"):
        yield from _database_pods(item)


def _from_template(
    item: Object,
    path: Where,
    named: str,
    *,
    role: str = "pod",
    given: dict[str, str] | None = None,
    fixed: dict[str, str] | None = None,
    ports: tuple[Port, ...] = (),
) -> Pods:
    template = dig(item, *path) or {}
    metadata = template.get("metadata") or {}
    spec = template.get("spec") or {}
    return Pods(
        item=named,
        owner=item,
        path=path,
        namespace=namespace(item),
        labels={**(given or {}), **(metadata.get("labels") or {}), **(fixed or {})},
        annotations=dict(metadata.get("annotations") or {}),
        spec=spec,
        ports=_with_defaults(_declared_ports(spec), ports),
        role=role,
    )


def _declared_ports(spec: dict[str, Any]) -> tuple[Port, ...]:
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    return tuple(
        Port(port["containerPort"], port.get("name"), port.get("protocol", "TCP"))
        for container in [*(spec.get("containers") or ()), *sidecars]
        for port in container.get("ports") or ()
        if isinstance(port.get("containerPort"), int)
    )


def _with_defaults(declared: tuple[Port, ...], defaults: tuple[Port, ...]) -> tuple[Port, ...]:
    numbers, names = {port.number for port in declared}, {port.name for port in declared}
    return declared + tuple(port for port in defaults if port.number not in numbers and port.name not in names)


def _ray_pods(item: Object) -> Iterator[Pods]:
    path = RAY_CLUSTERS[kind(item)]
    cluster = dig(item, *path)
    if isinstance(cluster, dict):
        yield _ray_node(item, (*path, "headGroupSpec", "template"), "head", "headgroup", HEAD_PORTS)
        for place, group in enumerate(cluster.get("workerGroupSpecs") or ()):
            where = (*path, "workerGroupSpecs", place, "template")
            yield _ray_node(item, where, "worker", str(group.get("groupName")), WORKER_PORTS)
    job = dig(item, *RAY_JOBS.get(kind(item), ("",)))
    if isinstance(job, dict) and job.get("submissionMode", "K8sJobMode") == "K8sJobMode":
        where = (*RAY_JOBS[kind(item)], "submitterPodTemplate")
        yield _from_template(item if dig(item, *where) else _default_submitter(item), where, f"{title(item)}/submitter",
                             role="submitter")  # fmt: skip


def _ray_node(item: Object, path: Where, role: str, group: str, ports: dict[str, int]) -> Pods:
    cluster = name(item) if kind(item) == "RayCluster" else f"{name(item)}-00000"  # KubeRay draws five letters
    return _from_template(
        item,
        path,
        f"{title(item)}/{'head' if role == 'head' else group}",
        role=role,
        given={
            "app.kubernetes.io/name": "kuberay",
            "app.kubernetes.io/created-by": "kuberay-operator",
            "ray.io/is-ray-node": "yes",
        },
        fixed={"ray.io/cluster": cluster, "ray.io/node-type": role, "ray.io/group": group},
        ports=tuple(Port(number, named) for named, number in ports.items()),
    )


def _default_submitter(item: Object) -> Object:
    """Return a job with the submitter that KubeRay makes where none is given: the head's image, and no hardening."""
    path = (*RAY_CLUSTERS[kind(item)], "headGroupSpec", "template", "spec", "containers", 0, "image")
    container = {
        "name": "ray-job-submitter",
        "image": dig(item, *path),
        "resources": {
            "limits": {"cpu": "1", "memory": "1Gi"},
            "requests": {"cpu": "500m", "memory": "200Mi"},
        },
    }
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    (*above, last) = RAY_JOBS[kind(item)]
    job = {**(dig(item, *above, last) or {}), "submitterPodTemplate": template}
    spec = job if last == "spec" else {**item["spec"], last: job}
    return {**item, "spec": spec}


def _database_pods(item: Object) -> Iterator[Pods]:
    """Return what CloudNativePG makes, with the labels that it gives besides those that it is told to."""
    if kind(item) == "Cluster":
        told = dig(item, "spec", "inheritedMetadata", "labels") or {}
        given = {
            "app.kubernetes.io/name": "postgresql",
            "app.kubernetes.io/component": "database",
            "app.kubernetes.io/instance": name(item),
            "cnpg.io/cluster": name(item),
            "cnpg.io/podRole": "instance",
        }
        ports: tuple[Port, ...] = (Port(5432, "postgresql"), Port(9187, "metrics"), Port(8000, "status"))
    elif kind(item) == "Pooler":
        told = dig(item, "spec", "template", "metadata", "labels") or {}
        given = {
            "app.kubernetes.io/name": "postgresql",
            "app.kubernetes.io/component": "pooler",
            "app.kubernetes.io/instance": str(dig(item, "spec", "cluster", "name")),
            "cnpg.io/poolerName": name(item),
            "cnpg.io/cluster": str(dig(item, "spec", "cluster", "name")),
            "cnpg.io/podRole": "pooler",
        }
        ports = (Port(5432, "pgbouncer"), Port(9127, "metrics"))
    else:
        return
    yield Pods(title(item), item, (), namespace(item), {**told, **given}, {}, {}, ports, "managed")
