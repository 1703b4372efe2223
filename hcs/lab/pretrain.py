"""Trains an encoder by a recipe: a training that may be killed at any moment and goes on to the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import torch

from hcs.io.storage import write_atomically
from hcs.lab.checkpoint import open_folder
from hcs.lab.export import export_weights
from hcs.lab.fields import render_fields
from hcs.lab.learner import check_crops, judge_of
from hcs.lab.picture import curve_svg
from hcs.lab.recipe import Recipe
from hcs.lab.training import Clock, Point, Training, Watch

SECONDS_A_CHECKPOINT: Final = 60.0


@dataclass(frozen=True)
class Trained:
    """A training that came to its end."""

    weights: Path
    points: tuple[Point, ...]
    explained: float
    seconds_learning: float
    waiting: float
    """Share of the time in which the loop waited for crops."""


def pretrain(
    recipe: Recipe,
    folder: Path,
    *,
    threads: int = 1,
    rendered: Callable[[int, int], None] | None = None,
    watch: Watch | None = None,
    checkpoint_seconds: float = SECONDS_A_CHECKPOINT,
) -> Trained:
    """Train an encoder and write its weights, its loss curve and what it takes to go on after an interruption.

    Args:
        recipe: What determines the weights. The same recipe gives the same bytes with the same number of threads on the
            same kind of processor, wherever it was interrupted; in bf16 they may differ.
        folder: A new one, or one in which the same training was interrupted.
        threads: Of the engine, and processes that render.
        rendered: Called while the training screens are rendered.
        watch: Called at every point of the loss curve.
        checkpoint_seconds: Least time between two checkpoints; they change no number.

    Raises:
        UsageError: If the folder holds something else, or the backbone does not take crops of the recipe's sizes.
        UnknownEncoderError: If timm does not make the architecture.
        WeightsError: If the checkpoint in the folder is damaged.
        TrainingError: If the loss or the weights are not finite, or memory does not suffice.
    """
    check_crops(recipe)
    checkpoint = open_folder(folder, recipe)
    clock = Clock()
    with _threads(threads):
        training = Training(recipe, checkpoint)
    if not training.is_over:
        fields = render_fields(recipe.screen_seeds(), site_px=recipe.site_px, workers=threads, progress=rendered)
        held_out = render_fields(recipe.held_out_seeds(), site_px=recipe.site_px, workers=threads)
        judge = judge_of(held_out, size=recipe.stages[-1].size)
        with _threads(threads):
            clock = training.run(fields, judge=judge, folder=folder, watch=watch, checkpoint_seconds=checkpoint_seconds)
    with _threads(threads):
        weights = export_weights(training.averaged(), recipe, folder)
    write_curve(training.points, folder, title=recipe.architecture)
    return Trained(
        weights=weights,
        points=tuple(training.points),
        explained=training.points[-1].explained or 0.0,  # the last point has one
        seconds_learning=clock.seconds if clock.images else 0.0,
        waiting=clock.waited / clock.seconds if clock.images else 0.0,
    )


def write_curve(points: Sequence[Point], folder: Path, *, title: str) -> None:
    """Write the loss curve into a folder, as a table and as a picture."""
    table = pl.DataFrame(points, schema={"step": pl.Int64, "loss": pl.Float64, "explained": pl.Float64}, orient="row")
    write_atomically(str(folder / "loss.csv"), table.write_csv().encode())
    curves = {
        "loss": [(float(point.step), point.loss) for point in points],
        "explained": [(float(point.step), point.explained) for point in points if point.explained is not None],
    }
    write_atomically(str(folder / "loss.svg"), curve_svg(curves, title=title, x="step", y="loss, explained").encode())


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
