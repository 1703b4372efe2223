"""When a RayJob and its cluster are deleted, as KubeRay 1.7 lets one say it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hcs.k8s.checking.objects import Where

ORDER = ("DeleteWorkers", "DeleteCluster", "DeleteSelf")
"""What goes later may not be deleted earlier."""

Said = tuple[Where, str, str, str]


def check_deletion(job: dict[str, Any], *, has_autoscaler: bool) -> Iterator[Said]:
    """Return what is wrong with a job's words on its own deletion; paths start at the job's spec."""
    shuts_down = bool(job.get("shutdownAfterJobFinishes"))
    if (job.get("ttlSecondsAfterFinished") or 0) > 0 and not shuts_down:
        got = str(job["ttlSecondsAfterFinished"])
        yield ("ttlSecondsAfterFinished",), "shutdownAfterJobFinishes: true beside it", got, "set it, or remove this"
    strategy = job.get("deletionStrategy")
    if strategy is None:
        return
    path: Where = ("deletionStrategy",)
    rules = strategy.get("deletionRules") or []
    ends = {field: strategy[field] for field in ("onSuccess", "onFailure") if strategy.get(field) is not None}
    if rules and shuts_down:
        yield path, "deletionRules or shutdownAfterJobFinishes", "both", "remove one of the two"
    if rules and ends:
        yield path, "deletionRules, or onSuccess and onFailure", "both", "keep deletionRules"
    elif rules:
        yield from _of_rules(rules, path, job, has_autoscaler=has_autoscaler)
    elif len(ends) < 2:
        yield path, "deletionRules, or both of onSuccess and onFailure", ", ".join(ends) or "nothing", "say all"
    else:
        yield from _of_ends(ends, path, job, shuts_down=shuts_down, has_autoscaler=has_autoscaler)


def _of_ends(
    ends: dict[str, Any], path: Where, job: dict[str, Any], *, shuts_down: bool, has_autoscaler: bool
) -> Iterator[Said]:
    for field, end in ends.items():
        policy = end.get("policy")
        if policy is None:
            yield (*path, field, "policy"), "what is deleted", "nothing", "name a policy"
        elif policy == "DeleteNone" and shuts_down:
            where = (*path, field, "policy")
            yield where, "a deletion, since shutdownAfterJobFinishes is true", policy, "change one of the two"
        yield from _of_policy(policy, (*path, field, "policy"), job, has_autoscaler=has_autoscaler)


def _of_policy(policy: Any, path: Where, job: dict[str, Any], *, has_autoscaler: bool) -> Iterator[Said]:
    if job.get("clusterSelector") and policy in ("DeleteCluster", "DeleteWorkers"):
        yield path, "no deletion of a cluster that was selected", policy, "use DeleteSelf or DeleteNone"
    elif has_autoscaler and policy == "DeleteWorkers":
        yield path, "no DeleteWorkers with an autoscaler", policy, "use DeleteCluster"


def _of_rules(rules: list[Any], path: Where, job: dict[str, Any], *, has_autoscaler: bool) -> Iterator[Said]:
    seconds: dict[tuple[str, str], dict[str, int]] = {}
    for place, rule in enumerate(rules):
        where = (*path, "deletionRules", place)
        condition, policy = rule.get("condition") or {}, rule.get("policy")
        named = [field for field in ("jobStatus", "jobDeploymentStatus") if condition.get(field) is not None]
        if len(named) != 1:
            yield (*where, "condition"), "one of jobStatus and jobDeploymentStatus", str(len(named)), "name one"
            continue
        yield from _of_policy(policy, (*where, "policy"), job, has_autoscaler=has_autoscaler)
        wait = condition.get("ttlSeconds") or 0
        if wait < 0:
            yield (*where, "condition", "ttlSeconds"), "0 or more", str(wait), "raise it"
        known = seconds.setdefault((named[0], condition[named[0]]), {})
        if policy in known:
            yield where, "one rule for a condition and a policy", f"a second one for {policy}", "remove one"
        known.setdefault(policy, wait)
    for (field, value), waits in seconds.items():
        present = [policy for policy in ORDER if policy in waits]
        for earlier, later in pairwise(present):
            if waits[later] < waits[earlier]:
                expected = f"{later} no earlier than {earlier} ({waits[earlier]} s) at {field} {value}"
                yield (*path, "deletionRules"), expected, f"{waits[later]} s", "raise its ttlSeconds"
