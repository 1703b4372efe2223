"""Confounding, against the rank of the whole design."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.profiling.audit.confounding import confounding, confoundings, layout_sharing
from hcs.profiling.audit.wells import AuditColumns, AuditWells, audit_wells


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 30))
def test_lost_differences_are_those_of_the_rank_of_the_design(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    levels, perturbations = rng.integers(0, 5, n), rng.integers(0, 12, n)
    _, of_level = np.unique(levels, return_inverse=True)
    _, of_perturbation = np.unique(perturbations, return_inverse=True)
    by_level, by_perturbation = np.eye(of_level.max() + 1)[of_level], np.eye(of_perturbation.max() + 1)[of_perturbation]
    full = by_level.shape[1] + by_perturbation.shape[1] - 1

    found = confounding("batch", levels, perturbations)

    assert found.n_lost == full - np.linalg.matrix_rank(np.hstack([by_level, by_perturbation]))


def _wells(rows: list[tuple[str, str, str, str]], **more: list[str]) -> AuditWells:
    table = pl.DataFrame(rows, schema=["batch", "plate", "well", "perturbation"], orient="row")
    table = table.with_columns(pl.Series(name, values) for name, values in more.items())
    columns = AuditColumns(batch="batch", perturbation="perturbation", plate="plate", well="well", factors=tuple(more))
    values = np.random.default_rng(0).normal(size=(table.height, 3))
    return audit_wells(table, values, columns=columns, is_negcon=(table["perturbation"] == "DMSO").to_numpy())


def test_a_control_in_every_batch_does_not_make_compounds_comparable() -> None:
    rows = [(f"b{b}", f"p{b}", well, name) for b in (1, 2) for well, name in (("A01", "DMSO"), ("A02", f"c{b}"))]

    batch, plate = confoundings(_wells(rows))

    assert batch.is_confounded
    assert (batch.n_lost, batch.n_in_several) == (1, 0)
    assert "confounded" in batch.sentence
    assert plate.factor == "plate"


def test_batches_that_share_compounds_through_a_third_are_not_confounded() -> None:
    rows = [("b1", "p1", "A01", "x"), ("b2", "p2", "A01", "x"), ("b2", "p2", "A02", "y"), ("b3", "p3", "A01", "y")]

    batch, _, instrument = confoundings(_wells(rows, instrument=["i", "i", "i", "j"]))

    assert not batch.is_confounded
    assert not instrument.is_confounded
    assert instrument.n_levels == 2


@pytest.mark.parametrize(("second", "identical", "share"), [(("A01", "A02"), True, 1.0), (("A02", "A01"), False, 0.0)])
def test_a_layout_that_is_the_same_in_all_batches_is_said_to_be(
    second: tuple[str, str], identical: bool, share: float
) -> None:
    rows = [("b1", "p1", "A01", "x"), ("b1", "p1", "A02", "y")]
    rows += [("b2", "p2", second[0], "x"), ("b2", "p2", second[1], "y")]

    found = layout_sharing(_wells(rows))

    assert found is not None
    assert (found.is_identical, found.same_position_share) == (identical, share)
    assert ("identical" in found.sentence) == identical


def test_one_batch_has_no_layout_to_compare() -> None:
    assert layout_sharing(_wells([("b1", "p1", "A01", "x"), ("b1", "p1", "A02", "y")])) is None
