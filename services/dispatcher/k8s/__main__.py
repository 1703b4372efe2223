"""`python -m services.dispatcher.k8s`: what `hcs k8s dispatch` starts. The catalog is the environment's, HCS_CATALOG."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from services.dispatcher.k8s.alive import default_file, is_alive

TEMPLATE = "hcs-run"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of a dispatcher that was asked to end; or of a probe, 0 where one goes on."""
    asked = _asked(arguments)
    if asked.alive:
        return 0 if is_alive(asked.alive_file) else 1
    from hcs.errors import HcsError

    _configure_logs(debug=asked.debug)
    try:
        dispatch(asked)
    except HcsError as error:
        if asked.debug:
            raise
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def dispatch(asked: argparse.Namespace) -> None:
    """Keep a RayJob for every open run, until somebody asks to end.

    Raises:
        HcsError: If the catalog cannot be opened, or there is no cluster.
    """
    import structlog

    from hcs.catalog import open_catalog
    from hcs.k8s.api import RayJobs
    from hcs.k8s.cluster import find_cluster
    from hcs.pipeline.interrupts import interrupts
    from hcs.settings import read_settings
    from services.dispatcher.k8s.loop import RayJobDispatcher

    log = structlog.get_logger("services.dispatcher.k8s")
    settings = read_settings()
    try:
        with interrupts():
            rayjobs = RayJobs(lambda: find_cluster(namespace=asked.namespace, kubeconfig=asked.kubeconfig))
            namespace = rayjobs.namespace  # a cluster that is not there is said at once
            with open_catalog(settings.catalog, parts_uri=settings.parts) as catalog:
                log.info("waiting for runs", catalog=catalog.location, namespace=namespace, template=asked.template)
                dispatcher = RayJobDispatcher(catalog, rayjobs, asked.template)
                dispatcher.work(touch=asked.alive_file.touch)
    except KeyboardInterrupt:
        log.info("asked to end: RayJobs go on, and the next dispatcher follows them")


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="services.dispatcher.k8s", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--namespace")
    parser.add_argument("--kubeconfig")
    parser.add_argument("--template", default=TEMPLATE)
    parser.add_argument("--alive", action="store_true")
    parser.add_argument("--alive-file", type=Path, default=default_file())
    parser.add_argument("--debug", action="store_true")
    return parser.parse_args(arguments)


def _configure_logs(*, debug: bool) -> None:
    """Log one JSON object a line on stderr, as what collects the logs of pods wants it."""
    import logging

    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


if __name__ == "__main__":
    sys.exit(main())
