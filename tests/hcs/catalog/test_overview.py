"""What is shown beside results."""

from __future__ import annotations

import pytest

from hcs.catalog import (
    EVERY_CALL,
    HitLimits,
    calls_on_plate,
    check_answers,
    count_mechanisms,
    find_hits,
    known_mechanisms,
    open_catalog,
    publish,
)
from hcs.errors import StorageError
from schemas.work import RunState


@pytest.fixture
def published(catalog, make):
    """A run on two plates; CPD1 in two doses with two labels, CPD2 with one of them spelled otherwise."""
    run = make.run(catalog, barcodes=["P1", "P2"])
    rows = [
        {"perturbation": "CPD1", "concentration_micromolar": 1.0, "mechanism": "kinase|tubulin", "is_hit": True},
        {"perturbation": "CPD1", "concentration_micromolar": 10.0, "mechanism": "kinase|tubulin", "is_hit": False},
        {"perturbation": "CPD2", "concentration_micromolar": 1.0, "mechanism": "Kinase", "is_hit": True},
        {"perturbation": "elsewhere", "concentration_micromolar": 1.0, "mechanism": None, "is_hit": True},
    ]
    calls = [
        {**row, "mechanism_source": "annotated" if row["mechanism"] else "none", "profile": profile}
        for row in rows
        for profile in ("combined", "named")
    ]
    publish(
        catalog,
        run.id,
        state=RunState.COMPLETE,
        calls=make.calls(calls),
        neighbours=make.neighbours([]),
        profiles=[make.profile()],
    )
    return catalog, run.id


def test_calls_on_a_plate_are_those_of_the_treatments_that_are_there(published):
    catalog, run_id = published

    found = calls_on_plate(catalog, run_id, "P1")

    assert found["treatment"].to_list() == ["CPD1@1", "CPD1@10", "CPD2@1"]
    assert set(found["profile"]) == {"combined"}
    assert found.columns == find_hits(catalog, EVERY_CALL).columns
    assert calls_on_plate(catalog, run_id, "P9").is_empty()
    assert calls_on_plate(catalog, run_id, "P1\0").is_empty()
    assert calls_on_plate(catalog, run_id, "P1", profile="nothing").is_empty()
    assert calls_on_plate(catalog, run_id + 1, "P1").is_empty()


def test_mechanisms_are_counted_as_hits_are_found_by_them(published):
    catalog, run_id = published

    counted = count_mechanisms(catalog, run_id)

    assert counted["label"].to_list() == known_mechanisms(catalog)
    for label, treatments, hits in counted.iter_rows():
        found = find_hits(catalog, HitLimits(mechanism=label, q_max=1))
        assert (found.height, int(found["is_hit"].sum())) == (treatments, hits)
    assert dict(counted.select("label", "treatments").iter_rows())["tubulin"] == 2


def test_a_database_answers_or_says_why_not(catalog, tmp_path):
    check_answers(catalog)
    path = tmp_path / "other.sqlite"
    with open_catalog(str(path)) as other:
        other.engine.dispose()
        path.unlink()
        path.mkdir()
        with pytest.raises(StorageError):
            check_answers(other)
