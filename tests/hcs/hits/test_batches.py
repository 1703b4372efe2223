"""In how many batches a hit holds by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hcs.hits.batches import BatchSupport, batch_supports
from hcs.hits.explain import say_batches
from hcs.statistics.permutation import permutation_test
from tests.support.hit_pools import pool_of_one

Pool = tuple[np.ndarray, np.ndarray, np.ndarray]


def pool(shifts: list[float], *, n_controls: int = 8, n_replicates: int = 2, seed: int = 0) -> Pool:
    """Return a batch of two plates for each shift of its replicates, which lie in one direction in all batches."""
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal(10)
    n = n_controls + n_replicates
    plates = np.repeat(np.arange(2 * len(shifts)), n)
    is_replicate = np.tile(np.arange(n) < n_replicates, 2 * len(shifts))
    strength = np.repeat(shifts, 2 * n) * is_replicate
    return rng.standard_normal((len(plates), 10)) + strength[:, None] * direction, plates, is_replicate


def said_of(found: BatchSupport) -> str | None:
    return say_batches(found.verdict, n_batches=found.n_batches, n_testable=found.n_testable, n_holding=found.n_holding)


def judge(wells: Pool) -> BatchSupport:
    made = pool_of_one(*wells)
    return batch_supports(made, batches=made.plates // 2, seed=0)[0]


@pytest.mark.parametrize(
    ("shifts", "verdict", "n_holding", "said"),
    [
        ([3.0, 3.0, 3.0], "every_batch", 3, "it holds in each of 3 batches by itself"),
        ([3.0, 0.0, 3.0], "some_batches", 2, "it holds in 2 of 3 batches by themselves"),
        ([0.0, 0.0], "no_batch", 0, "it holds in none of 2 batches by itself, only in all of them together"),
        ([3.0], "one_batch", 1, "all its replicates are of one batch: whether it holds in another is not known"),
    ],
)
def test_batches_in_which_it_holds_are_counted(shifts: list[float], verdict: str, n_holding: int, said: str) -> None:
    found = judge(pool(shifts))

    assert (found.verdict, found.n_batches, found.n_testable, found.n_holding) == (
        verdict, len(shifts), len(shifts), n_holding,
    )  # fmt: skip
    assert said_of(found) == said


def test_a_batch_is_tested_as_if_there_were_no_other() -> None:
    profiles, plates, is_replicate = pool([0.6, 0.4])
    found = judge((profiles, plates, is_replicate))

    for batch, test in found.tests.items():
        own = plates // 2 == batch
        assert test == permutation_test(profiles[own], plates[own], is_replicate[own], seed=0)


def test_batches_that_cannot_reach_significance_do_not_count_against_a_hit() -> None:
    # One replicate and three controls on each of two plates: 16 designs, p is never below .0625.
    found = judge(pool([3.0, 3.0], n_controls=3, n_replicates=1))

    assert (found.verdict, found.n_testable) == ("cannot_tell", 0)
    assert {test.smallest_possible_p for test in found.tests.values()} == {1 / 16}
    assert "cannot be told" in said_of(found)


def test_a_batch_of_one_replicate_is_no_test_and_is_said() -> None:
    profiles, plates, is_replicate = pool([3.0, 3.0, 3.0])
    first = np.flatnonzero(is_replicate & (plates // 2 == 2))[0]
    kept = ~(is_replicate & (plates // 2 == 2)) | (np.arange(len(plates)) == first)

    found = judge((profiles[kept], plates[kept], is_replicate[kept]))

    assert (found.verdict, found.n_batches, sorted(found.tests)) == ("every_batch", 3, [0, 1])
    assert said_of(found) == "it holds in each of 2 batches by itself; 1 more have too few wells to tell"


def test_replicates_on_plates_without_controls_are_in_no_batch() -> None:
    profiles, plates, is_replicate = pool([3.0, 3.0])
    kept = is_replicate | (plates // 2 == 0)

    found = judge((profiles[kept], plates[kept], is_replicate[kept]))

    assert (found.verdict, found.n_batches) == ("one_batch", 1)


def test_hits_on_the_same_plates_are_told_as_each_by_itself() -> None:
    pools = [pool_of_one(*pool(shifts, seed=seed)) for seed, shifts in enumerate(([0.5, 0.5], [3.0, 0.0], [0.0, 0.0]))]
    together = replace(pools[0], replicates=np.concatenate([one.replicates for one in pools]))

    found = batch_supports(together, batches=together.plates // 2, seed=0)

    apart = [replace(pools[0], replicates=one.replicates) for one in pools]
    assert found == [batch_supports(one, batches=one.plates // 2, seed=0)[0] for one in apart]
    assert len({one.verdict for one in found}) > 1
