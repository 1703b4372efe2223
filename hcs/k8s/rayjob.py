"""The RayJob of a run, made from the template that lies suspended in the namespace.

What depends on the run is its name, three labels, which its pods have too, the entrypoint and how far its workers may
grow. Everything else is
what the template says, so that images, patches and policies are the operator's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from hcs.errors import TemplateError
from hcs.k8s.quantities import quantity
from hcs.k8s.sizing import PREFIX, Demand, Group, Pool, Sizing, group_of, pods_of, pool_of, sizing_of

NAME_LABEL, NAME = "app.kubernetes.io/name", "hcs"
COMPONENT_LABEL, COMPONENT, TEMPLATE_COMPONENT = "app.kubernetes.io/component", "run", "run-template"
CATALOG_LABEL, RUN_LABEL, ATTEMPT_LABEL = "hcs/catalog", "hcs/run", "hcs/attempt"
CATALOG_DIGITS, PREFIX_DIGITS = 32, 8

_OF_THE_TEMPLATE_ALONE = "kubectl.kubernetes.io/last-applied-configuration"
_MOST = 10_000
"""Processors or GPUs of a pod: more is a quantity of something else, such as 2Gi."""
_DEVICES = {Group.CPU: "cpu", Group.GPU: "cuda"}


@dataclass(frozen=True)
class RunJob:
    """One time that a run is performed on Kubernetes.

    Attributes:
        catalog: Identifier of the catalog, 32 hexadecimal digits.
        run_id: The run.
        attempt: Which time it is.
        demand: Its work.
    """

    catalog: str
    run_id: int
    attempt: int
    demand: Demand

    @property
    def name(self) -> str:
        """The name of its RayJob: at most 47 characters, which is what KubeRay takes."""
        return f"{name_prefix(self.catalog)}-run-{self.run_id}-{self.attempt}"


def name_prefix(catalog: str) -> str:
    """Return what the names of a catalog's RayJobs begin with.

    Args:
        catalog: Its identifier.
    """
    return f"hcs-{catalog[:PREFIX_DIGITS]}"


def run_labels(job: RunJob) -> dict[str, str]:
    """Return the labels by which the RayJob of a run is known."""
    return {NAME_LABEL: NAME, COMPONENT_LABEL: COMPONENT, **pod_labels(job)}


def pod_labels(job: RunJob) -> dict[str, str]:
    """Return the labels by which the pods of a run are known too: KubeRay hands none of a RayJob's on to them."""
    return {
        CATALOG_LABEL: job.catalog[:CATALOG_DIGITS],
        RUN_LABEL: str(job.run_id),
        ATTEMPT_LABEL: str(job.attempt),
    }


def render(template: Mapping[str, Any], job: RunJob) -> dict[str, Any]:
    """Return the RayJob of a run, ready to be created; the template is left as it is.

    Args:
        template: A suspended RayJob, also as the API returns it: what the API keeps for itself is left out.
        job: The run.

    Raises:
        TemplateError: If no RayJob can be made from the template; it says why.
    """
    metadata, spec = _checked(template)
    annotations = _mapping(metadata, "annotations")
    demand, sizing = job.demand, sizing_of(annotations)
    chosen = group_of(demand, sizing)
    made = deepcopy(dict(spec))
    groups = {group["groupName"]: group for group in made["rayClusterSpec"]["workerGroupSpecs"]}
    n_pods = pods_of(demand, sizing, most=_most(groups[chosen]))
    cpus, gpus = _room(groups[chosen])
    pool = pool_of(n_pods, cpus=cpus, gpus=gpus if chosen is Group.GPU else 0)
    for name, group in groups.items():
        group.update(replicas=0, minReplicas=0, maxReplicas=n_pods if name == chosen else 0)
    _name_pods(made, job)
    named = {"name": job.name}
    if "namespace" in metadata:
        named["namespace"] = metadata["namespace"]
    return {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "metadata": {
            **named,
            "labels": {**_mapping(metadata, "labels"), **run_labels(job)},
            "annotations": {name: value for name, value in annotations.items() if _is_for_runs(name)},
        },
        "spec": {**made, "suspend": False, "entrypoint": _entrypoint(job, chosen, pool, sizing)},
    }


def _name_pods(spec: dict[str, Any], job: RunJob) -> None:
    """Write the labels of a run into the templates of its pods; the submitter's too, where there is one."""
    cluster = spec["rayClusterSpec"]
    said = [spec.get("submitterPodTemplate")]
    said += [
        _mapping(group, "template") for group in (_mapping(cluster, "headGroupSpec"), *cluster["workerGroupSpecs"])
    ]
    for pod in said:
        if isinstance(pod, dict):
            metadata = _mapping(pod, "metadata")
            pod["metadata"] = {**metadata, "labels": {**_mapping(metadata, "labels"), **pod_labels(job)}}


