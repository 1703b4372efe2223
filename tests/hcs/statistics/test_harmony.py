from __future__ import annotations

import harmonypy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import UsageError
from hcs.statistics.harmony import HarmonyOptions, harmonize, harmony_objective
from hcs.statistics.harmony_clusters import begin, cluster
from hcs.statistics.harmony_deal import deal
from hcs.statistics.harmony_steps import batch_steps

Wells = tuple[np.ndarray, np.ndarray, np.ndarray]


def shifted_clusters(seed: int, *, n: int = 900, d: int = 8, k: int = 5, b: int = 3, step: float = 1.0) -> Wells:
    """Wells of clusters that lie apart, in batches each of which moves each cluster; their batches and clusters."""
    rng = np.random.default_rng(seed)
    middles = 4.0 * np.linalg.qr(rng.normal(size=(d, d)))[0][:k]
    batches, clusters = rng.integers(b, size=n), rng.integers(k, size=n)
    moved = step * (rng.normal(size=(b, 1, d)) + 0.5 * rng.normal(size=(b, k, d)))
    return middles[clusters] + moved[batches, clusters] + 0.3 * rng.normal(size=(n, d)), batches, clusters


def begun(seed: int, options: HarmonyOptions):
    values, batches, _ = shifted_clusters(seed, n=240, step=0.5)
    rng = np.random.default_rng(seed)
    dealt = deal(values, batches, n_blocks=6, rng=rng)
    return values, batches, dealt, begin(values, dealt, options, rng=rng, n_threads=1)


@pytest.mark.parametrize("seed", range(3))
def test_a_pass_of_clustering_is_the_published_one_well_by_well(seed):
    options = HarmonyOptions(n_clusters=4, max_passes=1, theta=1.5)
    _, batches, dealt, clustering = begun(seed, options)
    z, r = clustering.units.copy(), clustering.memberships.copy()
    batch = np.unique(batches, return_inverse=True)[1][dealt.order]
    y = r.T @ z
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    share = np.array([(batch == b).mean() for b in range(3)])
    for block in np.random.default_rng(7).permutation(6):
        others = np.ones(len(z), dtype=bool)
        others[block::6] = False
        observed = np.array([[r[others & (batch == b), k].sum() for b in range(3)] for k in range(4)])
        expected = np.outer(observed.sum(axis=1), share)
        for i in np.flatnonzero(~others):
            weight = np.exp(-((z[i] - y) ** 2).sum(axis=1) / 0.1)
            weight *= ((expected[:, batch[i]] + 1) / (observed[:, batch[i]] + 1)) ** 1.5
            r[i] = weight / weight.sum()

    objective = cluster(clustering, dealt, options, rng=np.random.default_rng(7), n_threads=1)

    np.testing.assert_allclose(clustering.memberships, r, atol=1e-10)
    observed = np.array([r[batch == b].sum(axis=0) for b in range(3)])
    expected = np.outer(share, observed.sum(axis=0))
    spread = sum((r[:, k] * ((z - y[k]) ** 2).sum(axis=1)).sum() for k in range(4))
    imbalance = (observed * np.log((observed + 1) / (expected + 1))).sum()
    assert objective == pytest.approx(spread + 0.1 * (r * np.log(r)).sum() + 0.15 * imbalance, rel=1e-10)


@pytest.mark.parametrize("ridge", [None, 1.0])
def test_the_steps_are_those_of_a_ridge_regression_in_every_cluster(ridge):
    options = HarmonyOptions(n_clusters=4, ridge=ridge)
    values, batches, dealt, clustering = begun(5, options)

    steps = batch_steps(values, clustering, dealt, options, n_threads=1)

    batch = np.unique(batches, return_inverse=True)[1][dealt.order]
    design = np.column_stack([np.ones(len(batch)), *(batch == b for b in range(3))])
    of_place = np.searchsorted(dealt.ends, np.arange(len(batch)), side="right") - 1
    for k in range(4):
        weighted = design * clustering.memberships[:, [k]]
        expected = weighted[:, 0].sum() * design[:, 1:].mean(axis=0)
        penalty = np.diag([0.0, *(np.full(3, ridge) if ridge else 0.2 * expected)])
        solved = np.linalg.solve(weighted.T @ design + penalty, weighted.T @ values[dealt.order])
        for place in (0, 100, 200):
            np.testing.assert_allclose(steps[of_place[place], k], solved[1 + batch[place]], atol=1e-9)


