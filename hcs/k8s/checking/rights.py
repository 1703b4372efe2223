"""What roles allow, and whom: nothing by a wildcard, nothing of the whole cluster, nothing that leads to more."""

from __future__ import annotations

from collections.abc import Iterator

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, dotted, kind, of_kind, title

POWERFUL = frozenset({"cluster-admin", "admin", "edit"})
"""Roles that Kubernetes brings, whose holder reads every Secret or makes any pod."""

LEADING_FURTHER = {
    "secrets": "they hold everybody's passwords",
    "pods/exec": "it is a shell in any pod",
    "pods/attach": "it is a shell in any pod",
    "serviceaccounts/token": "it makes a token of anybody",
    "roles": "it allows itself more",
    "rolebindings": "it allows itself more",
    "clusterroles": "it allows itself more",
    "clusterrolebindings": "it allows itself more",
    "nodes/proxy": "it is a shell on any node",
}
VERBS_LEADING_FURTHER = frozenset({"escalate", "bind", "impersonate"})


def check_rights(objects: list[Object]) -> Iterator[Finding]:
    """Return a finding for each right that none of ours needs."""
    for item in of_kind(objects, "Role", "ClusterRole"):
        for place, rule in enumerate(item.get("rules") or ()):
            yield from _check_rule(item, rule, place)
    for item in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        yield from _check_binding(item)


def _found(item: Object, path: str, expected: str, got: str, advice: str) -> Finding:
    return Finding(title(item), path, "policy/rights", expected, got, advice)


def _check_rule(item: Object, rule: Object, place: int) -> Iterator[Finding]:
    for field in ("apiGroups", "resources", "verbs", "nonResourceURLs"):
        if any("*" in str(word) for word in rule.get(field) or ()):
            yield _found(item, dotted(("rules", place, field)), "names, one by one", "*", "name what is needed")
    for resource in rule.get("resources") or ():
        if resource in LEADING_FURTHER:
            where = dotted(("rules", place, "resources"))
            yield _found(item, where, "nothing that leads further", f"{resource}: {LEADING_FURTHER[resource]}",
                         "remove it")  # fmt: skip
    for verb in sorted(VERBS_LEADING_FURTHER.intersection(rule.get("verbs") or ())):
        yield _found(item, dotted(("rules", place, "verbs")), "nothing that leads further", verb, "remove it")


def _check_binding(item: Object) -> Iterator[Finding]:
    role = item.get("roleRef") or {}
    if kind(item) == "ClusterRoleBinding":
        yield _found(item, "roleRef", "rights in one namespace", f"{role.get('name')} in all of them",
                     "make it a RoleBinding")  # fmt: skip
    elif role.get("kind") == "ClusterRole" and role.get("name") in POWERFUL:
        yield _found(item, "roleRef", "a Role of our own", str(role.get("name")), "name a Role that allows less")
    for place, subject in enumerate(item.get("subjects") or ()):
        if subject.get("kind") != "ServiceAccount":
            got = f"{subject.get('kind')} {subject.get('name')}"
            yield _found(item, dotted(("subjects", place)), "a ServiceAccount", got, "name one")