def find_template(objects: Iterable[object]) -> Mapping[str, Any]:
    """Return the template among the objects of a rendered overlay, or the one object that there is.

    Raises:
        TemplateError: If there is none, or more than one.
    """
    several = [item for item in objects if item is not None]
    found = [item for item in several if isinstance(item, Mapping) and _is_template(item)]
    if len(several) == 1 and isinstance(several[0], Mapping):
        return several[0]
    if len(found) != 1:
        raise TemplateError(
            f"the template of runs is one RayJob with the label {COMPONENT_LABEL}: {TEMPLATE_COMPONENT}, but of "
            f"{len(several)} objects {len(found)} are such. Give what `kubectl kustomize k8s/overlays/prod` prints."
        )
    return found[0]


def _is_template(item: Mapping[str, Any]) -> bool:
    labels = _mapping(_mapping(item, "metadata"), "labels")
    return item.get("kind") == "RayJob" and labels.get(COMPONENT_LABEL) == TEMPLATE_COMPONENT


def _checked(template: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the metadata and the spec of a template that a RayJob can be made from."""
    kind = f"{template.get('apiVersion')} {template.get('kind')}"
    if kind != "ray.io/v1 RayJob":
        raise TemplateError(f"the template of runs is a ray.io/v1 RayJob, but it is a {kind}. Name another object.")
    metadata, spec = _mapping(template, "metadata"), _mapping(template, "spec")
    if spec.get("suspend") is not True:
        raise TemplateError(
            f"the template of runs is suspended, so that it never starts itself, but spec.suspend of the RayJob "
            f"{metadata.get('name')!r} is {spec.get('suspend')!r}. Set it to true."
        )
    groups = _mapping(spec, "rayClusterSpec").get("workerGroupSpecs")
    several = groups if isinstance(groups, list) else []
    names = [group.get("groupName") if isinstance(group, Mapping) else "one that is none" for group in several]
    if sorted(map(str, names)) != sorted(Group):
        raise TemplateError(
            f"the template of runs has two groups of workers in spec.rayClusterSpec.workerGroupSpecs, {Group.CPU} and "
            f"{Group.GPU}, but there are: {', '.join(map(str, names)) or 'none'}. A group that the place has no nodes "
            "for may stay: it gets no workers."
        )
    return metadata, spec


def _most(group: Mapping[str, Any]) -> int:
    """Return how many workers a group may have."""
    most = group.get("maxReplicas")
    if isinstance(most, int) and not isinstance(most, bool) and most >= 1:
        return most
    raise TemplateError(
        f"the run is to be performed by workers of the group {group['groupName']}, whose maxReplicas in the template "
        f"is a whole number from 1 on, but it is {most!r}. Raise it, or see to it that runs need no such workers "
        "(hcs/gpu)."
    )


def _room(group: Mapping[str, Any]) -> tuple[float, int]:
    """Return the processors and GPUs of a pod of a group, as KubeRay tells them to Ray: from the container's limits."""
    containers = _mapping(_mapping(group, "template"), "spec").get("containers")
    first = containers[0] if isinstance(containers, list) and containers else {}
    limits = _mapping(_mapping(first if isinstance(first, Mapping) else {}, "resources"), "limits")
    said = _mapping(group, "rayStartParams")
    cpus = quantity(said.get("num-cpus", limits.get("cpu")))
    gpus = quantity(said.get("num-gpus", limits.get("nvidia.com/gpu", 0)))
    least = int(group["groupName"] == Group.GPU)
    if cpus is None or not 1 <= cpus <= _MOST or gpus is None or not least <= gpus <= _MOST:
        raise TemplateError(
            f"a worker needs a processor, and one of the group {Group.GPU} a GPU, but the first container of the group "
            f"{group['groupName']} has the limits {dict(limits)}. Set resources.limits.cpu to 1 or more, and "
            f"nvidia.com/gpu where GPUs are meant; neither is more than {_MOST:,}."
        )
    return float(cpus), int(gpus)


def _entrypoint(job: RunJob, group: Group, pool: Pool, sizing: Sizing) -> str:
    """Return the driver's command line, which KubeRay gives to a shell: nothing in it comes from a user."""
    words = [f"hcs work --run run-{job.run_id} --executor ray --address auto --device {_DEVICES[group]}"]
    words += [f"--workers {pool.workers} --worker-cpus {pool.cpus}"]
    words += [f"--worker-gpus {pool.gpus:.4g}"] * (group is Group.GPU)
    return " ".join([*words, f"--await-nodes {sizing.await_nodes}"])


def _is_for_runs(annotation: str) -> bool:
    """Return whether an annotation of the template is one of its RayJobs too, and not only about itself."""
    return annotation != _OF_THE_TEMPLATE_ALONE and not annotation.startswith(PREFIX)


def _mapping(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return what stands there if it is a mapping, else an empty one."""
    value = item.get(name)
    return value if isinstance(value, Mapping) else {}
