"""`python -m services.dispatcher`: what `hcs work` starts. The catalog is the environment's, HCS_CATALOG and HCS_PARTS.

An address of a catalog may hold a password, and everybody on a machine may read what a process was started with.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import structlog

from hcs.catalog import Catalog, RunRecord, get_run, open_catalog, release_claims, submission_of
from hcs.distributed.performers import Device, ExecutorName, Performers
from hcs.errors import HcsError, UsageError
from hcs.pipeline.interrupts import Request, interrupts
from hcs.settings import read_settings
from services.dispatcher.loop import Dispatcher
from services.dispatcher.performing import Ended, perform_claim

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of a dispatcher that has ended."""
    asked = _asked(arguments)
    _configure_logs(debug=asked.debug)
    try:
        return work(_performers(asked), once=asked.once, run=asked.run)
    except HcsError as error:
        if asked.debug:
            raise
        say(f"error: {error}")
        return error.exit_code


def work(performers: Performers, *, once: bool, run: str | None = None) -> int:
    """Perform what is submitted until nothing is left, or until somebody asks to end; return the exit code.

    Args:
        performers: Who performs units.
        once: Whether to end when nothing is left.
        run: The one run to perform, if not all.

    Raises:
        HcsError: If the catalog cannot be opened, the options contradict one another, or the run was not submitted.
    """
    settings = read_settings()
    performers.make(settings).close()  # options that contradict one another are refused before a run is taken up
    with open_catalog(
        settings.catalog, parts_uri=settings.parts, create=run is None, may_upgrade=settings.upgrade
    ) as catalog:
        wanted = None if run is None else submitted_run(catalog, run)
        request = Request()
        perform = partial(perform_claim, catalog, performers=performers, settings=settings, say=say, request=request)
        dispatcher = Dispatcher(catalog, perform, say=say, report=report, request=request)
        try:
            with interrupts(request):
                if wanted is not None:
                    return dispatcher.see_to(wanted)
                if once:
                    return dispatcher.work_off()
                say(f"waiting for runs that are submitted to {catalog.location}")
                dispatcher.work()
        except KeyboardInterrupt:
            with suppress(HcsError):  # a claim that is not handed back ends with this process
                release_claims(catalog, dispatcher.owner)
            say("asked to end: what is finished is kept, and another dispatcher goes on from there")
            if wanted is not None:
                return dispatcher.code_of(wanted)
    return INTERRUPTED if once else 0


def submitted_run(catalog: Catalog, reference: str) -> RunRecord:
    """Return the submitted run that a reference names.

    Raises:
        NotFoundError: If there is no such run.
        UsageError: If it was not submitted: then no dispatcher performs it.
    """
    run = get_run(catalog, reference, finished=False)
    if submission_of(catalog, run.id) is None:
        raise UsageError(
            f"expected a run that was submitted, but {run.name} of screen {run.screen} never was (it is "
            f"{run.state.value.replace('_', ' ')}): the `hcs run` that started it performs it. "
            "`hcs submit SCREEN.yaml` submits a run."
        )
    return run


def say(text: str) -> None:
    """Print a line of progress on stderr."""
    sys.stderr.write(" ".join(text.split()) + "\n")
    sys.stderr.flush()


def report(ended: Ended) -> None:
    """Print how a run ended on stdout."""
    sys.stdout.write(" ".join(str(ended).split()) + "\n")
    sys.stdout.flush()


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="services.dispatcher", description=(__doc__ or "").split("\n", 1)[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--once", action="store_true")
    which.add_argument("--run")
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("--executor", type=ExecutorName, default=ExecutorName.LOCAL)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", type=Device, default=Device.AUTO)
    parser.add_argument("--address")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--worker-cpus", type=float)
    parser.add_argument("--worker-gpus", type=float)
    parser.add_argument("--await-nodes", type=float)
    return parser.parse_args(arguments)


def _performers(asked: argparse.Namespace) -> Performers:
    return Performers(
        executor=asked.executor,
        threads=asked.threads,
        device=asked.device,
        address=asked.address,
        workers=asked.workers,
        worker_cpus=asked.worker_cpus,
        worker_gpus=asked.worker_gpus,
        await_nodes=asked.await_nodes,
    )


def _configure_logs(*, debug: bool) -> None:
    logging.getLogger("tifffile").setLevel(logging.DEBUG if debug else logging.CRITICAL)  # our own reasons say more
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


if __name__ == "__main__":
    sys.exit(main())