@pytest.mark.parametrize(("lamb", "ridge"), [(None, None), (1.0, 1.0)])
def test_clusters_that_lie_apart_are_corrected_as_harmonypy_does(lamb, ridge):
    values, batches, _ = shifted_clusters(1, n=1500, step=0.6)
    made = harmonize(values, batches, options=HarmonyOptions(n_clusters=5, ridge=ridge))

    theirs = harmonypy.run_harmony(
        values, {"batch": batches.astype(str)}, ["batch"], nclust=5, lamb=lamb, verbose=False, ncores=1
    )

    memberships = np.empty_like(made.memberships)
    memberships[made.order] = made.memberships
    ours, peer = (
        harmony_objective(corrected, batches, weights)
        for corrected, weights in ((made.values, memberships), (np.asarray(theirs.Z_corr), np.asarray(theirs.R)))
    )
    assert ours == pytest.approx(peer, rel=0.01)
    assert np.abs(made.values - theirs.Z_corr).max() < 0.02 * np.abs(values - made.values).max()


def test_batches_of_a_cluster_come_together_and_clusters_stay_apart():
    values, batches, clusters = shifted_clusters(2, n=3000, step=0.8)

    made = harmonize(values, batches).values

    def between(of: np.ndarray) -> float:
        """Mean distance of the batches' middles of a cluster."""
        middles = np.array([[of[(batches == b) & (clusters == k)].mean(axis=0) for b in range(3)] for k in range(5)])
        return float(np.linalg.norm(middles - middles.mean(axis=1, keepdims=True), axis=2).mean())

    def apart(of: np.ndarray) -> float:
        middles = np.array([of[clusters == k].mean(axis=0) for k in range(5)])
        return float(np.linalg.norm(middles[:, None] - middles[None], axis=2)[np.triu_indices(5, 1)].min())

    assert between(made) < 0.35 * between(values)
    assert apart(made) > 0.9 * apart(values)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=8)
def test_the_order_of_wells_and_the_names_of_batches_change_nothing(seed):
    values, batches, _ = shifted_clusters(3, n=200)
    values[7] = values[3]
    batches[7] = batches[3]
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(len(values)), rng.permutation(50)[:3]

    made = harmonize(values[order], names[batches[order]]).values

    np.testing.assert_allclose(made, harmonize(values, batches).values[order], atol=1e-8)


def test_the_number_of_threads_changes_no_bit():
    values, batches, _ = shifted_clusters(4, n=5000)
    values = values.astype(np.float32)

    one, four = (harmonize(values, batches, n_threads=n) for n in (1, 4))

    assert one.values.dtype == np.float32
    assert np.array_equal(one.values, four.values)
    assert one.objectives == four.objectives


def test_a_common_factor_scales_the_result():
    values, batches, _ = shifted_clusters(5, n=300)

    np.testing.assert_allclose(harmonize(8.0 * values, batches).values, 8.0 * harmonize(values, batches).values)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_few_wells_are_corrected_without_a_gap(n):
    values = np.random.default_rng(0).normal(size=(n, 3))

    made = harmonize(values, np.arange(n) % 2).values

    assert np.isfinite(made).all()


def test_a_batch_of_one_well_is_held_back_and_wells_at_the_origin_have_no_direction():
    values, batches, _ = shifted_clusters(6, n=300)
    batches[0], values[5] = 9, 0.0

    made = harmonize(values, batches).values

    assert np.isfinite(made).all()
    assert np.linalg.norm(made[0] - values[0]) < 2 * np.linalg.norm(values[0])


@pytest.mark.parametrize(
    "wrong",
    [{"sigma": 0.0}, {"theta": -1.0}, {"n_clusters": 0}, {"n_clusters": 11}, {"ridge": 0.0}, {"block_share": 2.0}],
)
def test_an_option_out_of_range_is_refused(wrong):
    with pytest.raises(UsageError, match="expected"):
        harmonize(np.ones((10, 2)), np.arange(10) % 2, options=HarmonyOptions(**wrong))


def test_a_higher_price_brings_the_batches_of_clusters_closer_to_their_shares():
    values, batches, _ = shifted_clusters(8, n=600, step=1.5)

    def imbalance(theta: float) -> float:
        options = HarmonyOptions(n_clusters=8, theta=theta, max_rounds=1)
        made = harmonize(values, batches, options=options)
        observed = np.stack([made.memberships[batches[made.order] == b].sum(axis=0) for b in range(3)])
        shares = observed / observed.sum(axis=0)
        return float(np.abs(shares - np.bincount(batches)[:, None] / len(batches)).mean())

    free, priced, dear = (imbalance(theta) for theta in (0.0, 2.0, 8.0))

    assert dear < priced < free


def test_rounding_of_the_wells_changes_the_result_by_little_more():
    values, batches, _ = shifted_clusters(9, n=400)
    rounded = values * (1 + 1e-14 * np.random.default_rng(0).normal(size=values.shape))

    np.testing.assert_allclose(harmonize(rounded, batches).values, harmonize(values, batches).values, atol=1e-6)
