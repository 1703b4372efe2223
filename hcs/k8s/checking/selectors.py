"""Label selectors, and whether those of the objects choose any pod at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, Where, dig, dotted, kind, namespace, title
from hcs.k8s.checking.pods import TEMPLATES, Pods

SELECTORS: dict[str, tuple[Where, bool]] = {
    "Service": (("spec", "selector"), False),
    "Deployment": (("spec", "selector"), True),
    "StatefulSet": (("spec", "selector"), True),
    "DaemonSet": (("spec", "selector"), True),
    "PodDisruptionBudget": (("spec", "selector"), True),
    "NetworkPolicy": (("spec", "podSelector"), True),
    "PodMonitor": (("spec", "selector"), True),
}
"""Where a kind says which pods it means, and whether that is a full selector or labels alone."""


def chooses(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Return whether a full selector chooses labels; an empty one chooses all, and none chooses nothing."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    key, values = expression.get("key", ""), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False


def chosen(item: Object, pods: list[Pods]) -> list[Pods]:
    """Return the pods that an object with a selector means, in its own namespace."""
    path, is_full = SELECTORS[kind(item)]
    selector = dig(item, *path)
    if not is_full:
        selector = {"matchLabels": selector} if selector else None
    return [one for one in pods if one.namespace == namespace(item) and chooses(selector, one.labels)]


def check_selectors(objects: list[Object], pods: list[Pods]) -> Iterator[Finding]:
    """Return a finding for every selector that no pod answers to."""
    for item in objects:
        if kind(item) in SELECTORS:
            yield from _check_own(item, pods)
        if kind(item) == "NetworkPolicy":
            yield from _check_peers(item, pods)


def _check_own(item: Object, pods: list[Pods]) -> Iterator[Finding]:
    path, _ = SELECTORS[kind(item)]
    if kind(item) == "Service" and not dig(item, *path):
        return  # check_services says that
    found = chosen(item, pods)
    if kind(item) in TEMPLATES:
        for other in found:
            if other.owner is not item and other.role != "managed":
                yield Finding(title(item), dotted(path), "wiring/overlap", "labels that only its own pods have",
                              f"{dig(item, *path)}, which {other.item} has too",
                              "add a label: each would remove the other's pods")  # fmt: skip
        found = [one for one in found if one.owner is item]
    if not found:
        yield _nobody(item, path, dig(item, *path))


def _check_peers(item: Object, pods: list[Pods]) -> Iterator[Finding]:
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(dig(item, "spec", direction) or ()):
            for place, peer in enumerate((rule or {}).get(side) or ()):
                selector = peer.get("podSelector")
                if selector is None or "namespaceSelector" in peer:  # pods of other namespaces are not in sight
                    continue
                if not any(one.namespace == namespace(item) and chooses(selector, one.labels) for one in pods):
                    yield _nobody(item, ("spec", direction, number, side, place, "podSelector"), selector)


def _nobody(item: Object, path: Where, selector: Any) -> Finding:
    return Finding(
        title(item),
        dotted(path),
        "wiring/selector",
        "labels that at least one pod template has",
        f"{selector}, which none has",
        "use the labels of the template that is meant",
    )
