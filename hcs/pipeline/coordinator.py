"""Takes a run from its plan to its results: leases units, has an executor perform them, and commits what comes back.

The coordinator alone talks to the catalog. It may be killed at any point: what is committed is never done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal

import polars as pl
import structlog

from hcs import __version__
from hcs.catalog import (
    Adoptable,
    Catalog,
    LeasedUnit,
    PlateOfRun,
    Registration,
    RunRecord,
    adopt_finished,
    adoptable,
    complete,
    configuration_sha256,
    fail,
    hand_back,
    lease,
    owner_of_this_process,
    plan,
    register_run,
    release_dead_owners,
    units_of,
    visible_parts,
)
from hcs.errors import HcsError, InputChangedError
from hcs.io.storage import exists, join, sha256_of
from hcs.io.tables import read_table
from hcs.pipeline.parts import read_part, read_parts
from hcs.pipeline.plan import PartsPlace, PlannedPlate, embed_units, survey_unit
from hcs.pipeline.submission import PreparedRun
from schemas.work import Executor, PartReceipt, UnitOutcome, UnitSpec, UnitState

log = structlog.get_logger(__name__)

SECONDS_BETWEEN_LOOKS = 1.0
LEASE_SECONDS = 3600.0
"""Long: a lease of a process of this machine that died is broken at once, whatever it says."""

UnitKind = Literal["survey", "embed"]
Progress = Callable[[UnitSpec, UnitOutcome], None]


@dataclass
class Coordinator:
    """One process that drives one run."""

    catalog: Catalog
    run: RunRecord
    prepared: PreparedRun
    executor: Executor
    on_progress: Progress
    owner: str = field(default_factory=owner_of_this_process)

    def perform(self) -> None:
        """Perform every unit of the run that is not done yet: the surveys of all plates, then their embeddings.

        Raises:
            StorageError: If a part or the catalog cannot be written.
        """
        release_dead_owners(self.catalog, self.run.id)
        refuse_changed_inputs(self.catalog, self.run, self.prepared.plates)
        plan(self.catalog, self.run.id, [self._survey_unit(plate) for plate in self.prepared.plates])
        self._adopt()
        self._work("survey")
        self._plan_embeddings()
        self._adopt()
        self._work("embed")

    def _parts(self) -> PartsPlace:
        return PartsPlace(uri=self.catalog.parts_uri, folder=self.run.name)

    def _survey_unit(self, plate: PlannedPlate) -> UnitSpec:
        return survey_unit(plate, pixels=self.prepared.config.pixels, pin=self.prepared.pin, parts=self._parts())

    def _plan_embeddings(self) -> None:
        surveys = survey_parts(self.catalog, self.run.id)
        for plate in self.prepared.plates:
            survey = surveys.get(plate.plate)
            if survey is None:
                continue  # its survey failed: the unit's reason is in the ledger, and the plate is a hole
            units = embed_units(
                plate,
                pixels=self.prepared.config.pixels,
                encoders=self.prepared.encoders,
                pin=self.prepared.pin,
                parts=self._parts(),
                survey=survey,
            )
            plan(self.catalog, self.run.id, units)

    def _adopt(self) -> None:
        """Take over units that another run of this catalog has done, if their parts and images are still the same."""
        found = adoptable(self.catalog, self.run.id)
        usable = [unit.key for unit in found if self._is_intact(unit)]
        n_adopted = adopt_finished(self.catalog, self.run.id, keys=usable)
        if n_adopted:
            log.info("units taken over from earlier runs", units=n_adopted)

    def _is_intact(self, unit: Adoptable) -> bool:
        if not all(is_part_intact(self.catalog.parts_uri, part) for part in unit.parts):
            return False
        images = [
            read_part(self.catalog.parts_uri, part.relative_path, expected_sha256=part.sha256)
            for part in unit.parts
            if part.kind == "images"
        ]
        return not changed_inputs(images, self.prepared.plates)

    def _work(self, kind: UnitKind) -> None:
        """Perform units until all are done or failed, waiting for those that another driver of this run holds."""
        while unsettled := self._unsettled(kind):
            if UnitState.READY.value in unsettled:
                self._work_once(kind)
            else:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                release_dead_owners(self.catalog, self.run.id)

    def _unsettled(self, kind: UnitKind) -> set[str]:
        """Return which of ready and leased any unit is in: one that failed is ready until its last attempt."""
        units = units_of(self.catalog, self.run.id).filter(pl.col("kind") == kind)
        return set(units["state"].cast(pl.String)) & {UnitState.READY.value, UnitState.LEASED.value}

    def _work_once(self, kind: UnitKind) -> None:
        leased: dict[str, LeasedUnit] = {}
        try:
            with closing(self.executor.perform(self._leased(kind, leased))) as outcomes:
                for outcome in outcomes:
                    unit = leased.pop(outcome.key)
                    self._settle(unit, outcome)
                    self.on_progress(unit.spec, outcome)
        except (KeyboardInterrupt, HcsError):
            self._hand_back(leased.values())
            raise

    def _hand_back(self, units: Collection[LeasedUnit]) -> None:
        """Give back what was leased and not finished; if even that fails, the lease breaks with this process."""
        for unit in units:
            try:
                hand_back(self.catalog, self.run.id, unit.spec.key, fence=unit.fence)
            except HcsError as error:
                log.warning("lease not handed back", key=unit.spec.key, reason=str(error))

    def _leased(self, kind: UnitKind, leased: dict[str, LeasedUnit]) -> Iterator[UnitSpec]:
        while units := lease(self.catalog, self.run.id, self.owner, limit=1, seconds=LEASE_SECONDS, kind=kind):
            for unit in units:
                leased[unit.spec.key] = unit
                yield unit.spec.model_copy(update={"attempt": unit.fence})

    def _settle(self, unit: LeasedUnit, outcome: UnitOutcome) -> None:
        """Commit what came back: one transaction makes a unit done and its rows visible."""
        key = unit.spec.key
        if outcome.receipt is None:
            state = fail(self.catalog, self.run.id, key, fence=unit.fence, reason=outcome.reason or "no reason given")
            log.warning("unit failed", plate=unit.spec.plate, attempt=unit.attempt, state=state, reason=outcome.reason)
            return
        tables = {part.kind: part for part in outcome.receipt.parts}
        complete(
            self.catalog,
            self.run.id,
            outcome.receipt,
            fence=unit.fence,
            sites=self._rows(tables.get("sites")),
            channels=self._rows(tables.get("channels")),
        )

    def _rows(self, part: PartReceipt | None) -> pl.DataFrame | None:
        return None if part is None else read_table(join(self.catalog.parts_uri, part.relative_path))


def survey_parts(catalog: Catalog, run_id: int) -> dict[str, tuple[str, str]]:
    """Return the URI and SHA-256 of every plate's survey that is done."""
    rows = visible_parts(catalog, run_id, kind="survey").iter_rows(named=True)
    return {row["plate"]: (join(catalog.parts_uri, row["relative_path"]), row["sha256"]) for row in rows}


