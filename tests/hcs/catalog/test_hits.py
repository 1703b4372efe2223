from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hcs.catalog import EVERY_CALL, HitLimits, find_hits, get_run, hits_page, publish
from hcs.errors import NotFoundError, UsageError
from schemas.work import RunState

NAMES = ["b", "B", "a", "_", "é", "e", "z", "Z10", "Z9", "10", "9", "β", "a b", "ab", "a-b"]


def rows_of(names, *, q_values=(0.01, 0.02, None), effects=(1.0, 3.0, None)):
    """Calls with ties in every column that pages are ordered by."""
    return [
        {
            "perturbation": name,
            "control_type": "poscon" if n % 5 == 0 else "treatment",
            "q_value": q_values[n % len(q_values)],
            "effect": effects[n // 2 % len(effects)],
            "mechanism": "JAK inhibitor|EGFR inhibitor" if n % 2 else None,
            "mechanism_source": "annotated" if n % 2 else "none",
            "n_batches_holding": (1, 2, 3, None)[n % 4],
            "explained_by_count": ("explained", "not_explained", None)[n % 3],
            "channel_verdict": ("one_channel", "several_channels", "cannot_tell", None)[n % 4],
            "quality_verdict": ("flagged_more", "as_controls", None)[n % 3],
            "cell_count_ratio": 0.4 if n % 4 == 0 else 0.9,
        }
        for n, name in enumerate(names)
    ]


def release(catalog, make, rows, *, run_id=None, state=RunState.COMPLETE):
    run_id = run_id or make.run(catalog).id
    calls = make.calls(rows).with_columns(pl.col("effect").cast(pl.Float64))
    publish(catalog, run_id, calls=calls, neighbours=make.neighbours([]), profiles=[], state=state)
    return run_id


@pytest.fixture
def published(catalog, make):
    release(catalog, make, rows_of(NAMES))
    return catalog


def strength(row):
    """The order of pages, said once more: by plain Python."""
    q_value, effect = row["q_value"], row["effect"]
    return (q_value is None, q_value or 0, effect is None, -(effect or 0), row["treatment"], row["control_type"])


def pages_of(catalog, limits, *, limit):
    offset = 0
    while True:
        page = hits_page(catalog, limits, limit=limit, offset=offset)
        yield page
        if not page.has_more:
            return
        offset += page.hits.height


questions = st.fixed_dictionaries(
    {
        "q_max": st.sampled_from([0.01, 0.02, 1]),
        **dict.fromkeys(("not_toxic", "not_by_count", "not_one_channel", "not_flagged"), st.booleans()),
        "min_batches": st.sampled_from([None, 2]),
        "mechanism": st.sampled_from([None, "jak inhibitor", "none of them"]),
        "control_types": st.sampled_from([["treatment"], ["treatment", "poscon"]]),
    }
)


@given(question=questions, limit=st.integers(1, 20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_together_are_all_hits_and_the_strongest_come_first(published, question, limit):
    everything = sorted(find_hits(published, HitLimits(**question)).rows(named=True), key=strength)

    pages = list(pages_of(published, HitLimits(**question), limit=limit))

    assert [row for page in pages for row in page.hits.rows(named=True)] == everything
    assert [page.hits.height for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert {page.has_more for page in pages[:-1]} <= {True}
    assert pages[0].hits.schema == find_hits(published).schema


def test_a_page_behind_the_last_row_is_empty(published):
    page = hits_page(published, EVERY_CALL, offset=len(NAMES))

    assert page.hits.height == 0
    assert not page.has_more


def test_a_page_says_which_results_it_is_of(catalog, make):
    run_id = release(catalog, make, rows_of("ab"), state=RunState.COMPLETE_WITH_HOLES)
    first = hits_page(catalog, EVERY_CALL)
    assert (first.run_id, len(first.results_sha256)) == (run_id, 64)
    assert hits_page(catalog, EVERY_CALL, offset=1).results_sha256 == first.results_sha256

    from hcs.catalog import set_run_state

    set_run_state(catalog, run_id, RunState.RUNNING)
    assert hits_page(catalog, EVERY_CALL, run=run_id).results_sha256 == first.results_sha256  # the earlier are seen
    release(catalog, make, rows_of("abc"), run_id=run_id)

    again = hits_page(catalog, EVERY_CALL)
    assert again.results_sha256 != first.results_sha256
    assert again.hits.height == 3


def test_a_run_whose_calls_were_refused_has_an_empty_page(catalog, make):
    release(catalog, make, [{"perturbation": "A", "effect": 1.0}])
    run_id = make.run(catalog).id
    publish(catalog, run_id, calls=make.calls([]), neighbours=make.neighbours([]), profiles=[], state=RunState.COMPLETE)

    page = hits_page(catalog)

    assert get_run(catalog).id == page.run_id == run_id
    assert (page.hits.height, page.has_more) == (0, False)


@pytest.mark.parametrize(
    "page",
    [
        {"limit": 0},
        {"limit": 10**20},
        {"offset": -1},
        {"offset": 10**20},
    ],
)
def test_pages_that_make_no_sense_are_refused(published, page):
    with pytest.raises(UsageError):
        hits_page(published, **page)


@pytest.mark.parametrize("profile", ["swin", "", "\0", "\ud800", "x" * 10_000])
def test_an_unknown_profile_is_answered_with_those_there_are(published, profile):
    with pytest.raises(NotFoundError, match="it has combined") as error:
        hits_page(published, profile=profile)
    assert len(str(error.value)) < 500


def test_a_run_that_has_published_nothing_says_so(published, make):
    run_id = make.run(published).id

    with pytest.raises(NotFoundError, match=f"run-{run_id} is running"):
        hits_page(published, run=run_id)
