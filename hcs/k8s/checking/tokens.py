"""Who holds a token of the Kubernetes API: those whose ServiceAccount may do something, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, dig, kind, name, namespace, of_kind
from hcs.k8s.checking.pods import RAY_CLUSTERS, Pods


def check_tokens(objects: list[Object], pods: list[Pods]) -> Iterator[Finding]:
    """Return a finding for each pod with a token that it does not need, and each without one that it needs."""
    bound = _bound(objects)
    accounts = {(namespace(item), name(item)): item for item in of_kind(objects, "ServiceAccount")}
    for one in pods:
        if one.role == "managed":
            continue
        account = (one.namespace, str(one.spec.get("serviceAccountName") or "default"))
        holds = one.spec.get("automountServiceAccountToken", dig(accounts.get(account), "automountServiceAccountToken"))
        holds = True if _projects(one) else holds
        reason = _reason(one, account, bound)
        if holds is not False and reason is None:
            yield Finding(
                one.owner_title,
                one.at("automountServiceAccountToken"),
                "policy/token",
                f"false: no RoleBinding names ServiceAccount {account[1]}",
                "true, which is the default" if holds is None else str(holds).lower(),
                "set it to false",
            )
        elif holds is False and reason is not None:
            where = one.at("automountServiceAccountToken")
            yield Finding(one.owner_title, where, "policy/token", f"true: {reason}", "false", "set it to true")


def _reason(pods: Pods, account: tuple[str, str], bound: set[tuple[str, str]]) -> str | None:
    if account in bound:
        return f"a RoleBinding names ServiceAccount {account[1]}"
    cluster = dig(pods.owner, *RAY_CLUSTERS.get(kind(pods.owner), ("",)))
    if pods.role == "head" and dig(cluster, "enableInTreeAutoscaling"):
        return "the autoscaler in the head asks for workers, by a Role that KubeRay makes"
    return None


def _projects(pods: Pods) -> bool:
    """Return whether a volume brings a token of the API, wherever it is mounted; one for somebody else is none."""
    mounted = {
        mount.get("name")
        for _, container in pods.containers(with_autoscaler=True)
        for mount in container.get("volumeMounts") or ()
    }
    return any(
        volume.get("name") in mounted
        and any(
            "serviceAccountToken" in one and not dig(one, "serviceAccountToken", "audience")
            for one in dig(volume, "projected", "sources") or ()
        )
        for volume in pods.spec.get("volumes") or ()
    )


def _bound(objects: list[Object]) -> set[tuple[str, str]]:
    return {
        (subject.get("namespace") or namespace(item), str(subject.get("name")))
        for item in of_kind(objects, "RoleBinding", "ClusterRoleBinding")
        for subject in item.get("subjects") or ()
        if subject.get("kind") == "ServiceAccount"
    }
