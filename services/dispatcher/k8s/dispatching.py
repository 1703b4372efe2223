"""Opens the catalog and finds the cluster, and goes on until somebody asks to end."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import structlog

from hcs.catalog import open_catalog
from hcs.errors import HcsError
from hcs.k8s.api import RayJobs
from hcs.k8s.cluster import find_cluster
from hcs.pipeline.interrupts import interrupts
from hcs.settings import read_settings
from services.dispatcher.k8s.loop import RayJobDispatcher

log = structlog.get_logger(__name__)


def dispatch(*, namespace: str | None, kubeconfig: str | None, template: str, alive_file: Path, debug: bool) -> int:
    """Keep a RayJob for every open run; return the exit code: 0 if somebody asked to end.

    Args:
        namespace: Of the RayJobs; by default the pod's, or the kubeconfig's.
        kubeconfig: Names the cluster; by default the pod's own.
        template: The RayJob that those of runs are made from.
        alive_file: Touched every round.
        debug: Whether every line is logged, and an error is raised.

    Raises:
        HcsError: With `debug`, if the catalog cannot be opened, or there is no cluster.
    """
    _configure_logs(debug=debug)
    settings = read_settings()
    rayjobs = RayJobs(lambda: find_cluster(namespace=namespace, kubeconfig=kubeconfig))
    try:
        with interrupts():
            where = rayjobs.namespace  # a cluster that is not there is said at once
            with open_catalog(settings.catalog, parts_uri=settings.parts, may_upgrade=settings.upgrade) as catalog:
                log.info("waiting for runs", catalog=catalog.location, namespace=where, template=template)
                RayJobDispatcher(catalog, rayjobs, template).work(touch=alive_file.touch)
    except KeyboardInterrupt:
        log.info("asked to end: RayJobs go on, and the next dispatcher follows them")
    except HcsError as error:
        if debug:
            raise
        log.error("the dispatcher cannot go on", reason=str(error))
        return error.exit_code
    finally:
        rayjobs.close()
    return 0


def _configure_logs(*, debug: bool) -> None:
    """Log one JSON object a line on stderr, as what collects the logs of pods wants it."""
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
