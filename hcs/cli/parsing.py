"""Command lines of `hcs`, read and not run."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from functools import cache
from typing import Any


def refusal_of(words: Sequence[str]) -> str | None:
    """Return what is wrong with the words after `hcs`, in one line; None: the command line understands them."""
    import typer

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # --help and --version print before they leave
            _parse(_command(), list(words))
    except typer.Exit:
        return None
    except Exception as error:  # click's errors, of the click that typer brings
        message = getattr(error, "format_message", error.__str__)()
        said = " ".join(message.split())
        return "a command is missing" if not said or said.startswith("Usage:") else said[:200]
    return None


@cache
def _command() -> Any:
    import typer

    from hcs.cli.main import app

    return typer.main.get_command(app)


def _parse(command: Any, words: list[str]) -> None:
    context = command.make_context("hcs", words)
    while hasattr(command, "resolve_command"):
        rest = [*getattr(context, "_protected_args", ()), *context.args]
        if not rest and command.invoke_without_command:
            return
        if not rest:
            raise ValueError("a command is missing")
        named, command, rest = command.resolve_command(context, rest)
        context = command.make_context(named, rest, parent=context)
