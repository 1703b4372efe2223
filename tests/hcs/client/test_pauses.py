"""How long the client waits between tries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs.client.pauses import FIRST_PAUSE, LONGEST_PAUSE, pause_before, retry_after

NOW = datetime(2026, 10, 2, 12, tzinfo=UTC)
shares = st.floats(min_value=0, max_value=1, exclude_max=True)
attempts = st.integers(min_value=2, max_value=10_000)


@given(attempts, shares)
def test_a_pause_is_never_long_and_never_nothing(attempt, share):
    assert FIRST_PAUSE / 2 <= pause_before(attempt, asked=None, share=share) <= LONGEST_PAUSE


@given(attempts, shares)
def test_the_next_pause_is_no_shorter_and_at_most_twice_as_long(attempt, share):
    this, following = (pause_before(number, asked=None, share=share) for number in (attempt, attempt + 1))

    assert this <= following <= 2 * this


@given(attempts, shares, st.floats(min_value=0, max_value=1e6))
def test_what_the_server_asks_for_is_kept(attempt, share, asked):
    assert asked <= pause_before(attempt, asked=asked, share=share) <= asked + 1


@given(st.integers(min_value=0, max_value=10**8))
def test_seconds_are_read_in_both_forms(seconds):
    assert retry_after(str(seconds), now=NOW) == seconds
    assert retry_after(format_datetime(NOW + timedelta(seconds=seconds), usegmt=True), now=NOW) == seconds


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5", "²", "Mon, 99 Foo"])
def test_what_is_no_time_asks_for_nothing(value):
    assert retry_after(value, now=NOW) is None


@pytest.mark.parametrize("year", ["99999999999999999999", "10000"])
def test_a_year_that_no_calendar_has_asks_for_nothing(year):
    assert retry_after(f"Mon, 01 Jan {year} 00:00:00 GMT", now=NOW) is None
    assert retry_after(f"Mon, 01 Jan 2027 {year}{year}:00:00 GMT", now=NOW) is None


def test_a_time_that_is_past_is_now():
    assert retry_after(format_datetime(NOW - timedelta(hours=1)), now=NOW) == 0
