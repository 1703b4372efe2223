"""What can be asked of the results of a run: hits, perturbations, mechanisms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from hcs.client.asking import Asking, RunName, name_of
from hcs.client.frames import frame_of
from hcs.client.transport import Parameter
from schemas.api import Hit, HitPage, Mechanism, MechanismPage, Neighbour, NeighbourPage, Perturbation

if TYPE_CHECKING:
    import polars as pl


class ResultQuestions(Asking):
    """Methods about results."""

    def hits(
        self,
        *,
        mechanism: str | None = None,
        q_max: float = 0.05,
        not_toxic: bool = False,
        min_batches: int | None = None,
        control_type: Literal["treatment", "poscon"] | None = None,
        run: RunName = "latest",
        profile: str = "combined",
    ) -> Iterator[Hit]:
        """Yield the calls on treatments, the smallest q first, then the largest effect.

        They come page by page. Where the run's results change in between, an `ApiNotFoundError` says so.

        Args:
            mechanism: One label in any case, annotated or predicted.
            q_max: Largest q value; 1 keeps rows without one too.
            not_toxic: Whether only treatments are wanted whose `cell_count_ratio` is at least 0.5.
            min_batches: Seen in at least so many batches.
            control_type: One family of calls; by default both.
            run: By default the one that finished last.
            profile: What the calls were made on: `combined`, or an encoder's name.
        """
        asked: dict[str, Parameter] = {
            "mechanism": mechanism,
            "q_max": q_max,
            "not_toxic": not_toxic,
            "min_batches": min_batches,
            "control_type": control_type,
            "run": name_of(run),
            "profile": profile,
        }
        return self._items(HitPage, "hits", **asked)

    def hits_frame(self, **asked: Any) -> pl.DataFrame:
        """Return what `hits` yields as a polars table, with the same options; without rows, the columns are there."""
        return frame_of(self.hits(**asked), Hit)

    def perturbation(self, perturbation: str, *, run: RunName = "latest") -> Perturbation:
        """Return everything that a run holds of one perturbation, by its key or its name: doses, wells, neighbours."""
        return self._line.ask(Perturbation, "GET", "perturbations", perturbation, parameters={"run": name_of(run)})

    def neighbours(
        self, perturbation: str, *, top: int = 10, run: RunName = "latest", profile: str = "combined"
    ) -> list[Neighbour]:
        """Return the most similar treatments of each dose, nearest first, at most `top` a dose."""
        asked: dict[str, Parameter] = {"top": top, "run": name_of(run), "profile": profile}
        path = ("perturbations", perturbation, "neighbours")
        return list(self._line.ask(NeighbourPage, "GET", *path, parameters=asked).items)

    def mechanisms(self, *, run: RunName = "latest", profile: str = "combined") -> list[Mechanism]:
        """Return every mechanism that `hits` can ask for, with its numbers of treatments and of hits."""
        asked = {"run": name_of(run), "profile": profile}
        return list(self._line.ask(MechanismPage, "GET", "mechanisms", parameters=asked).items)
