"""Pods of every kind of object are seen, with the labels and ports that operators add."""

from __future__ import annotations

from typing import Any

import pytest

from hcs.k8s.checking.objects import Object
from hcs.k8s.checking.pods import all_pods
from hcs.k8s.checking.selectors import check_selectors, chooses

TEMPLATE = {"metadata": {"labels": {"app": "some"}}, "spec": {"containers": [{"name": "one", "image": "ray:1"}]}}
CLUSTER = {
    "headGroupSpec": {"template": TEMPLATE},
    "workerGroupSpecs": [{"groupName": "cpu", "template": TEMPLATE}, {"groupName": "gpu", "template": TEMPLATE}],
}


def item(kind: str, spec: dict[str, Any], version: str = "v1", **metadata: Any) -> Object:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "it", "namespace": "hcs", **metadata},
        "spec": spec,
    }


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (item("Deployment", {"template": TEMPLATE}, "apps/v1"), ["Deployment/it"]),
        (item("StatefulSet", {"template": TEMPLATE}, "apps/v1"), ["StatefulSet/it"]),
        (item("Job", {"template": TEMPLATE}, "batch/v1"), ["Job/it"]),
        (item("CronJob", {"jobTemplate": {"spec": {"template": TEMPLATE}}}, "batch/v1"), ["CronJob/it"]),
        (item("RayCluster", CLUSTER, "ray.io/v1"), ["RayCluster/it/head", "RayCluster/it/cpu", "RayCluster/it/gpu"]),
        (
            item("RayJob", {"rayClusterSpec": CLUSTER}, "ray.io/v1"),
            ["RayJob/it/head", "RayJob/it/cpu", "RayJob/it/gpu", "RayJob/it/submitter"],
        ),
        (
            item("RayJob", {"rayClusterSpec": CLUSTER, "submissionMode": "HTTPMode"}, "ray.io/v1"),
            ["RayJob/it/head", "RayJob/it/cpu", "RayJob/it/gpu"],
        ),
        (item("Cluster", {}, "postgresql.cnpg.io/v1"), ["Cluster/it"]),
        (item("Pooler", {"cluster": {"name": "db"}}, "postgresql.cnpg.io/v1"), ["Pooler/it"]),
        (item("Service", {}), []),
    ],
)
def test_every_template_makes_pods(one: Object, expected: list[str]) -> None:
    assert [pods.item for pods in all_pods([one])] == expected


def test_a_submitter_that_nobody_described_is_the_one_that_kuberay_makes() -> None:
    *_, submitter = all_pods([item("RayJob", {"rayClusterSpec": CLUSTER}, "ray.io/v1")])

    assert submitter.labels == {}
    assert [(path, one["image"]) for path, one in submitter.containers()] == [
        ("spec.submitterPodTemplate.spec.containers[0]", "ray:1")
    ]


def test_ray_names_its_nodes_and_serves_its_ports_whatever_the_template_says() -> None:
    head, cpu, _ = all_pods([item("RayCluster", CLUSTER, "ray.io/v1")])

    assert head.labels["app"] == "some"
    assert (head.labels["ray.io/node-type"], cpu.labels["ray.io/group"]) == ("head", "cpu")
    assert {port.number for port in head.ports} == {6379, 8265, 10001, 8080}
    assert {port.number for port in cpu.ports} == {8080}


def test_a_selector_chooses_pods_of_its_own_namespace_alone() -> None:
    deployment = item("Deployment", {"template": TEMPLATE, "selector": {"matchLabels": {"app": "some"}}}, "apps/v1")
    service = item("Service", {"selector": {"app": "some"}})
    elsewhere = item("Service", {"selector": {"app": "some"}}, namespace="there")
    objects = [deployment, service, elsewhere]

    found = list(check_selectors(objects, all_pods(objects)))

    assert [(one.item, one.path) for one in found] == [("Service/it", "spec.selector")]
    assert list(check_selectors(objects[:2], all_pods(objects))) == []


def test_no_selector_chooses_nothing_and_an_empty_one_everything() -> None:
    assert not chooses(None, {"app": "some"})
    assert chooses({}, {})
    assert not chooses({"matchExpressions": [{"key": "app", "operator": "Unknown"}]}, {"app": "some"})
