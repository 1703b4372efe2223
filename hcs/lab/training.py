"""The loop of a training: steps, the average of the weights, points of the loss curve and checkpoints."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from hcs.embedding.forward import OUT_OF_MEMORY
from hcs.errors import TrainingError
from hcs.lab.checkpoint import Checkpoint, keep_checkpoint
from hcs.lab.crops import Batch, batches
from hcs.lab.fields import Fields
from hcs.lab.learner import Judge, Learner, State, explained, loss_of
from hcs.lab.recipe import Recipe

STEPS_A_POINT: Final = 25
"""Of the loss curve: each point is the mean of so many steps."""
LARGEST_GRADIENT: Final = 1.0
"""Length that gradients are cut to: one odd batch must not undo the work of many."""


class Point(NamedTuple):
    """A point of the loss curve: the mean loss of the steps up to `step`, and what the held-out score was, if known."""

    step: int
    loss: float
    explained: float | None


@dataclass
class Progress:
    """How far a training is, for who watches it."""

    step: int
    n_steps: int
    loss: float
    explained: float | None
    images_a_second: float
    seconds_left: float


Watch = Callable[[Progress], None]


@dataclass
class Clock:
    """What the loop spends its time on."""

    started: float = field(default_factory=time.monotonic)
    waited: float = 0.0
    images: int = 0

    @property
    def seconds(self) -> float:
        """Since the loop began."""
        return time.monotonic() - self.started


@contextmanager
def asked_to_end() -> Iterator[threading.Event]:
    """Yield what is set when this process is asked to end, by Ctrl-C or SIGTERM: a step is then done before it does."""
    end = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals are handled in the main thread alone
        yield end
        return
    before = {number: signal.signal(number, lambda *_: end.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Training:
    """A learner with its optimizer, its averaged weights and its loss curve."""

    def __init__(self, recipe: Recipe, checkpoint: Checkpoint | None = None) -> None:
        """Start a training, or take it up where a checkpoint left it."""
        self.recipe = recipe
        self.learner = Learner(recipe)
        self.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self.average = {name: value.detach().clone() for name, value in self.learner.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            _groups(self.learner, recipe), lr=recipe.learning_rate, betas=(0.9, 0.98), fused=True
        )
        self.step = self._first_step = 0
        self.points: list[Point] = []
        self._losses: list[float] = []
        if checkpoint is not None:
            self._take_up(checkpoint)

    @property
    def is_over(self) -> bool:
        """Whether no step is left."""
        return self.step >= self.recipe.n_steps

    def run(
        self, fields: Fields, *, judge: Judge, folder: Path, watch: Watch | None, checkpoint_seconds: float
    ) -> Clock:
        """Perform the steps that are left, and keep checkpoints of them in the folder."""
        clock, kept = Clock(), time.monotonic()
        dealt = batches(fields, self.recipe, first_step=self.step)
        with asked_to_end() as end:
            while not self.is_over:
                clock.waited += self._do_step(dealt)
                clock.images += self.recipe.stage_at(self.step - 1).batch
                is_at_a_point = self._is_at_a_point()
                if is_at_a_point:
                    self._add_point(judge)
                is_due = is_at_a_point and time.monotonic() - kept >= checkpoint_seconds
                if is_due or self.is_over or end.is_set():
                    keep_checkpoint(folder, self.checkpoint())
                    kept = time.monotonic()
                if is_at_a_point and watch is not None:
                    watch(self._progress(clock))
                if end.is_set() and not self.is_over:
                    raise KeyboardInterrupt
        return clock

    def _do_step(self, dealt: Iterator[Batch]) -> float:
        """Return how long the step waited for its crops."""
        asked = time.monotonic()
        batch = self._next(dealt)
        waited = time.monotonic() - asked
        self._learn(batch)
        return waited

    def _next(self, dealt: Iterator[Batch]) -> Batch:
        try:
            return next(dealt)
        except MemoryError as error:
            stage = self.recipe.stage_at(self.step)
            raise _out_of_memory(stage.batch, stage.size, error) from error

    def _learn(self, batch: Batch) -> None:
        self.learner.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step)
        try:
            loss = loss_of(
                self.learner,
                batch,
                precision=self.recipe.precision,
                bottleneck=self.recipe.bottleneck,
                noise=self._noise(),
            )
            value = float(loss.detach())
            if not math.isfinite(value):
                raise self._diverged(value)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            torch.nn.utils.clip_grad_norm_(self.learner.parameters(), LARGEST_GRADIENT)
            self.optimizer.step()
        except (RuntimeError, MemoryError) as error:
            raise _explain(error, batch) from error
        self._losses.append(value)
        self.step += 1
        self._average()

    def _diverged(self, loss: float) -> TrainingError:
        or_exactly = "" if self.recipe.precision == "fp32" else ", or with --precision fp32"
        return TrainingError(
            f"a finite loss was expected, but that of step {self.step + 1} of {self.recipe.n_steps} is {loss} "
            f"at a learning rate of {learning_rate(self.recipe, self.step):.2g}; start again in another folder "
            f"with a smaller --learning-rate{or_exactly}"
        )

    def _noise(self) -> torch.Generator | None:
        """Return where the noise of this step comes from: it follows from the recipe's seed and the step alone."""
        if not self.recipe.bottleneck:
            return None
        return torch.Generator().manual_seed(self.recipe.seed << 32 | self.step)

    def _average(self) -> None:
        """Move the averaged weights towards the present ones; young averages follow faster."""
        kept = min(self.recipe.averaging, self.step / (self.step + 10))
        with torch.no_grad():
            for name, value in self.learner.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - kept)
                else:
                    self.average[name].copy_(value)

    def _is_at_a_point(self) -> bool:
        return self.step % STEPS_A_POINT == 0 or self.step == self.recipe.n_steps

    def _add_point(self, judge: Judge) -> None:
        is_due = self.step % (20 * STEPS_A_POINT) == 0 or self.step == self.recipe.n_steps
        score = self.score(judge) if is_due else None
        self.points.append(Point(self.step, sum(self._losses) / max(len(self._losses), 1), score))
        self._losses = []

    def score(self, judge: Judge) -> float:
        """Return what the averaged weights explain of held-out sites."""
        return explained(self.averaged(), judge)

    def averaged(self) -> Learner:
        """Return a learner with the averaged weights."""
        averaged = Learner(self.recipe)
        averaged.load_state_dict(self.average)
        return averaged.eval()

    def _progress(self, clock: Clock) -> Progress:
        left = _work(self.recipe, self.step, self.recipe.n_steps)
        done = _work(self.recipe, self._first_step, self.step)
        return Progress(
            step=self.step,
            n_steps=self.recipe.n_steps,
            loss=self.points[-1].loss,
            explained=next((point.explained for point in reversed(self.points) if point.explained is not None), None),
            images_a_second=clock.images / clock.seconds,
            seconds_left=clock.seconds * left / max(done, 1),
        )

    def checkpoint(self) -> Checkpoint:
        """Return everything that the rest of the training follows from."""
        tensors = {f"learner.{name}": value for name, value in self.learner.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for name, parameter in self.learner.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        return Checkpoint(
            recipe=self.recipe, step=self.step, points=list(self.points), losses=list(self._losses), tensors=tensors
        )

    def _take_up(self, checkpoint: Checkpoint) -> None:
        tensors = checkpoint.tensors
        self.learner.load_state_dict(_under("learner.", tensors))
        self.average = _under("average.", tensors)
        self.step = self._first_step = checkpoint.step
        self.points = [Point(*point) for point in checkpoint.points]
        self._losses = list(checkpoint.losses)
        for name, parameter in self.learner.named_parameters():
            state = {key: tensors[f"optimizer.{key}.{name}"] for key in _ADAMW if f"optimizer.{key}.{name}" in tensors}
            if state:
                self.optimizer.state[parameter] = state


_ADAMW: Final = ("step", "exp_avg", "exp_avg_sq")
"""What the optimizer remembers of a parameter."""


def _under(prefix: str, tensors: State) -> State:
    return {name.removeprefix(prefix): value.clone() for name, value in tensors.items() if name.startswith(prefix)}


def _work(recipe: Recipe, first: int, last: int) -> float:
    """Return how much there is to compute between two steps, in pixels."""
    work, begin = 0, 0
    for stage in recipe.stages:
        steps = min(last, begin + stage.steps) - max(first, begin)
        work += max(0, steps) * stage.batch * stage.size**2
        begin += stage.steps
    return float(work)


def _groups(learner: Learner, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the parameters in two groups: matrices and kernels decay, biases and scales do not."""
    parameters = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    return [
        {"params": [item for item in parameters if item.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [item for item in parameters if item.ndim <= 1], "weight_decay": 0.0},
    ]


def learning_rate(recipe: Recipe, step: int) -> float:
    """Return the rate of a step: it rises, and falls along half a cosine to nearly zero."""
    n_rising = max(1, round(recipe.warmup * recipe.n_steps))
    if step < n_rising:
        return recipe.learning_rate * (step + 1) / n_rising
    share = (step - n_rising) / max(1, recipe.n_steps - n_rising)
    return recipe.learning_rate * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * share)))


def _explain(error: Exception, batch: Batch) -> Exception:
    cause = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(said in cause for said in OUT_OF_MEMORY):
        return _out_of_memory(len(batch.planes), batch.planes.shape[1], error)
    return error


def _out_of_memory(n: int, size: int, error: Exception) -> TrainingError:
    return TrainingError(
        f"memory for a step of {n} crops of {size} x {size} pixels was expected, but there is not enough "
        f"({' '.join(str(error).split())}); take a smaller --batch, and start in another folder"
    )
