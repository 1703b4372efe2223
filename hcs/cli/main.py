"""The command `hcs`: one file a command group, everything heavy imported inside the commands."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from hcs import __version__
from hcs.cli import (
    ask,
    catalog,
    check,
    compare,
    dashboard,
    demo,
    doctor,
    encoders,
    export,
    images,
    init,
    k8s,
    keys,
    lab,
    mechanisms,
    profiles,
    run,
    runs,
    score,
    serve,
    simulate,
    submit,
    work,
)
from hcs.cli.output import hush_stdout, printable
from hcs.errors import HcsError

app = typer.Typer(
    name="hcs",
    help="The open platform for high-content screening: from delivered plates to hits by mechanism.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    doctor,
    init,
    check,
    encoders,
    run,
    submit,
    work,
    runs,
    simulate,
    dashboard,
    demo,
    ask,
    mechanisms,
    compare,
    profiles,
    score,
    images,
    export,
    keys,
    serve,
    k8s,
    catalog,
    lab,
):
    group.register(app)


def _print_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"hcs {__version__}\n")
        raise typer.Exit


@app.callback()
def hcs(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and every log line.")] = False,
) -> None:
    """From delivered plates to hits by mechanism."""
    logging.getLogger("tifffile").setLevel(logging.DEBUG if debug else logging.CRITICAL)  # our own reasons say more
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # the present one: bars may be drawn on it
    )


def _open_closed_streams() -> None:
    """Give a command that was started without stdout or stderr a place to write to."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open as long as the process


def _complain(text: str) -> None:
    sys.stderr.write(printable(text) + "\n")


def _run_app() -> None:
    try:
        app()
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            hush_stdout()


def main() -> None:
    """Run the command line; an error that can be explained is one paragraph on stderr and its own exit code."""
    debug = "--debug" in sys.argv[1:]
    _open_closed_streams()
    try:
        _run_app()
    except HcsError as error:
        if debug:
            raise
        _complain(f"error: {error}")
        sys.exit(error.exit_code)
    except OSError as error:
        if debug:
            raise
        _complain(
            f"error: expected to write the output, but {error}; is the disk or the pipe of stdout full or closed?"
        )
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        _complain(
            f"error: something went wrong that this version does not explain ({type(error).__name__}: {error}); "
            "run the command again with --debug before its name for a traceback"
        )
        sys.exit(1)
