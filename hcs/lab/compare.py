"""Judges encoders on simulated screens with known truth: figures a screen, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl

from hcs.errors import UsageError
from hcs.lab.screens import embed_screens
from hcs.pipeline.results import make_results
from hcs.pipeline.scoring import score_profile
from hcs.pipeline.well_table import WellTable
from hcs.simulation.design import ScreenDesign
from hcs.simulation.plan import lay_out_screen
from hcs.simulation.truth import treatment_truth
from hcs.statistics.intervals import mean_interval
from schemas.encoders import EncoderInfo
from schemas.screen import EncoderChoice, PlateEntry, ProfileConfig, ScreenConfig

FIGURES = ("nsc", "nscb", "recall", "false_discovery_proportion", "mechanism_accuracy", "hits")


def compare_encoders(
    encoders: Sequence[EncoderInfo],
    *,
    design: ScreenDesign,
    seeds: Sequence[int],
    combine: Sequence[str],
    kept: Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Return a row a screen and profile: `seed, profile`, and the figures of `hcs.pipeline.scoring.ProfileScore`.

    Args:
        encoders: Described ones.
        design: Of the screens.
        seeds: Of the screens.
        combine: Encoders that `combined` is made of.
        kept: Folder in which vectors are kept for the next comparison.
        workers: Processes.
        progress: Called with the number of plates that are done and their total.

    Raises:
        UsageError: If `combine` names what is not among the encoders, or an encoder twice.
    """
    names = [info.name for info in encoders]
    if len({*combine} & {*names}) < len(combine):
        raise UsageError(
            f"of the encoders {', '.join(names)}, each is combined once or not at all, but {', '.join(combine)} came"
        )
    tables = embed_screens(design, seeds, encoders, kept=kept, workers=workers, progress=progress)
    rows = [
        {"seed": seed, "profile": name, **figures}
        for seed, table in tables.items()
        for name, figures in score_screen(table, design=design, seed=seed, combine=combine).items()
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def score_screen(
    table: WellTable, *, design: ScreenDesign, seed: int, combine: Sequence[str]
) -> dict[str, dict[str, float | int | None]]:
    """Return the figures of every profile of one screen, by its name."""
    config = ScreenConfig(
        screen=f"simulated-{seed}",
        plates=(PlateEntry(barcode="all", uri="."),),
        encoders=tuple(EncoderChoice(name=name) for name in table.embeddings),
        profile=ProfileConfig(combine=tuple(combine)),
    )
    results = make_results(table, config=config)
    truth = treatment_truth(lay_out_screen(design, seed))
    return {
        name: asdict(score_profile(results.calls.filter(pl.col("profile") == name), results.wells, profile, truth))
        for name, profile in results.profiles.items()
    }


def summarize(scores: pl.DataFrame) -> pl.DataFrame:
    """Return a row a profile and figure: mean over the screens, its 95 % interval, and how many screens have it.

    The interval is Student's, cut at 0 and 1, which no figure leaves.
    """
    rows = []
    for (profile,), group in scores.group_by("profile", maintain_order=True):
        for figure in FIGURES:
            values = group[figure].drop_nulls().to_list()
            if values:
                found = asdict(mean_interval(values))
                for end in ("low", "high"):
                    found[end] = None if found[end] is None else min(1.0, max(0.0, found[end]))
                rows.append({"profile": profile, "figure": figure, **found, "n": len(values)})
    return pl.DataFrame(rows, infer_schema_length=None)


def paired_differences(scores: pl.DataFrame, *, figure: str = "nscb") -> pl.DataFrame:
    """Return a row a pair of profiles: the mean difference of a figure over the same screens, its 95 % interval."""
    profiles = scores["profile"].unique(maintain_order=True).to_list()
    pairs = [(of, to) for of in profiles for to in profiles if of != to]
    return pl.DataFrame(
        [{"profile": of, "minus": to, **paired_difference(scores, of=of, to=to, figure=figure)} for of, to in pairs]
    )


def paired_difference(scores: pl.DataFrame, *, of: str, to: str, figure: str) -> dict[str, float | int | None]:
    """Return the mean difference of a figure between two profiles over the screens that have both, and its interval."""
    wide = scores.filter(pl.col("profile").is_in([of, to])).pivot("profile", index="seed", values=figure).drop_nulls()
    differences = (wide[of] - wide[to]).to_list()
    return {**asdict(mean_interval(differences)), "n": len(differences)}
