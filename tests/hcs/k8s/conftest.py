"""A stand-in of the Kubernetes API, and our client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kube_api import KubeApi, kube_api

from hcs.k8s.api import RayJobs
from hcs.k8s.cluster import find_cluster


@pytest.fixture
def kube() -> Iterator[KubeApi]:
    """An API without objects."""
    with kube_api() as kube:
        yield kube


@pytest.fixture
def rayjobs(kube: KubeApi, tmp_path: Path) -> Iterator[RayJobs]:
    """Our client of it."""
    file = str(kube.kubeconfig(tmp_path))
    client = RayJobs(lambda: find_cluster(kubeconfig=file), timeout_seconds=1.5)
    yield client
    client.close()