def is_part_intact(parts_uri: str, part: PartReceipt) -> bool:
    """Return whether a part's file is there and is the one that was registered."""
    uri = join(parts_uri, part.relative_path)
    return exists(uri) and sha256_of(uri) == part.sha256


def refuse_changed_inputs(catalog: Catalog, run: RunRecord, plates: Sequence[PlannedPlate]) -> None:
    """Refuse to go on where images changed under what a run has done: it never mixes two versions of its input.

    Raises:
        InputChangedError: If the content of an image is not what the run has read.
    """
    images = read_parts(catalog.parts_uri, visible_parts(catalog, run.id, kind="images"))
    changed = changed_inputs(images, plates)
    if changed:
        raise InputChangedError(
            f"{run.name}: expected the images that it has read already, but the content of {len(changed)} of "
            f"them changed since, first {changed[0]}; start anew with `hcs run --new`, or put the images back"
        )


def changed_inputs(images: Iterable[pl.DataFrame], plates: Sequence[PlannedPlate]) -> list[str]:
    """Return the images whose content is not what was read, as URIs.

    An image whose witness (modification time or ETag) is the recorded one is taken to be the same; any other is
    hashed again, and the hash decides.

    Args:
        images: Tables of `schemas.tables.ImageWitnesses`.
        plates: The plates as they are delivered now.
    """
    now = {(plate.plate, plane.relative_path): (plate.root, plane) for plate in plates for plane in plate.planes}
    changed = []
    for table in images:
        for row in table.iter_rows(named=True):
            root, plane = now[row["plate"], row["relative_path"]]
            if plane.witness != row["witness"] and sha256_of(join(root, plane.relative_path)) != row["sha256"]:
                changed.append(join(root, plane.relative_path))
    return changed


def configuration_of(prepared: PreparedRun) -> str:
    """Return the digest that two runs of the same configuration have in common."""
    return configuration_sha256(
        prepared.config,
        plates=_plates_of_run(prepared),
        wells=prepared.wells,
        encoders=prepared.encoders,
        pin=prepared.pin,
    )


def register(catalog: Catalog, prepared: PreparedRun, *, new: bool = False) -> Registration:
    """Return the run of this screen in the catalog: the one that is there for the same configuration, or a new one."""
    return register_run(
        catalog,
        prepared.config,
        plates=_plates_of_run(prepared),
        wells=prepared.wells,
        encoders=prepared.encoders,
        pin=prepared.pin,
        code_version=__version__,
        new=new,
    )


def _plates_of_run(prepared: PreparedRun) -> list[PlateOfRun]:
    """Return the plates that take part, with what the catalog remembers of each."""
    planned = {plate.plate: plate for plate in prepared.plates}
    return [
        PlateOfRun(
            entry=examined.entry.model_copy(update={"barcode": examined.plate, "uri": planned[examined.plate].root}),
            layout=examined.report.layout,
            manifest_sha256=planned[examined.plate].manifest_sha256,
            report=examined.report,
        )
        for examined in prepared.examined
        if examined.report is not None and examined.plate in planned
    ]
