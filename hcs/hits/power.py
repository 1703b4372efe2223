"""What a screen can find, before it is done: attainable p-values and expected discoveries of a layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError
from hcs.statistics.designs import Layout
from hcs.statistics.draws import MAX_DRAWS
from hcs.statistics.multiple_testing import benjamini_hochberg
from hcs.statistics.permutation import permutation_test, smallest_possible_p

N_FEATURES = 64
N_SIMULATED = 100
"""Active treatments that are simulated."""
_N_SCREENS = 200
"""Screens that are put together from them."""
_DRAWS_A_TEST = 20
"""p-values are made this much finer than the smallest threshold of Benjamini and Hochberg."""


@dataclass(frozen=True)
class Screen:
    """What is planned, apart from its layout."""

    n_treatments: int
    active_share: float
    effect: float
    """Root mean square shift of an active treatment over features, in standard deviations of controls."""
    n_features: int = N_FEATURES
    """Independent features, as of a whitened profile; correlated ones count as fewer."""
    q_max: float = 0.05

    def __post_init__(self) -> None:
        if self.n_treatments < 1 or self.n_features < 2 or not self.effect >= 0:
            raise UsageError(
                "at least 1 treatment, 2 features and an effect of 0 or more were expected, got "
                f"{self.n_treatments}, {self.n_features} and {self.effect}"
            )
        if not 0 <= self.active_share <= 1 or not 0 < self.q_max < 1:
            raise UsageError(
                f"a share of actives from 0 to 1 and a q between 0 and 1 were expected, got {self.active_share} and "
                f"{self.q_max}"
            )

    @property
    def n_active(self) -> int:
        """Return how many treatments are active: one at least, unless the share is 0."""
        return max(round(self.active_share * self.n_treatments), 1 if self.active_share > 0 else 0)


@dataclass(frozen=True)
class Power:
    """What one layout can do."""

    smallest_possible_p: float
    at_floor: int
    """Treatments that must reach the smallest p together to be called; 1 if one alone can be."""
    expected_discoveries: float
    expected_false: float
    recall: float | None
    """Share of the active treatments that are called; None if none is active."""

    def verdict(self, screen: Screen) -> str:
        """Return in one sentence whether the layout can find anything."""
        threshold = screen.q_max / screen.n_treatments
        if self.at_floor > screen.n_treatments:
            return (
                f"cannot call anything: the smallest attainable p is {self.smallest_possible_p:.2g}, above q = "
                f"{screen.q_max:g} itself; take more replicates or controls"
            )
        if self.at_floor > 1:
            return (
                f"no treatment can be called alone: the smallest attainable p is {self.smallest_possible_p:.2g}, above "
                f"{screen.q_max:g} / {screen.n_treatments} = {threshold:.2g}; {self.at_floor} treatments would have to "
                "reach it together"
            )
        return f"can call a single treatment: p goes down to {self.smallest_possible_p:.2g}, {threshold:.2g} is needed"


def planned_layout(*, n_replicates: int, n_controls: int) -> Layout:
    """Return the pool of a treatment with one replicate a plate and as many controls on each.

    Raises:
        UsageError: If there are fewer than two replicates, or no control.
    """
    if n_replicates < 2 or n_controls < 1:
        raise UsageError(
            f"at least 2 replicates and 1 control a plate were expected, got {n_replicates} and {n_controls}; wells "
            "without a replicate are called by `hcs score singlicates`"
        )
    return Layout((n_controls + 1,) * n_replicates, (1,) * n_replicates)


def layouts_of(plates: Sequence[str], perturbations: Sequence[str], is_control: NDArray[np.bool_]) -> dict[Layout, int]:
    """Return how many treatments of a platemap have which pool, the most frequent first.

    Plates without a control count for nothing, as in calls; treatments with fewer than two replicates elsewhere are
    left out.

    Raises:
        InputRejectedError: If no treatment is left.
    """
    wells = pl.DataFrame({"plate": plates, "perturbation": perturbations, "is_control": is_control})
    controls = wells.filter("is_control").group_by("plate").len("n_controls")
    dealt = (
        wells.filter(~pl.col("is_control"))
        .join(controls, on="plate")
        .group_by("perturbation", "plate")
        .agg(pl.len().alias("n"), pl.col("n_controls").first())
    )
    found: dict[Layout, int] = {}
    for _, part in sorted(dealt.partition_by("perturbation", as_dict=True).items()):
        pairs = sorted(part.select("n", "n_controls").iter_rows())
        if sum(n for n, _ in pairs) >= 2:
            layout = Layout(tuple(n + controls for n, controls in pairs), tuple(n for n, _ in pairs))
            found[layout] = found.get(layout, 0) + 1
    if not found:
        raise InputRejectedError(
            f"treatments with two or more replicates on plates with controls are expected, but the layout has none: of "
            f"its {wells.height} wells {int(is_control.sum())} are negative controls, whose control_type is negcon"
        )
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0].n_wells, item[0].n_drawn)))


def estimate_power(layout: Layout, screen: Screen, *, seed: int = 0, n_simulated: int = N_SIMULATED) -> Power:
    """Return what a layout can do, by simulation of active treatments through the very test that calls them.

    Wells are normal with unit variance in every feature, plates alike; an active treatment shifts all of its wells by
    one direction of its own. Its p-value is that of the joint design permutation. Inactive treatments have p-values
    as the test gives them under the null hypothesis, uniform on what is attainable. Screens are put together from both,
    and Benjamini and Hochberg's procedure is done on each.

    Args:
        layout: The pool of one treatment.
        screen: The treatments.
        seed: Of everything that is drawn.
        n_simulated: Active treatments simulated; the standard error of recall is about .5 over its root.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, *layout.n_wells, *layout.n_drawn]))
    # More draws would tell p-values apart that are called alike.
    max_draws = min(MAX_DRAWS, max(999, ceil(_DRAWS_A_TEST * screen.n_treatments / screen.q_max)))
    step = smallest_possible_p(layout, max_draws=max_draws)
    of_active = np.array([_p_value(layout, screen, rng, seed, max_draws) for _ in range(n_simulated)])
    found = np.array([_discoveries(of_active, screen, step, rng) for _ in range(_N_SCREENS)])
    true, false = found.mean(axis=0).tolist()
    smallest = smallest_possible_p(layout)
    return Power(
        smallest_possible_p=smallest,
        at_floor=max(1, ceil(smallest * screen.n_treatments / screen.q_max - 1e-9)),
        expected_discoveries=true + false,
        expected_false=false,
        recall=true / screen.n_active if screen.n_active else None,
    )


