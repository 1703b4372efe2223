"""Takes a run through its units: leases them, has an executor perform them, and commits what comes back.

The coordinator alone talks to the catalog. It may be killed at any point: what is committed is never done again. It
also alone decides what has become of a unit: an executor says that one came back, never that it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl
import structlog

from hcs import __version__
from hcs.catalog import (
    Catalog,
    LeasedUnit,
    RunRecord,
    adopt_finished,
    adoptable,
    complete,
    count_units,
    fail,
    hand_back,
    hand_back_all,
    keep_leases,
    lease,
    owner_of_this_process,
    plan,
    release_dead_owners,
    run_state,
    visible_parts,
)
from hcs.errors import CancelledError, HcsError, LeaseLostError
from hcs.io.storage import join
from hcs.io.tables import read_table
from hcs.pipeline.plan import PartsPlace, PlannedPlate, embed_units, survey_unit
from hcs.pipeline.submission import PreparedRun
from hcs.pipeline.witnesses import is_still_true, refuse_changed_inputs
from schemas.work import Executor, PartReceipt, Receipt, RunState, Steps, UnitOutcome, UnitSpec, UnitState, WorkOrder

log = structlog.get_logger(__name__)

SECONDS_BETWEEN_LOOKS = 1.0
LEASE_SECONDS = 600.0
"""How long a unit may be at one step, such as one site by one encoder, before it is given up."""

Progress = Callable[[UnitSpec, UnitOutcome], None]


def nothing() -> None:
    """Do nothing, where nobody looks on."""


@dataclass
class _Held:
    """A unit in the executor's hands, with how far it was when last looked at; None while it waits."""

    unit: LeasedUnit
    steps: Steps | None = None

    def moves(self, now: Steps | None) -> bool:
        """Return whether it waits, or has done a step since it was last looked at."""
        return now is None or self.steps is None or now.done != self.steps.done


