"""Who performs the units of a run, as options of a command say it: threads of this process, or a pool on Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

from hcs.errors import UsageError
from hcs.settings import Settings

if TYPE_CHECKING:
    from schemas.work import Executor


class ExecutorName(StrEnum):
    """Who performs units."""

    LOCAL = "local"
    RAY = "ray"


class Device(StrEnum):
    """What computes forwards."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True)
class Performers:
    """What the options say of who performs units."""

    executor: ExecutorName
    threads: int | None = None
    device: Device = Device.AUTO
    address: str | None = None
    workers: int | None = None
    worker_cpus: float | None = None
    worker_gpus: float | None = None
    await_nodes: float | None = None

    def make(self, settings: Settings, *, on_one_machine: bool = False) -> Executor:
        """Return the executor that was asked for; nothing is started yet.

        Args:
            settings: What the environment says.
            on_one_machine: Whether the catalog is a file, so that a cluster of several machines is refused.

        Raises:
            UsageError: If options of one executor are given to the other.
        """
        threads = threads_of(self.threads, settings)
        if self.executor is ExecutorName.LOCAL:
            self._refuse(
                {"--address", "--workers", "--worker-cpus", "--worker-gpus", "--await-nodes"},
                "for a pool of workers: add --executor ray, or leave it out",
            )
            from hcs.pipeline.local import LocalExecutor  # noqa: PLC0415 - brings torch, which a pool does not need

            return LocalExecutor(threads=threads, device=self.device)
        if self.address is not None:
            self._refuse({"--threads"}, "for this machine alone: with --address, --workers says how many there are")
        if self.await_nodes is not None and (self.address is None or self.workers is None):
            raise UsageError(
                "--await-nodes is for a cluster that grows: name it with --address, and say with --workers for how "
                "many workers it shall grow"
            )
        return self._pool(threads, on_one_machine=on_one_machine)

    def arguments(self) -> list[str]:
        """Return the options that say the same, for the command line of another process."""
        return list(self._said())

    def _said(self) -> Iterator[str]:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                yield from (f"--{field.name.replace('_', '-')}", str(value))

    def _pool(self, threads: int, *, on_one_machine: bool) -> Executor:
        from hcs.distributed.pool import RayExecutor  # noqa: PLC0415 - brings ray, which this process may not need

        return RayExecutor(
            address=self.address,
            device=self.device,
            workers=self.workers,
            cpus=self.worker_cpus,
            gpus=self.worker_gpus,
            own_cpus=threads,
            await_nodes=self.await_nodes,
            on_one_machine=on_one_machine,
        )

    def _refuse(self, options: set[str], meaning: str) -> None:
        given = sorted(
            option for option in options if getattr(self, option.removeprefix("--").replace("-", "_")) is not None
        )
        if given:
            raise UsageError(f"{', '.join(given)} {'are' if len(given) > 1 else 'is'} {meaning}")


def threads_of(asked: int | None, settings: Settings) -> int:
    """Return how many units are performed at once."""
    return asked or settings.threads or cores()


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))
