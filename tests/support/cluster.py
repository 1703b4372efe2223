"""A Ray cluster of several nodes on this machine, in a process of its own that does as it is told.

    python cluster.py CPUS [CPUS ...]     one node each, beside a head without any

It prints one JSON line, `{"address": ..., "raylets": [pid, ...]}`, and then reads lines: `kill PID` ends the node of
that raylet at once, as a machine that loses its power; anything else, or the end of the input, ends all of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEALTH = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}


def main(cpus: list[int]) -> None:
    """Serve until told to end."""
    folder = Path(tempfile.mkdtemp(prefix="c"))
    (folder / "ray").mkdir()  # where Ray notes the address of a cluster, for those who ask for `auto`
    os.environ["TMPDIR"] = str(folder)
    from ray.cluster_utils import Cluster

    common = {"object_store_memory": 80 << 20, "include_dashboard": False}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "num_gpus": 0, "_system_config": HEALTH, **common},
    )
    try:
        nodes = {_raylet(node): node for node in (cluster.add_node(num_cpus=n, num_gpus=0, **common) for n in cpus)}
        sys.stdout.write(json.dumps({"address": cluster.address, "raylets": list(nodes)}) + "\n")
        sys.stdout.flush()
        for line in sys.stdin:
            words = line.split()
            if words[:1] != ["kill"]:
                break
            cluster.remove_node(nodes[int(words[1])], allow_graceful=False)
            sys.stdout.write("killed\n")
            sys.stdout.flush()
    finally:
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _raylet(node: Any) -> int:
    """The process of a node that starts its workers."""
    pid: int = node.all_processes["raylet"][0].process.pid
    return pid


@dataclass(frozen=True)
class Nodes:
    """The cluster as a test sees it."""

    address: str
    raylets: list[int]
    process: subprocess.Popen[str]

    def kill(self, raylet: int) -> None:
        """End one node at once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"kill {raylet}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "killed\n"


@contextmanager
def nodes(*cpus: int, environment: dict[str, str]) -> Iterator[Nodes]:
    """Yield a cluster, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, *map(str, cpus)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        yield Nodes(address=told["address"], raylets=told["raylets"], process=process)
    finally:
        process.stdin.close()
        process.wait(timeout=60)
        process.stdout.close()


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]])
