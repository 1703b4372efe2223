"""Starts a service by its name, in the place of this process: the command line does not import what stands above it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import hcs


def become(module: str, arguments: Sequence[str], *, catalog: str | None, parts: str | None) -> NoReturn:
    """Replace this process by a service.

    The catalog and the parts are said in the environment: a password in a URL is not to stand in a list of processes.
    """
    environment = environment_of(catalog=catalog, parts=parts)
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-P", "-m", module, *arguments]
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own interpreter, which then is this process


def environment_of(*, catalog: str | None, parts: str | None) -> Mapping[str, str]:
    """Return the environment of a service: this one, and what is said of the catalog and the parts."""
    said = {"HCS_CATALOG": catalog, "HCS_PARTS": parts}
    return {**os.environ, **{name: value for name, value in said.items() if value is not None}, **_path()}


def _path() -> dict[str, str]:
    """Return what makes the service the one beside this `hcs`, where that lies in a checkout.

    `-P` keeps out the present folder, in which a user may have services of their own.
    """
    beside = str(Path(hcs.__file__).parents[1])
    if {"site-packages", "dist-packages"} & set(Path(beside).parts):
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [beside, os.environ.get("PYTHONPATH")]))}
