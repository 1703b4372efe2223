"""The operator's own rules: a table of what it takes and what it refuses."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hcs.k8s.checking.kuberay import check_kuberay
from hcs.k8s.checking.objects import Object


def template(**spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "ray", "image": "ray:1"}], **spec}}


def job(**spec: Any) -> Object:
    cluster = {
        "rayVersion": "2.60.0",
        "authOptions": {"mode": "token", "secretName": "token"},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"version": "v2"},
        "headGroupSpec": {"rayStartParams": {}, "template": template()},
        "workerGroupSpecs": [{"groupName": "cpu", "minReplicas": 0, "maxReplicas": 4, "template": template()}],
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "run"},
        "spec": {"entrypoint": "hcs work", "shutdownAfterJobFinishes": True, "rayClusterSpec": cluster, **spec},
    }


def changed(item: Object, path: str, value: Any) -> Object:
    item = copy.deepcopy(item)
    (*above, last) = [int(word) if word.isdigit() else word for word in path.split("/")]
    place: Any = item
    for word in above:
        place = place[word] if isinstance(word, int) else place.setdefault(word, {})
    if value is None:
        place.pop(last)
    else:
        place[last] = value
    return item


WORKER = "spec/rayClusterSpec/workerGroupSpecs/0"
HEAD_ENV = "spec/rayClusterSpec/headGroupSpec/template/spec/containers/0/env"


def variable(name: str, value: str = "1") -> list[dict[str, str]]:
    return [{"name": name, "value": value}]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata/name", "r" * 47),
        (f"{WORKER}/minReplicas", 4),
        (f"{WORKER}/idleTimeoutSeconds", 60),
        (f"{WORKER}/priority", 3),
        (f"{WORKER}/template/spec/restartPolicy", "Never"),
        ("spec/suspend", True),
        ("spec/ttlSecondsAfterFinished", 60),
        ("spec/rayClusterSpec/rayVersion", "2.52.0"),
        ("spec/rayClusterSpec/authOptions", {"mode": "disabled"}),
    ],
)
def test_what_the_operator_takes_is_no_finding(path: str, value: Any) -> None:
    assert list(check_kuberay([job()])) == []
    assert list(check_kuberay([changed(job(), path, value)])) == []


@pytest.mark.parametrize(
    ("path", "value", "at"),
    [
        ("metadata/name", "r" * 48, "metadata.name"),
        ("metadata/name", "7-run", "metadata.name"),
        (f"{WORKER}/minReplicas", 5, "spec.rayClusterSpec.workerGroupSpecs[0].minReplicas"),
        (f"{WORKER}/maxReplicas", -1, "spec.rayClusterSpec.workerGroupSpecs[0].maxReplicas"),
        (f"{WORKER}/rayStartParams", {"labels": "a=b"},
         "spec.rayClusterSpec.workerGroupSpecs[0].rayStartParams.labels"),
        (f"{WORKER}/template/spec/containers", [], "spec.rayClusterSpec.workerGroupSpecs[0].template.spec.containers"),
        (f"{WORKER}/suspend", True, "spec.rayClusterSpec.workerGroupSpecs[0].suspend"),
        (HEAD_ENV, variable("RAY_enable_autoscaler_v2"), "spec.rayClusterSpec.autoscalerOptions.version"),
        (HEAD_ENV, variable("RAY_REDIS_ADDRESS", "there:6379"), "spec.rayClusterSpec.headGroupSpec"),
        (HEAD_ENV, variable("REDIS_USERNAME"), "spec.rayClusterSpec.headGroupSpec"),
        ("spec/rayClusterSpec/rayVersion", None, "spec.rayClusterSpec.rayVersion"),
        ("spec/rayClusterSpec/authOptions/enableK8sTokenAuth", True, "spec.rayClusterSpec.authOptions"),
        ("spec/rayClusterSpec/networkPolicy", {"mode": "DenyAll"}, "spec.rayClusterSpec.networkPolicy"),
        ("spec/rayClusterSpec/gcsFaultToleranceOptions", {"backend": "rocksdb"},
         "spec.rayClusterSpec.gcsFaultToleranceOptions.backend"),
        ("spec/activeDeadlineSeconds", 0, "spec.activeDeadlineSeconds"),
        ("spec/backoffLimit", -1, "spec.backoffLimit"),
        ("spec/rayClusterSpec", None, "spec.rayClusterSpec"),
        ("spec/deletionStrategy", {"deletionRules": [{"policy": "DeleteSelf", "condition": {"jobStatus": "FAILED"}}]},
         "spec.deletionStrategy"),
    ],
)  # fmt: skip
def test_what_the_operator_refuses_is_found(path: str, value: Any, at: str) -> None:
    found = list(check_kuberay([changed(job(), path, value)]))

    assert at in {one.path for one in found}
    assert {one.rule for one in found} == {"kuberay"}


def rules(*entries: tuple[str, str, int]) -> Object:
    listed = [
        {"policy": policy, "condition": {"jobStatus": status, "ttlSeconds": seconds}}
        for policy, status, seconds in entries
    ]
    return job(shutdownAfterJobFinishes=False, deletionStrategy={"deletionRules": listed})


@pytest.mark.parametrize(
    ("item", "n_findings"),
    [
        (rules(("DeleteCluster", "FAILED", 10), ("DeleteSelf", "FAILED", 20)), 0),
        (rules(("DeleteCluster", "FAILED", 20), ("DeleteSelf", "FAILED", 10)), 1),
        (rules(("DeleteCluster", "FAILED", 20), ("DeleteSelf", "SUCCEEDED", 10)), 0),
        (rules(("DeleteSelf", "FAILED", 20), ("DeleteSelf", "FAILED", 20)), 1),
        (rules(("DeleteWorkers", "FAILED", 0)), 1),
        (rules(("DeleteSelf", "FAILED", -1)), 1),
    ],
)
def test_rules_of_deletion_keep_their_order(item: Object, n_findings: int) -> None:
    assert len(list(check_kuberay([item]))) == n_findings


def test_a_sidecar_has_no_submitter_and_a_selected_cluster_no_retries() -> None:
    sidecar = job(submissionMode="SidecarMode", submitterPodTemplate=template())
    selected = job(clusterSelector={"ray.io/cluster": "there"}, backoffLimit=2)

    assert [one.path for one in check_kuberay([sidecar])] == ["spec.submitterPodTemplate"]
    assert [one.path for one in check_kuberay([selected])] == ["spec.backoffLimit"]
