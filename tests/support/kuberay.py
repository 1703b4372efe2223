"""What KubeRay makes of a RayJob, done with real Ray clusters on this machine, and no pods.

It looks at the RayJobs of the stand-in of the Kubernetes API and does what KubeRay 1.7 does to them in K8sJobMode: for
each that is not suspended a cluster with token authentication that grows when asked, then `ray job submit` of the
entrypoint, a whole new cluster where that fails and `backoffLimit` allows it, the status at every step, and the end of
the cluster with the RayJob. The head has the environment that the RayJob's own head container says, of the ConfigMaps
and Secrets that the test gives; workers have theirs. What it is not: no images, no pods, no quota, no scheduler.
"""

from __future__ import annotations

import secrets
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from guarded import GuardedCluster
from kube_api import KubeApi
from processes import make_mark

FINALIZER = "ray.io/rayjob-finalizer"
SECONDS_A_LOOK = 0.2

Object = dict[str, Any]


def environment_of(container: Object, *, maps: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return what a container's `envFrom` and `env` say, with ConfigMaps and Secrets by their names.

    Raises:
        KeyError: If something is referred to that is not there, and is not said to be optional.
    """
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        reference = source.get("configMapRef") or source["secretRef"]
        if reference["name"] in maps or not reference.get("optional"):
            found |= maps[reference["name"]]
    for item in container.get("env", []):
        if "value" in item:
            found[item["name"]] = item["value"]
            continue
        reference = item["valueFrom"].get("secretKeyRef") or item["valueFrom"]["configMapKeyRef"]
        if reference["name"] in maps or not reference.get("optional"):
            found[item["name"]] = maps[reference["name"]][reference["key"]]
    return found


@dataclass
class Served:
    """One RayJob that is being served: its cluster now, and the process that submitted its entrypoint."""

    cluster: GuardedCluster
    submitter: subprocess.Popen[str] | None = None
    failed: int = 0


@dataclass
class KubeRay:
    """The operator of one namespace; a thread that looks while the `with` lasts.

    Attributes:
        kube: The stand-in.
        maps: ConfigMaps and Secrets by name.
        most_workers: How far a cluster may grow here, whatever its groups allow.
        overrides: Variables of the head that differ here from what the RayJob says.
    """

    kube: KubeApi
    maps: Mapping[str, Mapping[str, str]]
    most_workers: int = 2
    overrides: Mapping[str, str] = field(default_factory=dict)
    namespace: str = "hcs"
    served: dict[str, Served] = field(default_factory=dict)
    printed: dict[str, list[str]] = field(default_factory=dict)
    """What the submitters of a RayJob printed, one text a cluster."""
    tokens: list[str] = field(default_factory=list)
    error: BaseException | None = None
    _is_over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def lose(self, name: str) -> list[str]:
        """Lose a RayJob's cluster, all nodes of it at once; return which processes ended."""
        with self._lock:
            return self.served[name].cluster.lose()

    def work(self) -> None:
        """Look until the end."""
        try:
            while not self._is_over.wait(SECONDS_A_LOOK):
                with self._lock:
                    self._look()
        except BaseException as error:
            self.error = error
            raise

    def end(self) -> None:
        """End everything that was started."""
        self._is_over.set()
        with self._lock:
            for name in list(self.served):
                self._end(name)

    def _look(self) -> None:
        listed = self.kube.store.list(self.namespace)["items"]
        for rayjob in listed:
            metadata, spec = rayjob["metadata"], rayjob["spec"]
            name = metadata["name"]
            if "deletionTimestamp" in metadata:
                self._end(name)
                self.kube.store.let_go(self.namespace, name)
            elif spec.get("suspend"):
                self._say(name, jobDeploymentStatus="Suspended")
            elif name not in self.served and not _has_ended(rayjob):
                self._begin(rayjob)
            elif name in self.served:
                self._follow(rayjob)
        for name in set(self.served) - {rayjob["metadata"]["name"] for rayjob in listed}:
            self._end(name)

    def _begin(self, rayjob: Object) -> None:
        """Make the cluster of a new RayJob, and submit its entrypoint."""
        name = rayjob["metadata"]["name"]
        if FINALIZER not in rayjob["metadata"].get("finalizers", []):
            self.kube.store.hold(self.namespace, name, FINALIZER)
        failed = rayjob.get("status", {}).get("failed", 0)
        self._say(name, jobDeploymentStatus="Initializing", jobStatus="", failed=failed)
        cluster = self._cluster(rayjob["spec"])
        self.served[name] = Served(cluster, failed=failed)
        groups = rayjob["spec"]["rayClusterSpec"]["workerGroupSpecs"]
        allowed = sum(group["maxReplicas"] for group in groups)
        cluster.start(grows_to=min(self.most_workers, allowed))
        entrypoint = shlex.split(rayjob["spec"]["entrypoint"])
        self.served[name].submitter = cluster.submit(entrypoint, job_id=f"{name}-{failed}")
        self._say(name, jobDeploymentStatus="Running", jobStatus="RUNNING")

    def _cluster(self, spec: Object) -> GuardedCluster:
        cluster = spec["rayClusterSpec"]
        assert cluster["authOptions"]["mode"] == "token"
        head = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]
        workers = [group["template"]["spec"]["containers"][0] for group in cluster["workerGroupSpecs"]]
        of_workers = [environment_of(container, maps=self.maps) for container in workers]
        assert not any("HCS_CATALOG" in one or "PGPASSWORD" in one for one in of_workers), "workers know the catalog"
        said = environment_of(head, maps=self.maps) | dict(self.overrides)
        said.pop("RAY_TMPDIR", None)  # of a machine of its own
        token = secrets.token_hex(32)
        self.tokens.append(token)
        return GuardedCluster(token=token, mark=make_mark(), head_environment=said)

    def _follow(self, rayjob: Object) -> None:
        """Take note of the end of an entrypoint; a whole new cluster is made where one is still allowed."""
        name = rayjob["metadata"]["name"]
        served = self.served[name]
        assert served.submitter is not None
        code = served.submitter.poll()
        if code is None:
            return
        self._end(name)
        if code == 0:
            self._say(name, jobDeploymentStatus="Complete", jobStatus="SUCCEEDED", succeeded=1)
            return
        failed = served.failed + 1
        if failed <= rayjob["spec"].get("backoffLimit", 0):
            self._say(name, jobDeploymentStatus="Retrying", jobStatus="FAILED", failed=failed)
            return  # the next look finds it without a cluster, and makes one
        said = {"reason": "AppFailed", "message": f"Submission failed with exit code {code}", "failed": failed}
        self._say(name, jobDeploymentStatus="Failed", jobStatus="FAILED", **said)

    def _end(self, name: str) -> None:
        """End the cluster of a RayJob and everything on it."""
        served = self.served.pop(name, None)
        if served is None:
            return
        served.cluster.lose()
        if served.submitter is not None:
            served.submitter.terminate()
            out, _ = served.submitter.communicate(timeout=60)
            self.printed.setdefault(name, []).append(out)
        served.cluster.mark.end()

    def _say(self, name: str, **status: Any) -> None:
        found = self.kube.store.get(self.namespace, name).get("status", {})
        if any(found.get(key) != value for key, value in status.items()):
            self.kube.store.say(self.namespace, name, **status)


def _has_ended(rayjob: Object) -> bool:
    return rayjob.get("status", {}).get("jobDeploymentStatus") in {"Complete", "Failed"}


@contextmanager
def kuberay(kube: KubeApi, **options: Any) -> Iterator[KubeRay]:
    """Yield an operator that works, and end it with all its clusters."""
    operator = KubeRay(kube, **options)
    thread = threading.Thread(target=operator.work, name="kuberay", daemon=True)
    thread.start()
    try:
        yield operator
    finally:
        operator.end()
        thread.join(60)
    assert operator.error is None
