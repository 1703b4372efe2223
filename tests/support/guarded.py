"""Ray clusters of several nodes on this machine that ask for a token, and take jobs as those on Kubernetes do.

Each node is what `ray start` makes of it, the head without work to do. A job is submitted with `ray job submit`, as
KubeRay's submitter does, so that its command runs on the head. Nothing here stands in for a part of Ray.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from processes import MARK, Marked, make_mark
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.util import get_node_ip_address

RAY = str(Path(sys.executable).with_name("ray"))
"""The command that the package brings, beside this interpreter."""

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_COLOR_MODE": "false", "RAY_DISABLE_IMPORT_WARNING": "1"}
_STORE = str(80 << 20)
_NO_COMMANDS = [
    *(f"{of}setup_commands" for of in ("", "head_", "worker_")),
    *(f"{of}_start_ray_commands" for of in ("head", "worker")),
    *("initialization_commands", "cluster_synced_files", "rsync_exclude", "rsync_filter"),
]
"""What an autoscaler that reads a file asks for, and nodes on this machine need not."""
_GROWING = {
    "RAY_FAKE_CLUSTER": "1",
    "RAY_enable_autoscaler_v2": "1",
    "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
}


def free_ports(n: int) -> list[int]:
    """Return ports that nobody listened on just now, all different."""
    with ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(n)]


@dataclass
class GuardedCluster:
    """A cluster that runs.

    `head_environment` is what only the head has, as the address of the catalog; whatever carries `mark` belongs to it.
    """

    token: str
    mark: Marked
    head_environment: Mapping[str, str]
    ports: list[int] = field(default_factory=lambda: free_ports(2))

    @property
    def address(self) -> str:
        """Where nodes and drivers join."""
        return f"127.0.0.1:{self.ports[0]}"

    @property
    def jobs_url(self) -> str:
        """Where jobs are submitted."""
        return f"http://127.0.0.1:{self.ports[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What every node has: nothing of this process that concerns the catalog, and the token."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("HCS_", "RAY_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
        repository = str(Path(__file__).resolve().parents[2])
        guard = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        return {**own, **_QUIET, **guard, **self.mark.environment, "PATH": path, "PYTHONPATH": repository}

    def start(self, *workers: int, grows_to: int = 0) -> None:
        """Start the head, and a node of so many processors for each worker.

        With `grows_to`, Ray's own autoscaler (version 2, as on Kubernetes) adds nodes of one processor when there is
        something to do on them, at most so many; it is its provider for tests that starts them on this machine.
        """
        head = [
            "--head", f"--port={self.ports[0]}", "--dashboard-host=127.0.0.1", f"--dashboard-port={self.ports[1]}",
            "--include-dashboard=true", f"--temp-dir={self.mark.folder}/r", "--num-cpus=0",
        ]  # fmt: skip
        environment = {**self.environment, **self.head_environment}
        if grows_to:
            head.append(f"--autoscaling-config={self._autoscaling(grows_to)}")
            environment |= _GROWING
        self._node(head, environment)
        for cpus in workers:
            self._node([f"--address={self.address}", f"--num-cpus={cpus}"], self.environment)

    def submit(self, entrypoint: Sequence[str], *, job_id: str) -> subprocess.Popen[str]:
        """Submit a job, and return the process that waits for its end and ends as it does, as KubeRay's submitter."""
        return subprocess.Popen(
            [RAY, "job", "submit", "--address", self.jobs_url, "--submission-id", job_id, "--", *entrypoint],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={name: value for name, value in self.environment.items() if name != MARK},  # it is on no node
        )

    def lose(self) -> list[str]:
        """End every process of every node at once, as where a zone loses its power; return what they were."""
        lost = []
        while processes := self.mark.processes():
            lost += processes.values()
            for pid in processes:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return lost

    def _autoscaling(self, most: int) -> Path:
        node = {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": most}
        head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
        said = {
            "cluster_name": "growing",
            "max_workers": most,
            "upscaling_speed": 100.0,
            "idle_timeout_minutes": 5.0,
            "provider": {
                "type": "external",
                "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
                "launch_multiple": True,
                "gcs_address": f"{get_node_ip_address()}:{self.ports[0]}",
                "head_node_id": FAKE_HEAD_NODE_ID,
            },
            **{key: {} for key in ("auth", "file_mounts", "docker")},
            **{key: [] for key in _NO_COMMANDS},
            "available_node_types": {"ray.head.default": head, "one": node},
            "head_node_type": "ray.head.default",
        }
        file = self.mark.folder / "autoscaling.json"
        file.write_text(json.dumps(said))
        return file

    def _node(self, options: list[str], environment: Mapping[str, str]) -> None:
        (agent,) = free_ports(1)
        usual = ["--num-gpus=0", f"--object-store-memory={_STORE}", f"--dashboard-agent-listen-port={agent}"]
        ended = subprocess.run(
            [RAY, "start", *options, *usual, "--disable-usage-stats"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            env=dict(environment),
            check=False,
        )
        assert ended.returncode == 0, _plain(ended.stdout + ended.stderr)


@contextmanager
def guarded(*workers: int, grows_to: int = 0, **head_environment: str) -> Iterator[GuardedCluster]:
    """Yield a cluster of a head and worker nodes, and end it; what it left behind goes too."""
    mark = make_mark()
    cluster = GuardedCluster(token=secrets.token_hex(32), mark=mark, head_environment=head_environment)
    try:
        cluster.start(*workers, grows_to=grows_to)
        yield cluster
    finally:
        cluster.lose()
        mark.end()


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
