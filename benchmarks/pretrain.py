"""Training: our loop against a bare loop of the same steps, how long it waits for crops, and how fast plates render.

    python benchmarks/pretrain.py [--architectures NAME ...] [--steps 40] [--rounds 3] [--threads 1]

Both sides take the same steps of the same training from the same start. The bare loop has its batches in memory and
does nothing but forward, loss, backward, clipping and the optimizer's step. Ours deals crops in a thread beside it,
averages the weights, and keeps the loss curve. The learned weights of both are compared, bit by bit, before any time.
They are timed in turn; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from hcs.lab.crops import batches
from hcs.lab.fields import Fields, render_fields, render_screen
from hcs.lab.learner import Judge, Learner, judge_of, loss_of
from hcs.lab.recipe import Recipe, Stage, recipe_for
from hcs.lab.training import LARGEST_GRADIENT, Training, learning_rate


def short_recipe(architecture: str, steps: int) -> Recipe:
    """Return the packaged recipe of an architecture, cut to some steps on two plates."""
    recipe = recipe_for(architecture)
    stage = recipe.stages[0]
    return recipe.model_copy(
        update={"stages": (Stage(size=stage.size, batch=stage.batch, steps=steps),), "n_screens": 2, "n_held_out": 1}
    )


def bare_loop(recipe: Recipe, fields: Fields) -> tuple[Learner, float]:
    """Return what a loop that does nothing else has learned, and its seconds."""
    training = Training(recipe)
    learner, optimizer = training.learner, training.optimizer
    dealt = list(batches(fields, recipe))
    learner.train()
    started = time.perf_counter()
    for step, batch in enumerate(dealt):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        noise = torch.Generator().manual_seed(recipe.seed << 32 | step)
        loss = loss_of(learner, batch, precision=recipe.precision, bottleneck=recipe.bottleneck, noise=noise)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), LARGEST_GRADIENT)
        optimizer.step()
    return learner, time.perf_counter() - started


def our_loop(recipe: Recipe, fields: Fields, judge: Judge) -> tuple[Learner, float, float]:
    """Return what our loop has learned, its seconds without the last score and checkpoint, and those of waiting."""
    training = Training(recipe)
    ended: list[float] = []

    with tempfile.TemporaryDirectory() as folder:
        training.score = lambda judge: ended.append(time.perf_counter()) or 0.0
        started = time.perf_counter()
        clock = training.run(fields, judge=judge, folder=Path(folder), watch=None, checkpoint_seconds=1e9)
    return training.learner, ended[-1] - started, clock.waited


def compare(architecture: str, *, steps: int, rounds: int, fields: Fields, judge: Judge) -> dict[str, Any]:
    """Return the figures of one architecture."""
    recipe = short_recipe(architecture, steps)
    bare, ours, waits = [], [], []
    for _ in range(rounds):
        theirs, seconds = bare_loop(recipe, fields)
        bare.append(seconds)
        mine, seconds, waited = our_loop(recipe, fields, judge)
        ours.append(seconds)
        waits.append(waited / seconds)
        for name, value in theirs.state_dict().items():
            assert torch.equal(value, mine.state_dict()[name]), f"{architecture}: {name} differs"
    images = recipe.n_steps * recipe.stages[0].batch
    return {
        "bare images a second": round(images / statistics.median(bare), 1),
        "ours images a second": round(images / statistics.median(ours), 1),
        "ours over bare, time": round(statistics.median(ours) / statistics.median(bare), 4),
        "share of waiting": round(statistics.median(waits), 5),
        "weights": "equal",
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=["mobilenetv3_small_100", "efficientvit_b0"])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = short_recipe(options.architectures[0], options.steps)
    render_screen(recipe.screen_seeds()[0], recipe.site_px)  # makes the textures
    started = time.perf_counter()
    fields = render_fields(recipe.screen_seeds(), site_px=recipe.site_px)
    sites_a_second = fields.n_sites / (time.perf_counter() - started)
    judge = judge_of(render_fields(recipe.held_out_seeds(), site_px=recipe.site_px), size=128)
    figures: dict[str, Any] = {
        name: compare(name, steps=options.steps, rounds=options.rounds, fields=fields, judge=judge)
        for name in options.architectures
    }
    packaged = recipe_for(options.architectures[0])
    figures["rendering"] = {
        "sites a second and process": round(sites_a_second, 1),
        "seconds for all plates of the packaged recipe, one process": round(
            packaged.n_screens * fields.n_sites / 2 / sites_a_second, 1
        ),
    }
    print(json.dumps({"threads": options.threads, **figures}, indent=2))


if __name__ == "__main__":
    main()
