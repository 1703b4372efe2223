"""How work is divided and finished: units, their receipts, states, and the executor that performs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal, Protocol

from pydantic import Field

from schemas.encoders import EncoderInfo
from schemas.screen import PixelsConfig, Record


class UnitState(StrEnum):
    """ready -> leased -> done | failed -> quarantined."""

    READY = "ready"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"


class RunState(StrEnum):
    """submitted -> running -> complete | complete_with_holes | failed | cancelled."""

    SUBMITTED = "submitted"
    RUNNING = "running"
    COMPLETE = "complete"
    COMPLETE_WITH_HOLES = "complete_with_holes"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DispatchState(StrEnum):
    """asked -> waiting -> working -> ended: how far it is with starting a run elsewhere, and with following it."""

    ASKED = "asked"
    WAITING = "waiting"
    WORKING = "working"
    ENDED = "ended"


class WellState(StrEnum):
    """waiting -> running -> done | failed."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class RunPin(Record):
    """What a worker must honour so that results are byte-identical: mixed engines are a batch effect."""

    engine: Literal["eager"] = Field(default="eager", description="How torch performs a forward.")
    precision: Literal["float32"] = Field(default="float32", description="Of the numbers of a forward.")
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="What computes forwards.")
    instruction_set: str = Field(description="Of the processor, as the engine reports it, e.g. AVX512.")
    accelerator: str | None = Field(default=None, description="Model and capability of the GPU, for device cuda.")
    batch_size: int = Field(ge=1, description="Planes of one forward.")
    torch: str = Field(description="Version of the engine.")


class PlaneRef(Record):
    """One image plane of a unit."""

    well: str
    site: int
    channel: str
    z: int = 1
    timepoint: int = 1
    relative_path: str
    size_bytes: int
    witness: str | None = Field(default=None, description="ETag or modification time when listed; not part of a key.")


class UnitSpec(Record):
    """One piece of work, complete: a worker needs nothing else, and no database.

    `kind` survey estimates illumination and percentiles of a plate; kind embed turns a few wells into vectors.
    """

    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    kind: Literal["survey", "embed"]
    plate: str
    root: str = Field(description="URI of the delivery; not part of the key.")
    planes: tuple[PlaneRef, ...]
    channels: tuple[str, ...] = Field(description="Names that are embedded, sorted.")
    pixels: PixelsConfig
    encoders: tuple[EncoderInfo, ...]
    pin: RunPin
    survey_uri: str | None = Field(default=None, description="Part with the plate's survey, for kind embed.")
    survey_sha256: str | None = None
    parts_uri: str = Field(description="Folder that parts are written to; not part of the key.")
    parts_folder: str = Field(description="Under `parts_uri`: the run's and the plate's own folder.")
    attempt: int = Field(default=1, ge=1, description="How often it was begun, this time included.")
    fence: int = Field(
        default=1, ge=1, description="Of its lease; stands in the parts' names, so that a late writer harms nobody."
    )


class PartReceipt(Record):
    """One file that a unit wrote; it is visible only once its row is committed."""

    kind: Literal["survey", "embedding", "sites", "channels", "images"]
    encoder: str | None = None
    relative_path: str = Field(description="Under the parts folder.")
    sha256: str
    n_bytes: int = Field(ge=0)
    n_rows: int = Field(ge=0)


class Receipt(Record):
    """What a worker returns of a finished unit, under 10 kB."""

    key: str
    parts: tuple[PartReceipt, ...]
    n_sites: int = Field(ge=0)
    n_failed_sites: int = Field(ge=0)
    seconds: dict[str, float] = Field(description="CPU or wall seconds by stop, for the benchmark and progress.")


class UnitOutcome(Record):
    """A unit that came back: with a receipt, or with the reason why not."""

    key: str
    receipt: Receipt | None = None
    reason: str | None = None
    was_started: bool = Field(
        default=True, description="False where it only waited for a worker that was lost: no attempt is counted."
    )


class Steps(Record):
    """How far a unit is that is under work: steps done, and those under way in words."""

    done: int = Field(ge=0)
    at: str = ""


class WorkOrder(Record):
    """What the units of a run have in common: an executor makes sure of it before the first of them."""

    run: str = Field(description="The run's name, for messages.")
    code_version: str = Field(description="Of the coordinator; workers of another version take no units.")
    pin: RunPin
    encoders: tuple[EncoderInfo, ...]
    parts_uri: str = Field(description="Folder that every worker must be able to write, and the coordinator to read.")
    parts_folder: str = Field(description="The run's own folder under it.")


class Executor(Protocol):
    """Performs units somewhere. It has no access to the catalog, and knows nothing of leases.

    One coordinator uses it from one thread: `open`, then `submit` and `wait` in turn, and `close` at the end, whatever
    happened before. `tests/support/executors.py` says what every implementation promises.
    """

    def pin(self, n_planes_a_site: int) -> RunPin:
        """Return the pin that its workers honour.

        Args:
            n_planes_a_site: Channels times tiles of a site.
        """
        ...

    def open(self, order: WorkOrder) -> None:
        """Make ready for the units of a run: workers are up, hold its pin and can write its parts.

        Raises:
            HcsError: If no worker can do any of its units; one paragraph that says why.
        """
        ...

    def capacity(self) -> int:
        """Return how many units more it takes now: enough that no worker waits for the coordinator, and no more."""
        ...

    def submit(self, spec: UnitSpec) -> None:
        """Take a unit; its outcome comes from `wait`, once."""
        ...

    def wait(self, seconds: float) -> Sequence[UnitOutcome]:
        """Return the outcomes that came since the last call, after `seconds` at the latest; perhaps none.

        A unit that raises, and one whose worker is lost, is an outcome with its reason.

        Raises:
            HcsError: What is no unit's fault and would meet every other unit too: a full disk, weights that changed.
        """
        ...

    def steps(self) -> Mapping[str, Steps]:
        """Return of every unit that a worker is at how far it is; one that waits is not in it."""
        ...

    def abandon(self, key: str) -> None:
        """Forget a unit: no outcome comes of it, and what works on it is stopped where that can be done."""
        ...

    def close(self) -> None:
        """Stop all work and free everything; `open` begins anew."""
        ...
