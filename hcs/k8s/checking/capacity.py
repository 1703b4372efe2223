"""Whether a namespace has room for what is made in it: a quota and limits that refuse our own pods are a slip.

A run waits where there is no room, which is right while others are performed, and for ever where none ever fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, dig, kind, namespace, of_kind, title
from hcs.k8s.checking.pods import Pods
from hcs.k8s.quantities import quantity


def check_capacity(objects: list[Object], pods: list[Pods]) -> Iterator[Finding]:
    """Return a finding for each pod that a LimitRange refuses, and each quota that one run does not fit into."""
    for item in of_kind(objects, "LimitRange"):
        for one in pods:
            if one.namespace == namespace(item) and one.role != "managed":
                yield from _check_limits(item, one)
    for item in of_kind(objects, "ResourceQuota"):
        if not dig(item, "spec", "scopes") and not dig(item, "spec", "scopeSelector"):
            yield from _check_quota(item, [one for one in pods if one.namespace == namespace(item)])


def _check_limits(item: Object, pods: Pods) -> Iterator[Finding]:
    for bounds in dig(item, "spec", "limits") or ():
        if bounds.get("type") != "Container":
            continue
        for path, container in pods.containers():
            for resource, said in (bounds.get("max") or {}).items():
                most, wanted = quantity(said), quantity(dig(container, "resources", "limits", resource))
                if most is not None and wanted is not None and wanted > most:
                    yield Finding(pods.owner_title, f"{path}.resources.limits.{resource}", "policy/limits",
                                  f"at most the {said} of {title(item)}",
                                  str(dig(container, "resources", "limits", resource)), "lower one")  # fmt: skip


def _check_quota(item: Object, pods: list[Pods]) -> Iterator[Finding]:
    """Say what does not fit: services as often as they are replicated, and a run with one worker of each group."""
    for resource, said in (dig(item, "spec", "hard") or {}).items():
        most = quantity(said)
        always = sum((_replicas(one) * _of_pod(one, resource) for one in pods if one.role == "pod"), Fraction(0))
        for group in [one for one in pods if one.role == "worker"]:
            run = [one for one in pods if one.owner is group.owner and one.role in ("head", "submitter")]
            wanted = always + _of_pod(group, resource) + sum((_of_pod(one, resource) for one in run), Fraction(0))
            if most is not None and _is_wanted(group, resource) and wanted > most:
                yield Finding(title(item), f"spec.hard[{resource}]", "policy/quota",
                              f"{float(wanted):g} or more: what always runs, and a run with one worker {group.item}",
                              str(said), "raise it")  # fmt: skip


def _is_wanted(group: Pods, resource: str) -> bool:
    """Return whether a group may get workers, and they need it; GPUs are left away where the place has none."""
    most = dig(group.owner, *group.path[:-1], "maxReplicas")
    if "/" in resource and dig(group.owner, "metadata", "annotations", "hcs/gpu") != "true":
        return False
    return most != 0 and _of_pod(group, resource) > 0


def _replicas(pods: Pods) -> Fraction:
    said = dig(pods.owner, "spec", "replicas")
    return Fraction(said) if isinstance(said, int) else Fraction(kind(pods.owner) != "Job")


def _of_pod(pods: Pods, resource: str) -> Fraction:
    """Return what a pod takes of a quota; those that run first are over when the others begin."""
    if resource in ("pods", "count/pods"):
        return Fraction(1)
    side, _, named = resource.partition(".")
    if side not in ("requests", "limits"):
        side, named = "requests", resource
    return sum((_amount(dig(one, "resources", side, named)) for one in pods.spec.get("containers") or ()), Fraction(0))


def _amount(said: Any) -> Fraction:
    return quantity(said) or Fraction(0)
