"""What of a run matters to who performs it on Kubernetes."""

from __future__ import annotations

from hcs.catalog import RunRecord
from hcs.embedding.names import NAMED
from hcs.k8s.rayjob import RunJob
from hcs.k8s.sizing import Demand
from schemas.screen import ScreenConfig
from schemas.work import RunPin


def job_of(run: RunRecord, *, catalog: str, attempt: int) -> RunJob:
    """Return what the RayJob of a run is made from.

    Args:
        run: The run.
        catalog: Identifier of its catalog.
        attempt: Which time it is.
    """
    return RunJob(catalog=catalog, run_id=run.id, attempt=attempt, demand=demand_of(run.config, run.pin))


def demand_of(config: ScreenConfig, pin: RunPin | None) -> Demand:
    """Return how much work a screen is, and what it has been begun with."""
    has_network = any(choice.name != NAMED for choice in config.encoders)
    return Demand(n_plates=len(config.plates), has_network=has_network, device=None if pin is None else pin.device)
