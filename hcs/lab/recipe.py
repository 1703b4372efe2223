"""What determines a training, to the last bit: another recipe is another encoder."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, model_validator

from schemas.screen import Record

FIRST_SEED = 1_000_000
"""Screens that encoders learn from have seeds from here on; those of demos and tests lie below."""
SCREENS_A_SEED = 10_000

Precision = Literal["fp32", "bf16"]


class Stage(Record):
    """A part of a training with crops of one size."""

    size: int = Field(ge=32, description="Side of a crop in pixels.")
    batch: int = Field(ge=2, le=4096, description="Crops of a step.")
    steps: int = Field(ge=1)


class Recipe(Record):
    """How an encoder is trained. Every number of the result follows from it, on one kind of processor."""

    architecture: str
    task: Literal["latents"] = "latents"
    seed: int = Field(default=0, ge=0, lt=1000)
    n_screens: int = Field(default=320, ge=1, le=SCREENS_A_SEED - 100, description="One plate of 24 wells each.")
    n_held_out: int = Field(default=6, ge=1, le=100, description="Screens that only the score is computed on.")
    site_px: int = Field(default=256, ge=64)
    stages: tuple[Stage, ...] = Field(min_length=1)
    learning_rate: float = Field(default=2e-3, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    warmup: float = Field(default=0.03, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    bottleneck: float = Field(default=0.01, ge=0, description="Cost of the embedding's squared length, read in noise.")
    precision: Precision = "fp32"
    mean: float = Field(default=0.25, description="Subtracted from grey values in [0, 1].")
    std: float = Field(default=0.25, gt=0)
    averaging: float = Field(default=0.998, ge=0, lt=1, description="Share of the average weights that a step keeps.")

    @model_validator(mode="after")
    def _crops_fit(self) -> Recipe:
        largest = max(stage.size for stage in self.stages)
        if largest > self.site_px:
            raise ValueError(f"crops of {largest} pixels do not fit sites of {self.site_px}; take larger sites")
        return self

    @property
    def n_steps(self) -> int:
        """Steps of the whole training."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> Stage:
        """Return the stage that a step, counted from 0, belongs to."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        raise IndexError("the training has fewer steps")

    def screen_seeds(self) -> range:
        """Return the seeds of the screens that are learned from."""
        first = FIRST_SEED + self.seed * SCREENS_A_SEED
        return range(first, first + self.n_screens)

    def held_out_seeds(self) -> range:
        """Return the seeds of the screens that are held out."""
        last = FIRST_SEED + (self.seed + 1) * SCREENS_A_SEED
        return range(last - self.n_held_out, last)


_IMAGES_A_SECOND: Final = {
    "mobilenetv3_small_100": {96: 430.0, 128: 230.0},
    "efficientvit_b0": {96: 330.0, 128: 180.0},
}
"""Crops of a size that a training takes in a second on two cores, in fp32, as convolutions are; others are slower."""


def recipe_for(architecture: str, *, minutes: float = 20.0, seed: int = 0) -> Recipe:
    """Return the recipe that the packaged encoders are trained with, for a time on two cores.

    Most steps see crops in which a few cells fit; the last ones see crops of the size that screens are read with.

    Args:
        architecture: timm's name of the backbone.
        minutes: About how long; the number of steps follows from it and from what a step of the well-tried
            architectures takes.
        seed: Another seed is another training.
    """
    images_a_second = _IMAGES_A_SECOND.get(architecture, {96: 140.0, 128: 80.0})
    convolutional = architecture.startswith(("mobilenet", "tf_mobilenet", "efficientnet", "resnet"))
    shares = ((96, 64, 0.8), (128, 64, 0.2))
    stages = tuple(
        Stage(size=size, batch=batch, steps=max(1, round(60 * minutes * share * images_a_second[size] / batch)))
        for size, batch, share in shares
    )
    return Recipe(
        architecture=architecture,
        seed=seed,
        stages=stages,
        learning_rate=2e-3 if convolutional else 1e-3,
        precision="fp32" if convolutional or architecture in _IMAGES_A_SECOND else "bf16",
    )
