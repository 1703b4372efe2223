"""What `hcs demo` prints: figures of one screen, and means over several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from schemas.encoders import WeightsOrigin

if TYPE_CHECKING:
    from hcs.pipeline.scoring import ProfileScore
    from hcs.statistics.intervals import MeanInterval

UNTRAINED = frozenset({WeightsOrigin.UNTRAINED, WeightsOrigin.NONE})


@dataclass(frozen=True)
class ReadScreen:
    """One simulated screen and how well its run read it."""

    seed: int
    scores: dict[str, ProfileScore]
    """Of the headline profile first, then of each encoder by itself."""
    mechanisms: pl.DataFrame
    """`by_mechanism`."""
    origins: tuple[WeightsOrigin, ...]
    """Of the weights of each encoder."""
    n_sites: int
    seconds: float

    @property
    def headline(self) -> str:
        """The profile whose figures stand for the screen."""
        return next(iter(self.scores))

    @property
    def has_training(self) -> bool:
        """Whether an encoder with trained weights took part."""
        return not UNTRAINED.issuperset(self.origins)


def by_mechanism(calls: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Return one row a true mechanism: how many of its compounds are hits, and how many hits are read rightly."""
    tested = truth.filter(pl.col("control_type") == "treatment").select(
        "perturbation", "is_active", true_mechanism=pl.col("mechanism").fill_null("(inactive)")
    )
    return (
        tested.join(calls, on="perturbation", how="left")
        .group_by("true_mechanism", "is_active")
        .agg(
            compounds=pl.col("perturbation").n_unique(),
            hits=pl.col("is_hit").fill_null(value=False).sum(),
            mechanism_right=((pl.col("predicted_mechanism") == pl.col("true_mechanism")) & pl.col("is_hit")).sum(),
            median_map=pl.col("mean_average_precision").median(),
            smallest_q=pl.col("q_value").min(),
            explained_by_count=(pl.col("explained_by_count") == "explained").sum(),
        )
        .sort("is_active", "true_mechanism", descending=[True, False])
        .drop("is_active")
    )


def score_table(screen: ReadScreen) -> pl.DataFrame:
    """Return one row a profile of a screen."""
    return pl.DataFrame([{"profile": name, **asdict(score)} for name, score in screen.scores.items()])


def seed_table(screens: Sequence[ReadScreen]) -> pl.DataFrame:
    """Return one row a screen, with the figures of its headline profile."""
    rows = [{"seed": screen.seed, **asdict(screen.scores[screen.headline])} for screen in screens]
    return pl.DataFrame(rows, infer_schema_length=None)


def mean_table(screens: Sequence[ReadScreen]) -> pl.DataFrame:
    """Return one row a profile: each figure's mean over the screens, and how far its interval reaches to each side."""
    from hcs.pipeline.scoring import mean_scores

    return pl.DataFrame(
        [
            {"profile": name, **{figure: _as_text(value) for figure, value in figures.items()}}
            for name, figures in mean_scores([screen.scores for screen in screens]).items()
        ]
    )


def _as_text(value: MeanInterval | None) -> str | None:
    if value is None or value.high is None:
        return None if value is None else f"{value.mean:.4g}"
    return f"{value.mean:.4g} ± {value.high - value.mean:.2g}"


def facts_of(screen: ReadScreen, *, catalog: str) -> dict[str, Any]:
    """Return what one screen is in JSON."""
    return {**_figures_of(screen), "catalog": catalog}


def facts_of_several(screens: Sequence[ReadScreen], *, catalog: str) -> dict[str, Any]:
    """Return what several screens are in JSON: each of them, and the mean of every figure with its 95 % interval."""
    from hcs.pipeline.scoring import mean_scores

    means = mean_scores([screen.scores for screen in screens])
    return {
        "seeds": [{"seed": screen.seed, **_figures_of(screen)} for screen in screens],
        "mean": _by_headline(means, lambda value: value.mean),
        "interval": _by_headline(means, lambda value: None if value.low is None else [value.low, value.high]),
        "sites": sum(screen.n_sites for screen in screens),
        "seconds": round(sum(screen.seconds for screen in screens), 1),
        "catalog": catalog,
    }


def _figures_of(screen: ReadScreen) -> dict[str, Any]:
    baselines = {name: asdict(score) for name, score in screen.scores.items() if name != screen.headline}
    return {
        **asdict(screen.scores[screen.headline]),
        "baselines": baselines,
        "sites": screen.n_sites,
        "seconds": round(screen.seconds, 1),
    }


def _by_headline(
    means: dict[str, dict[str, MeanInterval | None]], part: Callable[[MeanInterval], Any]
) -> dict[str, Any]:
    """Return a part of every mean: of the first profile, and of the others under `baselines`."""
    first, *others = (
        {figure: None if value is None else part(value) for figure, value in figures.items()}
        for figures in means.values()
    )
    return {**first, "baselines": dict(zip(list(means)[1:], others, strict=True))}
