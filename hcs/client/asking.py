"""How a method of the client asks: one answer, or the items of all pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from hcs.client.transport import Parameter, Transport
from hcs.errors import AnswerError, UsageError
from schemas.api import LARGEST_PAGE, Body, Page, Run, RunSummary

Item = TypeVar("Item", bound=Body)
RunName = str | Run | RunSummary
"""A run as the API returned it, or its name: `run-12`, or `latest`."""


class Asking:
    """What every part of the client stands on."""

    _line: Transport

    def _items(self, page: type[Page[Item]], path: str, **asked: Parameter) -> Iterator[Item]:
        cursor: str | None = None
        while True:
            answer = self._line.ask(page, "GET", path, parameters={**asked, "limit": LARGEST_PAGE, "cursor": cursor})
            yield from answer.items
            before, cursor = cursor, answer.next_cursor
            if cursor is None:
                return
            if cursor == before:
                raise AnswerError(
                    f"every page of {path} is expected to lead on, but one leads to itself: the list has no end. Look "
                    "whether the URL is that of `hcs serve`, and what stands between keeps no answers."
                )


def known(run: RunName) -> str:
    """Return the name of a run.

    Raises:
        UsageError: If it is neither a name nor a run that the API returned.
    """
    if isinstance(run, (Run, RunSummary)):
        return run.id
    if isinstance(run, str):
        return run
    raise UsageError(f"a run is expected as the API returned it, or its name such as 'run-12', but {run!r:.80} came")


def name_of(run: RunName | None) -> str | None:
    """Return the name of a run, if one is meant."""
    return None if run is None else known(run)
