"""`hcs submit`: a screen for a dispatcher to perform."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hcs import __version__
from hcs.cli.options import CatalogOption, PartsOption, open_or_make
from hcs.cli.output import put, say
from hcs.cli.progress import RunProgress
from schemas.work import RunState

if TYPE_CHECKING:
    from hcs.catalog import Catalog, RunStatus

INTERRUPTED = 130
SECONDS_BETWEEN_LOOKS = 1.0
EXIT_CODES = {RunState.COMPLETE_WITH_HOLES: 3, RunState.FAILED: 1, RunState.CANCELLED: INTERRUPTED}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(submit)


def submit(
    screen: Annotated[Path, typer.Argument(metavar="SCREEN.yaml", help="What to run.")],
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    new: Annotated[
        bool, typer.Option("--new", help="Make another run although the same was submitted before.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until a dispatcher has performed it.")] = False,
) -> None:
    """Submit a screen for `hcs work` to perform, and print the run's name.

    The same file again is the same run, unless that failed or was cancelled.
    Exit code with --wait 0: complete, 3: it has holes, 1: it failed, 130: it was cancelled.

    Example: hcs submit SCREEN.yaml --wait
    """
    from hcs.catalog import submit_run
    from hcs.io.screen import load_screen

    config = load_screen(str(screen))
    with open_or_make(catalog, parts) as store:
        submission = submit_run(store, config, code_version=__version__, new=new)
        run = submission.run
        put(run.name)
        if submission.is_new:
            say(f"{run.name} of screen {run.screen} is submitted, and waits for a dispatcher: `hcs work`")
        else:
            words = run.state.value.replace("_", " ")
            say(f"{run.name} is there already ({words}); `hcs submit --new` makes another")
        code = _wait(store, run.id) if wait else 0
    raise typer.Exit(code)


def _wait(store: Catalog, run_id: int) -> int:
    """Return the exit code that a run has come to. Ctrl-C ends the waiting, and not the run."""
    from hcs.catalog import run_status

    def read() -> RunStatus:
        return run_status(store, run_id)

    try:
        with RunProgress(read) as progress:
            progress.start()
            while (told := read()).state in (RunState.SUBMITTED, RunState.RUNNING):
                time.sleep(SECONDS_BETWEEN_LOOKS)
                progress.tick()
    except KeyboardInterrupt:
        say("no longer waited for; it goes on all the same")
        return INTERRUPTED
    say(f"{told.name} is {told.state.value.replace('_', ' ')}")
    for note in told.notes:
        say(f"  note: {note}")
    return EXIT_CODES.get(told.state, 0)
