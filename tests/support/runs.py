"""Runs in this process, without a command line around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hcs.catalog import Catalog, Registration
from hcs.io.screen import load_screen
from hcs.pipeline.run import Performed, perform_run
from hcs.pipeline.submission import prepare_run
from hcs.settings import Settings
from schemas.work import Executor, UnitOutcome, UnitSpec


class Looker:
    """A watcher that calls a function for every unit that came back."""

    def __init__(self, came: Callable[[UnitSpec, UnitOutcome], None] = lambda spec, outcome: None) -> None:
        self.came = came

    def started(self, registration: Registration) -> None: ...

    def opening(self) -> None: ...

    def tick(self) -> None: ...


def perform(
    catalog: Catalog,
    screen: Path | str,
    executor: Executor,
    *,
    came: Callable[[UnitSpec, UnitOutcome], None] = lambda spec, outcome: None,
    **options: Any,
) -> Performed:
    prepared = prepare_run(load_screen(str(screen)), settings=Settings(offline=True), pin=executor.pin)
    return perform_run(catalog, prepared, executor=executor, watcher=Looker(came), **options)
