"""A catalog, a stand-in of the Kubernetes API, dispatchers between them, and KubeRay played by the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from kube_api import KubeApi

from hcs.catalog import (
    Catalog,
    Dispatch,
    catalog_id,
    dispatches,
    get_run,
    run_state,
    submit_run,
)
from hcs.k8s.api import RayJobs
from hcs.k8s.cluster import find_cluster
from schemas.screen import ScreenConfig
from schemas.work import RunState
from services.dispatcher.k8s.decide import Patience
from services.dispatcher.k8s.loop import RayJobDispatcher
from services.dispatcher.k8s.pausing import Pauses

TEMPLATE = yaml.safe_load(
    """
apiVersion: ray.io/v1
kind: RayJob
metadata:
  name: hcs-run
  namespace: hcs
  labels: {app.kubernetes.io/name: hcs, app.kubernetes.io/component: run-template}
spec:
  suspend: true
  shutdownAfterJobFinishes: true
  ttlSecondsAfterFinished: 600
  preRunningDeadlineSeconds: 900
  backoffLimit: 2
  submissionMode: K8sJobMode
  rayClusterSpec:
    rayVersion: "2.60.0"
    headGroupSpec:
      rayStartParams: {num-cpus: "0"}
      template: {spec: {containers: [{name: ray-head, image: "hcs/worker-cpu:1"}]}}
    workerGroupSpecs:
      - groupName: cpu
        minReplicas: 0
        maxReplicas: 16
        replicas: 0
        rayStartParams: {}
        template: {spec: {containers: [{name: ray-worker, image: "hcs/worker-cpu:1", resources: {limits: {cpu: "4"}}}]}}
      - groupName: gpu
        minReplicas: 0
        maxReplicas: 8
        replicas: 0
        rayStartParams: {num-gpus: "1"}
        template: {spec: {containers: [{name: ray-worker, image: "hcs/worker-gpu:1", resources: {limits: {cpu: "8"}}}]}}
"""
)
ENDED = {"Complete", "Failed", "ValidationFailed"}


@dataclass
class World:
    """Both sides, and what a test does to them."""

    kube: KubeApi
    catalog: Catalog
    folder: Path
    patience: Patience = field(default_factory=lambda: Patience(pause_seconds=0.0, seconds_to_end=0.0))
    _clients: list[RayJobs] = field(default_factory=list)
    _first: RayJobDispatcher | None = None

    def __post_init__(self) -> None:
        self.kube.store.create("hcs", TEMPLATE)
        self.kubeconfig = str(self.kube.kubeconfig(self.folder))
        self.id = catalog_id(self.catalog)

    @property
    def dispatcher(self) -> RayJobDispatcher:
        self._first = self._first or self.make_dispatcher()
        return self._first

    def make_dispatcher(self, *, patience: Patience | None = None, timeout_seconds: float = 2.0) -> RayJobDispatcher:
        """Return another one, that knows nothing yet."""
        client = RayJobs(lambda: find_cluster(kubeconfig=self.kubeconfig), timeout_seconds=timeout_seconds)
        self._clients.append(client)
        pauses = Pauses(first_seconds=0.0, longest_seconds=0.0)
        return RayJobDispatcher(self.catalog, client, "hcs-run", patience=patience or self.patience, pauses=pauses)

    def round(self, times: int = 1) -> None:
        """Have the first dispatcher look `times`."""
        for _ in range(times):
            self.dispatcher.round()

    def submit(self, n_plates: int = 1) -> int:
        """Submit a run, and return its number."""
        plates = [{"uri": f"/delivered/P{number}", "barcode": f"P{number}"} for number in range(n_plates)]
        config = ScreenConfig.model_validate({"screen": "first", "plates": plates, "encoders": ["named"]})
        return submit_run(self.catalog, config, code_version="1", new=True).run.id

    def rayjobs(self) -> list[dict[str, Any]]:
        """The RayJobs of runs that are there, whoever's."""
        found = self.kube.store.list("hcs", "app.kubernetes.io/component=run")["items"]
        return [dict(item) for item in found]

    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.rayjobs()]

    def alive(self) -> list[str]:
        """Those that may still do something: one that was deleted and is not gone counts."""
        return [
            item["metadata"]["name"]
            for item in self.rayjobs()
            if item.get("status", {}).get("jobDeploymentStatus") not in ENDED
        ]

    def name(self, run_id: int, attempt: int = 1) -> str:
        return f"hcs-{self.id[:8]}-run-{run_id}-{attempt}"

    def say(self, name: str, said: str, **status: Any) -> None:
        """What KubeRay says of a RayJob."""
        self.kube.store.say("hcs", name, jobDeploymentStatus=said, **status)

    def last(self, run_id: int) -> Dispatch:
        """The newest dispatch of a run."""
        return [one for one in dispatches(self.catalog) if one.run_id == run_id][-1]

    def state(self, run_id: int) -> RunState:
        return run_state(self.catalog, run_id)

    def notes(self, run_id: int) -> str:
        return " ".join(get_run(self.catalog, run_id).notes)

    def close(self) -> None:
        for client in self._clients:
            client.close()


def until(holds: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait for something, and fail where it does not come."""
    import time

    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, f"waited for {seconds:.0f} s"
        time.sleep(0.02)
