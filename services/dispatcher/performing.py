"""Performs one claimed run to whatever end it comes, and leaves the claim as that end asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from hcs.catalog import Catalog, Claim, Registration, add_notes, fail_claimed, release_claim, run_status
from hcs.cli.output import counted
from hcs.distributed.performers import Device, Performers
from hcs.errors import CancelledError, EngineError, HcsError, InputRejectedError, LeaseLostError, UsageError
from hcs.pipeline.interrupts import Request
from hcs.pipeline.run import Performed, perform_run
from hcs.pipeline.submission import prepare_run
from hcs.settings import Settings
from schemas.work import Executor, RunPin, RunState, UnitOutcome, UnitSpec, UnitState
from services.dispatcher.keeping import CLAIM_SECONDS, KeptClaim

log = structlog.get_logger(__name__)

SECONDS_BETWEEN_LINES = 30.0

Say = Callable[[str], None]


class Became(StrEnum):
    """What became of a claimed run."""

    COMPLETE = "complete"
    WITH_HOLES = "complete with holes"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "gone to another dispatcher"
    HANDED_BACK = "handed back"


@dataclass(frozen=True)
class Ended:
    """How the work on a run ended here, and why, where that needs words."""

    name: str
    became: Became
    why: str = ""

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.name}: {self.became.value}{': ' * bool(self.why)}{self.why}"


class Told:
    """A watcher that says in plain lines how far a run is, and notices when its claim is lost."""

    def __init__(self, catalog: Catalog, kept: KeptClaim, say: Say, request: Request) -> None:
        """Say nothing until the run is registered."""
        self._catalog, self._kept, self._say, self._request = catalog, kept, say, request
        self._run_id = 0
        self._next_line = 0.0

    @property
    def is_registered(self) -> bool:
        """Whether its plates were looked at, and found to be what a run can be made of."""
        return self._run_id > 0

    def started(self, registration: Registration) -> None:
        """Say which run it is."""
        run = registration.run
        self._run_id = run.id
        self._next_line = time.monotonic() + SECONDS_BETWEEN_LINES
        status = run_status(self._catalog, run.id)
        goes_on = "" if registration.is_new else f", {status.sites_done} done before"
        size = f"{counted(len(status.plates), 'plate')}, {counted(status.sites, 'site')}"
        self._say(f"{run.name} of screen {run.screen}: {size}{goes_on}")

    def opening(self) -> None:
        """Say nothing: the next line tells of the work."""

    def came(self, spec: UnitSpec, outcome: UnitOutcome) -> None:
        """Take note of what was finished, and say what was not."""
        if outcome.receipt is not None:
            self._kept.moved()
        else:
            self._say(f"run-{self._run_id}, {spec.plate}: a unit failed: {outcome.reason}")

    def tick(self) -> None:
        """Say how far it is every half minute, and stop where another dispatcher has the run."""
        if self._request.has_come:  # what was under way took the exception for one of its own
            raise KeyboardInterrupt
        self._kept.check()
        if time.monotonic() < self._next_line:
            return
        self._next_line = time.monotonic() + SECONDS_BETWEEN_LINES
        status = run_status(self._catalog, self._run_id)
        n_units = sum(status.units.values())
        self._say(
            f"{status.name}: units {status.units[UnitState.DONE]} of {n_units}, "
            f"{status.sites_done} of {status.sites} sites"
        )


def perform_claim(
    catalog: Catalog,
    claim: Claim,
    owner: str,
    *,
    performers: Performers,
    settings: Settings,
    say: Say,
    request: Request | None = None,
    claim_seconds: float = CLAIM_SECONDS,
) -> Ended:
    """Return what became of a claimed run; whatever it is, the claim has ended then.

    Args:
        catalog: Where the run is.
        claim: The run.
        owner: Who has claimed it.
        performers: Who performs its units.
        settings: What the environment says.
        say: Told what a person may want to know.
        request: Whether somebody asked to end.
        claim_seconds: For how long it is claimed each time.
    """
    name = claim.run.name
    with KeptClaim(catalog, claim.run.id, owner, seconds=claim_seconds) as kept:
        told = Told(catalog, kept, say, request or Request())
        try:
            performed = _perform(catalog, claim, told, performers=performers, settings=settings)
        except CancelledError as error:
            ended = Ended(name, Became.CANCELLED, str(error))
        except LeaseLostError as error:
            ended = Ended(name, Became.LOST, str(error))
        except HcsError as error:
            if _is_fault_of_run(error, told):
                has_failed = fail_claimed(catalog, claim.run.id, owner, reason=str(error))
                return Ended(name, Became.FAILED if has_failed else Became.LOST, str(error))
            ended = Ended(name, Became.HANDED_BACK, str(error))
        except OSError as error:
            ended = Ended(name, Became.HANDED_BACK, f"{type(error).__name__}: {error}")
        except Exception as error:  # a mistake of ours must not end what serves everybody
            log.debug("a run raised", run=name, exc_info=True)
            why = f"something went wrong that this version does not explain ({type(error).__name__}: {error})"
            _release(catalog, claim, owner, why=why)
            return Ended(name, Became.HANDED_BACK, why)
        except BaseException:
            _release(catalog, claim, owner)
            raise
        else:
            is_complete = performed.run.state is RunState.COMPLETE
            ended = Ended(name, Became.COMPLETE if is_complete else Became.WITH_HOLES)
    _release(catalog, claim, owner)
    return ended


def _perform(catalog: Catalog, claim: Claim, told: Told, *, performers: Performers, settings: Settings) -> Performed:
    begun_with = claim.run.pin
    if begun_with is not None and performers.device is Device.AUTO:
        performers = replace(performers, device=Device(begun_with.device))
    with closing(performers.make(settings, on_one_machine=catalog.is_for_one_machine)) as executor:

        def pin(n_planes_a_site: int) -> RunPin:
            return _pin_of(executor, n_planes_a_site)

        prepared = prepare_run(claim.run.config, settings=settings, pin=pin)
        return perform_run(
            catalog,
            prepared,
            executor=executor,
            watcher=told,
            submitted=claim.run.id,
            lease_seconds=settings.lease_seconds,
        )


def _pin_of(executor: Executor, n_planes_a_site: int) -> RunPin:
    """Return the pin of those who perform.

    Raises:
        EngineError: If there is nobody, as where a cluster does not answer: the run has no part in that.
    """
    try:
        return executor.pin(n_planes_a_site)
    except UsageError as error:
        raise EngineError(str(error)) from error


def _is_fault_of_run(error: HcsError, told: Told) -> bool:
    """Return whether a run cannot be performed as it was submitted, here or elsewhere, now or later.

    Until it is registered, what it says and what was delivered is looked at; afterwards who performs it has a part in
    what is called a wrong usage.
    """
    own = InputRejectedError if told.is_registered else (InputRejectedError, UsageError)
    return isinstance(error, own)


def _release(catalog: Catalog, claim: Claim, owner: str, *, why: str = "") -> None:
    """Hand the claim back; where even that fails, it ends with this process, or by the clock of the database.

    Args:
        catalog: Where the run is.
        claim: The run.
        owner: Who has claimed it.
        why: What went wrong that nobody understands: it is noted, and the attempt counts.
    """
    try:
        if why:
            add_notes(catalog, claim.run.id, [why])
        release_claim(catalog, claim.run.id, owner, is_counted=bool(why))
    except HcsError as error:
        log.warning("a claim was not handed back", run=claim.run.name, reason=str(error))
