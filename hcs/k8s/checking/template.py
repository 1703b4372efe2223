"""Whether the dispatcher can make RayJobs of the template: what it would refuse once runs are there is said before."""

from __future__ import annotations

from collections.abc import Iterator

from hcs.errors import TemplateError
from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, labels, of_kind, title
from hcs.k8s.rayjob import COMPONENT_LABEL, TEMPLATE_COMPONENT, RunJob, render
from hcs.k8s.sizing import Demand

_DEMANDS = (Demand(n_plates=1, has_network=False), Demand(n_plates=1, has_network=True))
"""A run of named features and one with a network: between them, they try both groups of workers."""


def check_template(objects: list[Object]) -> Iterator[Finding]:
    """Return why no run could be made from a template among the objects."""
    for item in of_kind(objects, "RayJob"):
        if labels(item).get(COMPONENT_LABEL) == TEMPLATE_COMPONENT:
            for refusal in dict.fromkeys(_refusal(item, demand) for demand in _DEMANDS):
                if refusal:
                    yield Finding(
                        title(item),
                        "",
                        "template/refused",
                        "a template that RayJobs of runs are made from",
                        refusal.rstrip("."),
                        "`hcs k8s render` shows what is made",
                    )


def _refusal(item: Object, demand: Demand) -> str | None:
    try:
        render(item, RunJob(catalog="0" * 32, run_id=1, attempt=1, demand=demand))
    except TemplateError as error:
        return str(error)
    return None
