"""A run's RayJob, of the template and of what the catalog says of the run."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hcs.catalog import Dispatch, OpenRun


def render_run(template: Mapping[str, Any], run: OpenRun, dispatch: Dispatch, *, catalog: str) -> Mapping[str, Any]:
    made = copy.deepcopy(dict(template))
    made["metadata"] = {
        "name": dispatch.name,
        "labels": {
            "app.kubernetes.io/name": "hcs",
            "app.kubernetes.io/component": "run",
            "hcs/catalog": catalog,
            "hcs/run": str(dispatch.run_id),
            "hcs/attempt": str(dispatch.attempt),
        },
    }
    made.pop("status", None)
    made["spec"] |= {"suspend": False, "entrypoint": f"hcs work --run {run.run.name} --executor ray --address auto"}
    return made
