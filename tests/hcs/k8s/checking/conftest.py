"""The overlays of this repository, rendered once, and the folder of definitions."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from wheels import REPOSITORY

from hcs.cli.parsing import refusal_of
from hcs.k8s.checking.finding import Verdict
from hcs.k8s.checking.judging import judge
from hcs.k8s.checking.objects import Object, read_objects
from hcs.k8s.checking.reach import read_reach
from hcs.k8s.checking.rendering import REACH, render

OVERLAYS = REPOSITORY / "k8s" / "overlays"
DEFINITIONS = Path(os.environ.get("HCS_TEST_CRDS", REPOSITORY.parent / "shared" / "crds"))


@cache
def _rendered(overlay: str) -> list[Object]:
    return read_objects(render(OVERLAYS / overlay), source=overlay)


@pytest.fixture(scope="session")
def overlay() -> Callable[[str], list[Object]]:
    """The objects of an overlay, for each who asks their own."""
    return lambda named: copy.deepcopy(_rendered(named))


@pytest.fixture(scope="session")
def judged() -> Callable[[str, list[Object]], Verdict]:
    """What is said of the objects of an overlay, whoever changed them meanwhile."""

    def verdict(named: str, objects: list[Object]) -> Verdict:
        table = read_reach((OVERLAYS / named / REACH).read_text(encoding="utf-8"), source=named)
        has_definitions = DEFINITIONS.is_dir()
        return judge(
            objects,
            parse=refusal_of,
            definitions=DEFINITIONS if has_definitions else None,
            holds_custom=has_definitions,
            reach=table,
        )

    return verdict


@pytest.fixture(scope="session")
def definitions() -> Path:
    """The folder of CustomResourceDefinitions; tests that need it are skipped where it is not."""
    if not DEFINITIONS.is_dir():
        pytest.skip(
            "definitions are looked for in $HCS_TEST_CRDS, else in shared/crds beside the repository; not there"
        )
    return DEFINITIONS
