from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hcs.io.stores.patience import patiently


class PassingError(Exception):
    """May not come again."""


def failing(times: int, error: Exception) -> Callable[[], int]:
    """Return a function that raises so many times, and then returns how often it was called."""
    calls = 0

    def ask() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise error
        return calls

    return ask


def is_passing(error: Exception) -> bool:
    return isinstance(error, PassingError)


@pytest.mark.parametrize("times", [0, 1, 3])
def test_what_passes_is_asked_again_until_it_is_answered(times: int) -> None:
    assert patiently(failing(times, PassingError()), is_passing=is_passing, waits=[0.001] * 3) == times + 1


def test_what_does_not_pass_is_raised_after_as_many_attempts_as_there_are_waits_and_one() -> None:
    ask = failing(4, PassingError())

    with pytest.raises(PassingError):
        patiently(ask, is_passing=is_passing, waits=[0.001] * 3)

    assert ask() == 5


def test_another_error_is_raised_at_once() -> None:
    ask = failing(1, ValueError("no"))

    with pytest.raises(ValueError, match="no"):
        patiently(ask, is_passing=is_passing, waits=[10.0])

    assert ask() == 2


def test_no_attempt_begins_after_the_patience_is_over() -> None:
    started = time.monotonic()

    with pytest.raises(PassingError):
        patiently(failing(9, PassingError()), is_passing=is_passing, waits=[0.05] * 100, patience=0.2)

    assert time.monotonic() - started < 0.3
