"""The template of runs as the dispatcher will read it."""

from __future__ import annotations

from collections.abc import Iterator

from hcs.errors import TemplateError
from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, labels, of_kind, title
from hcs.k8s.rayjob import COMPONENT_LABEL, TEMPLATE_COMPONENT, RunJob, render
from hcs.k8s.sizing import Demand

_LARGEST = 10**6


def check_template(objects: list[Object]) -> Iterator[Finding]:
    """Return a finding for each template that no RayJob of a run can be made from, for either kind of workers."""
    for item in of_kind(objects, "RayJob"):
        if labels(item).get(COMPONENT_LABEL) != TEMPLATE_COMPONENT:
            continue
        why = {said for has_network in (False, True) if (said := _refusal(item, has_network=has_network)) is not None}
        for said in sorted(why):
            yield Finding(title(item), "spec", "template/refused", "a template that runs can be made from",
                          said.rstrip("."), "mend it, and look with `hcs k8s render`")  # fmt: skip


def _refusal(item: Object, *, has_network: bool) -> str | None:
    demand = Demand(n_plates=_LARGEST, has_network=has_network)
    try:
        render(item, RunJob(catalog="0" * 32, run_id=1, attempt=1, demand=demand))
    except TemplateError as error:
        return str(error)
    return None
