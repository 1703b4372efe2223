"""Has maps of runs made, each in a process of its own, one at a time, and keeps the last ones."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from subprocess import PIPE

import structlog
from anyio import to_thread

from hcs import errors
from hcs.catalog import Catalog, RunRecord, find_grouping, hits_page
from hcs.errors import HcsError
from schemas.api_results import MAP_FORM
from services.api.kept import Kept
from services.api.problems import INTERNAL, RequestError, explained

KEPT_MAPS_BYTES = 64 << 20

SECONDS_TO_MAKE = 1800.0
"""After which a map is given up: what takes a minute here may take many on a machine that does other things."""

SECONDS_BETWEEN_TRIES = 30.0
"""How long a failure is told before the same map is tried again."""

MAKER: Sequence[str] = (sys.executable, "-P", "-m", "services.api.map_maker")
_LOGGED = 2000

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WantedMap:
    """A map that somebody asks for. `results` tells a run from itself after it has published anew."""

    run_id: int
    results: object
    profile: str
    everything: bool


class MapRoom:
    """Where maps are made. This process loads nothing for that, and waits for nothing: it starts another, and looks."""

    def __init__(self, catalog: Catalog, *, environment: Mapping[str, str], maker: Sequence[str] = MAKER) -> None:
        """Begin with nothing.

        Args:
            catalog: Where maps are kept.
            environment: Of the processes that make them: it says which catalog.
            maker: The command that makes one, before its options.
        """
        self._catalog, self._environment, self._maker = catalog, dict(environment), tuple(maker)
        self._maps: Kept[bytes] = Kept(bytes_at_most=KEPT_MAPS_BYTES)
        self._failures: dict[WantedMap, tuple[float, RequestError]] = {}
        self._work: asyncio.Task[None] | None = None

    async def show(self, run: RunRecord, *, profile: str, everything: bool) -> bytes | None:
        """Return a map as JSON; None while it is being made, or another one is.

        Raises:
            RequestError: If it could not be made, for a while; then it is tried again.
            NotFoundError: If the run has no results on this profile.
        """
        wanted = WantedMap(run.id, run.finished_at, profile, everything)
        found = self._maps.find(wanted)
        if found is None:
            found = await to_thread.run_sync(partial(self._look, wanted))
            if found is not None and run.is_finished:
                self._maps.put(wanted, found, size_bytes=len(found))
        if found is None:
            self._begin(wanted)
        return found

    async def close(self) -> None:
        """End what is being made."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])

    def _look(self, wanted: WantedMap) -> bytes | None:
        """Return a map that was kept; where there is none, make sure that there can be one."""
        found = find_grouping(
            self._catalog, wanted.run_id, profile=wanted.profile, everything=wanted.everything, form=MAP_FORM
        )
        if found is None:
            hits_page(self._catalog, run=wanted.run_id, profile=wanted.profile, limit=1)
        return found

    def _begin(self, wanted: WantedMap) -> None:
        now = time.monotonic()
        self._failures = {key: told for key, told in self._failures.items() if told[0] > now}
        if wanted in self._failures:
            raise self._failures[wanted][1]
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._make(wanted))

    async def _make(self, wanted: WantedMap) -> None:
        try:
            failure = await self._failure(wanted)
        except OSError as error:  # no more processes, no memory for one
            failure = _untold(wanted, f"no process could be started ({error.strerror})")
        except Exception:  # whatever it is, who asks is not to wait for ever
            log.exception("a map was not made", run=wanted.run_id, profile=wanted.profile)
            failure = _untold(wanted, "something went wrong that nobody foresaw")
        if failure is not None:
            self._failures[wanted] = (time.monotonic() + SECONDS_BETWEEN_TRIES, failure)

    async def _failure(self, wanted: WantedMap) -> RequestError | None:
        """Have a map made; return what there is to tell where it was not."""
        options = [f"--run={wanted.run_id}", f"--profile={wanted.profile}"]
        options += ["--everything"] if wanted.everything else []
        process = await asyncio.create_subprocess_exec(
            *self._maker, *options, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=self._environment
        )
        try:
            async with asyncio.timeout(SECONDS_TO_MAKE):
                out, err = await asyncio.gather(_all_of(process.stdout), _all_of(process.stderr))
                code = await process.wait()
        except TimeoutError:
            return _untold(wanted, f"it was not made within {SECONDS_TO_MAKE:g} s")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code == 0:
            return None
        log.error("a map was not made", run=wanted.run_id, profile=wanted.profile, code=code, said=_tail(out + err))
        error = _told(out)
        return _untold(wanted, _how_it_ended(code)) if error is None else explained(error)


async def _all_of(stream: asyncio.StreamReader | None) -> bytes:
    return b"" if stream is None else await stream.read()


def _told(out: bytes) -> HcsError | None:
    """Return the error that the process told, if it did."""
    try:
        told = json.loads(out)
        kind, detail = getattr(errors, told["error"]), str(told["detail"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    is_ours = isinstance(kind, type) and issubclass(kind, HcsError) and not issubclass(kind, errors.ApiError)
    return kind(detail) if is_ours else None


def _untold(wanted: WantedMap, reason: str) -> RequestError:
    return RequestError(
        INTERNAL,
        f"the map of run-{wanted.run_id} on {wanted.profile[:80]} is expected, but {reason}. Ask again after "
        f"{SECONDS_BETWEEN_TRIES:g} s: it is tried anew then. The server's log says more.",
    )


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"the process that makes it ended with {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = ", as happens where memory runs out" if -code == signal.SIGKILL else ""
    return f"the process that makes it was ended by {name}{hint}"


def _tail(said: bytes) -> str:
    return said.decode("utf-8", "replace")[-_LOGGED:]