@dataclass
class Coordinator:
    """One process that drives one run.

    Attributes:
        catalog: Where everything is remembered.
        run: The run, running.
        prepared: What the run is.
        executor: Who performs units; it is opened when there is work, and closed by who made it.
        on_progress: Told of every unit that came back.
        on_open: Told that the executor is opened, which may take a while.
        on_tick: Called about once a second.
        lease_seconds: How long a unit may be without another step done.
        owner: The name that leases carry.
    """

    catalog: Catalog
    run: RunRecord
    prepared: PreparedRun
    executor: Executor
    on_progress: Progress
    on_open: Callable[[], None] = nothing
    on_tick: Callable[[], None] = nothing
    lease_seconds: float = LEASE_SECONDS
    owner: str = field(default_factory=owner_of_this_process)
    _held: dict[str, _Held] = field(default_factory=dict)
    _is_open: bool = False
    _looked: float = 0.0

    def perform(self) -> None:
        """Perform every unit of the run that is not done yet; a plate's embedding is planned when it is surveyed.

        Raises:
            StorageError: If a part or the catalog cannot be written.
            CancelledError: If the run is cancelled meanwhile.
            HcsError: If no worker can do any unit.
        """
        release_dead_owners(self.catalog, self.run.id)
        refuse_changed_inputs(self.catalog, self.run, self.prepared.plates)
        self._plan([self._survey_unit(plate) for plate in self.prepared.plates])
        self._plan_embeddings(self.prepared.plates)
        try:
            self._work()
            while self._plan_embeddings(self.prepared.plates):  # another driver surveyed a plate, and ended before this
                self._work()
            self._stop_if_cancelled()
        except BaseException:  # this process may live on, and nobody would break its leases
            self._hand_back()
            raise

    def _work(self) -> None:
        while self._is_work_left():
            self._stop_if_cancelled()
            self._fill()
            self._collect()
            self._look_after_leases()
            self.on_tick()

    def _stop_if_cancelled(self) -> None:
        """Raise if somebody cancelled the run, perhaps from another terminal.

        Raises:
            CancelledError: Then.
        """
        if run_state(self.catalog, self.run.id) is RunState.CANCELLED:
            raise CancelledError(
                f"{self.run.name} was cancelled: what is finished is kept, and the same `hcs run` takes it up again"
            )

    def _is_work_left(self) -> bool:
        """Return whether any unit is ready or leased, by this driver or another: one that failed may be ready again."""
        if self._held:
            return True
        counts = count_units(self.catalog, self.run.id)
        return bool(counts[UnitState.READY] + counts[UnitState.LEASED])

    def _fill(self) -> None:
        """Lease as many units as the executor takes, and hand them over."""
        while (room := self._room()) > 0:
            units = lease(self.catalog, self.run.id, self.owner, limit=room, seconds=self.lease_seconds)
            for unit in units:
                if unit.spec.key in self._held:  # its lease ran out between two looks
                    self._forget(unit.spec.key)
                self._held[unit.spec.key] = _Held(unit)
                self.executor.submit(unit.spec.model_copy(update={"attempt": unit.attempt, "fence": unit.fence}))
            if len(units) < room:
                return

    def _room(self) -> int:
        """Return how many units the executor takes; it is opened with the first that is ready."""
        if not self._is_open:
            if not count_units(self.catalog, self.run.id)[UnitState.READY]:
                return 0
            self.on_open()
            self.executor.open(self._order())
            self._is_open = True
        return self.executor.capacity()

    def _order(self) -> WorkOrder:
        return WorkOrder(
            run=self.run.name,
            code_version=__version__,
            pin=self.prepared.pin,
            encoders=self.prepared.encoders,
            parts_uri=self.catalog.parts_uri,
            parts_folder=self.run.name,
        )

    def _collect(self) -> None:
        """Settle what came back; where nothing is under way here, wait for another driver's units, or for workers."""
        if not self._held:
            release_dead_owners(self.catalog, self.run.id)
        if not self._is_open:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            return
        for outcome in self.executor.wait(SECONDS_BETWEEN_LOOKS):
            held = self._held.pop(outcome.key, None)
            if held is None:
                log.info("a unit that was given up came back", key=outcome.key)
                continue
            try:
                self._settle(held.unit, outcome)
            except LeaseLostError as error:
                log.warning("a result came too late", plate=held.unit.spec.plate, reason=str(error))
                continue
            self.on_progress(held.unit.spec, outcome)

    def _settle(self, unit: LeasedUnit, outcome: UnitOutcome) -> None:
        """Commit what came back: one transaction makes a unit done and its rows visible."""
        key, spec = unit.spec.key, unit.spec
        if outcome.receipt is not None:
            self._complete(unit, outcome.receipt)
        elif outcome.was_started:
            reason = outcome.reason or "no reason given"
            state = fail(self.catalog, self.run.id, key, fence=unit.fence, reason=reason)
            log.info("unit failed", plate=spec.plate, attempt=unit.attempt, state=state, reason=reason)
        else:
            hand_back(self.catalog, self.run.id, key, fence=unit.fence)
            log.info("unit waited for a worker that is lost", plate=spec.plate, reason=outcome.reason)

    def _complete(self, unit: LeasedUnit, receipt: Receipt) -> None:
        tables = {part.kind: part for part in receipt.parts}
        complete(
            self.catalog,
            self.run.id,
            receipt,
            fence=unit.fence,
            sites=self._rows(tables.get("sites")),
            channels=self._rows(tables.get("channels")),
        )
        if unit.spec.kind == "survey":
            self._plan_embeddings([plate for plate in self.prepared.plates if plate.plate == unit.spec.plate])

    def _rows(self, part: PartReceipt | None) -> pl.DataFrame | None:
        return None if part is None else read_table(join(self.catalog.parts_uri, part.relative_path))

    def _look_after_leases(self) -> None:
        """Hold on to units that move or wait, and give up those that are at one step for a whole lease."""
        now = time.monotonic()
        if not self._held or now - self._looked < min(self.lease_seconds / 6, 30.0):
            return
        self._looked = now
        steps = self.executor.steps()
        moving = {key: held for key, held in self._held.items() if held.moves(steps.get(key))}
        for key, held in self._held.items():
            held.steps = steps.get(key)
        fences = {key: held.unit.fence for key, held in moving.items()}
        mine = keep_leases(self.catalog, self.run.id, self.owner, fences=fences, seconds=self.lease_seconds)
        for key, held in list(self._held.items()):
            left = mine.get(key)
            if left is None or left.fence != held.unit.fence:
                self._forget(key)
            elif left.seconds_left <= 0:
                self._give_up(held.unit, at=held.steps.at if held.steps else "")

    def _give_up(self, unit: LeasedUnit, *, at: str) -> None:
        """Fail the attempt of a unit that hangs: the ledger hands it out again, or not."""
        self._forget(unit.spec.key)
        outcome = UnitOutcome(
            key=unit.spec.key,
            reason=f"it hung{f' at {at}' if at else ''}: no step of it was finished within its lease of "
            f"{self.lease_seconds:g} s. Does storage answer? A unit of very slow encoders needs a longer lease "
            "(HCS_LEASE_SECONDS)",
        )
        try:
            self._settle(unit, outcome)
        except LeaseLostError as error:
            log.warning("a unit that hung was taken already", plate=unit.spec.plate, reason=str(error))
            return
        self.on_progress(unit.spec, outcome)

    def _forget(self, key: str) -> None:
        del self._held[key]
        self.executor.abandon(key)

    def _hand_back(self) -> None:
        """Give back what was leased and not finished; if even that fails, the leases break with this process.

        An interrupt may come between a lease and its answer, so that this is what the ledger says is ours.
        """
        try:
            hand_back_all(self.catalog, self.run.id, self.owner)
        except HcsError as error:
            log.warning("leases not handed back", reason=str(error))

    def _survey_unit(self, plate: PlannedPlate) -> UnitSpec:
        return survey_unit(plate, pixels=self.prepared.config.pixels, pin=self.prepared.pin, parts=self._parts())

    def _parts(self) -> PartsPlace:
        return PartsPlace(uri=self.catalog.parts_uri, folder=self.run.name)

    def _plan_embeddings(self, plates: Sequence[PlannedPlate]) -> int:
        """Return how many units are new: those that embed plates whose survey is done."""
        surveys = survey_parts(self.catalog, self.run.id)
        units = [
            unit
            for plate in plates
            if plate.plate in surveys  # else it is not surveyed yet, or the ledger says why it could not be
            for unit in embed_units(
                plate,
                pixels=self.prepared.config.pixels,
                encoders=self.prepared.encoders,
                pin=self.prepared.pin,
                parts=self._parts(),
                survey=surveys[plate.plate],
            )
        ]
        return self._plan(units) if units else 0

    def _plan(self, units: Sequence[UnitSpec]) -> int:
        """Return how many units are new, after taking over those that another run has done, if they are still true."""
        n_new = plan(self.catalog, self.run.id, units)
        found = adoptable(self.catalog, self.run.id)
        parts_uri, plates = self.catalog.parts_uri, self.prepared.plates
        usable = [unit.key for unit in found if is_still_true(unit, parts_uri=parts_uri, plates=plates)]
        n_adopted = adopt_finished(self.catalog, self.run.id, keys=usable)
        if n_adopted:
            log.info("units taken over from earlier runs", units=n_adopted)
        return n_new


def survey_parts(catalog: Catalog, run_id: int) -> dict[str, tuple[str, str]]:
    """Return the URI and SHA-256 of every plate's survey that is done."""
    rows = visible_parts(catalog, run_id, kind="survey").iter_rows(named=True)
    return {row["plate"]: (join(catalog.parts_uri, row["relative_path"]), row["sha256"]) for row in rows}
