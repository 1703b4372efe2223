"""All checks on one set of objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hcs.errors import UsageError
from hcs.k8s.checking.capacity import check_capacity
from hcs.k8s.checking.commands import CommandParser, check_commands
from hcs.k8s.checking.core import VERSIONS, check_core
from hcs.k8s.checking.credentials import check_credentials
from hcs.k8s.checking.custom import check_custom
from hcs.k8s.checking.environment import check_environment
from hcs.k8s.checking.finding import Finding, Unchecked, Verdict
from hcs.k8s.checking.kuberay import check_kuberay
from hcs.k8s.checking.objects import Object
from hcs.k8s.checking.pods import Pods, all_pods
from hcs.k8s.checking.policy import check_policy
from hcs.k8s.checking.ports import check_ports
from hcs.k8s.checking.reach import Reach, check_isolation, check_reach
from hcs.k8s.checking.references import check_references
from hcs.k8s.checking.rights import check_rights
from hcs.k8s.checking.selectors import check_selectors
from hcs.k8s.checking.services import check_addresses, check_services
from hcs.k8s.checking.template import check_template


def judge(
    objects: list[Object],
    *,
    parse: CommandParser,
    definitions: Path | None = None,
    holds_custom: bool = True,
    versions: Sequence[str] = VERSIONS,
    reach: Reach | None = None,
) -> Verdict:
    """Return everything that is wrong with a set of objects that are created together.

    Objects that their schema refuses are not looked at further: what they would mean is open.

    Args:
        objects: The objects, as `kubectl kustomize` renders them.
        parse: Our own command line, which says what is wrong with the words after `hcs`.
        definitions: A folder of CustomResourceDefinitions.
        holds_custom: Whether custom objects are held against their definitions.
        versions: Versions of Kubernetes.
        reach: The table of who reaches what; None: policies are not simulated.

    Raises:
        UsageError: If a version or the table is not one, or packages of the extra `k8s-check` are missing.
        MissingFileError: If the folder of definitions is not there.
    """
    _require_packages()
    said: list[Finding | Unchecked] = list(check_core(objects, versions=versions))
    if holds_custom:
        said += check_custom(objects, definitions=definitions)
    if not any(isinstance(one, Finding) and one.rule == "schema/value" for one in said):
        said += _check_meaning(objects, all_pods(objects), parse, reach)
    return Verdict(
        n_objects=len(objects),
        findings=tuple(sorted({one for one in said if isinstance(one, Finding)})),
        unchecked=tuple(sorted({one for one in said if isinstance(one, Unchecked)})),
    )


def _check_meaning(
    objects: list[Object], pods: list[Pods], parse: CommandParser, reach: Reach | None
) -> Iterator[Finding]:
    yield from check_kuberay(objects)
    yield from check_template(objects)
    yield from check_selectors(objects, pods)
    yield from check_ports(objects, pods)
    yield from check_references(objects, pods)
    yield from check_commands(objects, pods, parse=parse)
    yield from check_environment(objects, pods)
    yield from check_policy(objects, pods)
    yield from check_rights(objects)
    yield from check_services(objects)
    yield from check_capacity(objects, pods)
    yield from check_credentials(objects, pods)
    yield from check_isolation(objects, pods)
    wrong_addresses = list(check_addresses(objects))
    yield from wrong_addresses
    if reach is not None and not wrong_addresses:
        yield from check_reach(objects, pods, reach)


def _require_packages() -> None:
    from importlib.util import find_spec

    missing = [
        name for name in ("kubernetes_validate", "celpy", "jsonschema", "referencing") if find_spec(name) is None
    ]
    if missing:
        raise UsageError(
            f"expected the packages that check manifests, but {', '.join(missing)} is missing: "
            "pip install 'hcs[k8s-check]'"
        )