def _p_value(layout: Layout, screen: Screen, rng: np.random.Generator, seed: int, max_draws: int) -> float:
    """Return the p-value of one simulated active treatment beside its controls."""
    plates = np.repeat(np.arange(len(layout.n_wells)), layout.n_wells)
    is_replicate = np.concatenate(
        [np.arange(wells) < drawn for wells, drawn in zip(layout.n_wells, layout.n_drawn, strict=True)]
    )
    direction = rng.standard_normal(screen.n_features)
    shift = direction * (screen.effect * np.sqrt(screen.n_features) / np.linalg.norm(direction))
    profiles = rng.standard_normal((len(plates), screen.n_features)) + is_replicate[:, None] * shift
    return permutation_test(profiles, plates, is_replicate, seed=seed, max_draws=max_draws).p_value


def _discoveries(
    of_active: NDArray[np.float64], screen: Screen, step: float, rng: np.random.Generator
) -> tuple[int, int]:
    """Return how many active and inactive treatments one screen calls."""
    n_active = screen.n_active
    uniform = rng.random(screen.n_treatments - n_active)
    of_inactive = np.minimum(np.ceil(uniform / step) * step, 1.0)
    p_values = np.concatenate([rng.choice(of_active, n_active), of_inactive])
    is_called = benjamini_hochberg(p_values) <= screen.q_max
    return int(is_called[:n_active].sum()), int(is_called[n_active:].sum())
