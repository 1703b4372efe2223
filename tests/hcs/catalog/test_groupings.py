"""Maps of runs are kept once, and never shown of results that are not there any more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from hcs.catalog import delete_run, find_grouping, keep_grouping, publish, results_digest, set_run_state
from schemas.work import RunState

WHICH = {"profile": "combined", "everything": False, "form": 1}
OTHERS = [{**WHICH, "profile": "named"}, {**WHICH, "everything": True}, {**WHICH, "form": 2}]


def release(catalog, make, run_id, *perturbations):
    calls = make.calls([{"perturbation": name} for name in perturbations])
    state = RunState.COMPLETE_WITH_HOLES
    publish(catalog, run_id, calls=calls, neighbours=make.neighbours([]), profiles=[], state=state)
    return results_digest(catalog, run_id)


@pytest.fixture
def run_id(catalog, make):
    run_id = make.run(catalog).id
    release(catalog, make, run_id, "CPD1")
    return run_id


def keep(catalog, run_id, content, *, digest=None, **which):
    digest = results_digest(catalog, run_id) if digest is None else digest
    return keep_grouping(catalog, run_id, content, **{**WHICH, **which}, results_sha256=digest)


@pytest.mark.parametrize("content", [b"", b"{}", "\u677f\0".encode() * 100_000])
def test_what_was_kept_is_found(catalog, run_id, content):
    assert find_grouping(catalog, run_id, **WHICH) is None

    assert keep(catalog, run_id, content)

    assert find_grouping(catalog, run_id, **WHICH) == content


def test_maps_of_another_profile_choice_or_form_are_others(catalog, run_id):
    keep(catalog, run_id, b"this")

    assert [find_grouping(catalog, run_id, **other) for other in OTHERS] == [None] * len(OTHERS)
    for number, other in enumerate(OTHERS):
        keep(catalog, run_id, b"%d" % number, **other)
    assert [find_grouping(catalog, run_id, **other) for other in OTHERS] == [b"0", b"1", b"2"]
    assert find_grouping(catalog, run_id, **WHICH) == b"this"


def test_a_name_that_no_database_takes_is_that_of_no_map(catalog, run_id):
    assert find_grouping(catalog, run_id, **{**WHICH, "profile": "a\0b"}) is None


def test_the_first_one_stands_however_many_make_it_at_once(place, catalog, run_id):
    together = Barrier(6)

    def make_one(number):
        with place.open() as own:
            together.wait(20)
            return keep(own, run_id, b"%d" % number)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(make_one, range(6)))
    stood = find_grouping(catalog, run_id, **WHICH)
    assert stood in {b"%d" % number for number in range(6)}

    assert keep(catalog, run_id, b"too late")
    assert find_grouping(catalog, run_id, **WHICH) == stood


def test_a_run_that_publishes_anew_has_no_map_of_before(catalog, make, run_id):
    before = results_digest(catalog, run_id)
    keep(catalog, run_id, b"before")
    set_run_state(catalog, run_id, RunState.RUNNING)
    assert find_grouping(catalog, run_id, **WHICH) == b"before", "its earlier results are seen until then"

    after = release(catalog, make, run_id, "CPD1", "CPD2")

    assert after != before
    assert find_grouping(catalog, run_id, **WHICH) is None
    assert not keep(catalog, run_id, b"made of what was there before", digest=before)
    assert find_grouping(catalog, run_id, **WHICH) is None
    assert keep(catalog, run_id, b"after", digest=after)
    assert find_grouping(catalog, run_id, **WHICH) == b"after"


def test_a_run_that_is_gone_or_has_no_results_keeps_none(catalog, make, run_id):
    digest = results_digest(catalog, run_id)
    keep(catalog, run_id, b"map")
    delete_run(catalog, run_id)
    unfinished = make.run(catalog).id

    assert results_digest(catalog, run_id) is results_digest(catalog, unfinished) is None
    assert not keep(catalog, run_id, b"map", digest=digest)
    assert not keep(catalog, unfinished, b"map")
    assert find_grouping(catalog, run_id, **WHICH) is find_grouping(catalog, unfinished, **WHICH) is None
