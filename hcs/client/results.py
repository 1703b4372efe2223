"""What can be asked of the results of a run: hits, perturbations, mechanisms."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from hcs.client.asking import Asking, RunName, known, name_of
from hcs.client.frames import frame_of
from hcs.client.transport import Parameter
from schemas.api import Hit, HitPage, Mechanism, MechanismPage, Neighbour, NeighbourPage, Perturbation
from schemas.api_results import Comparison, RunMap

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
        not_by_count: bool = False,
        not_one_channel: bool = False,
        not_flagged: bool = False,
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
            not_by_count: Whether those are left out that the number of cells explains. As with the two that follow,
                what cannot be told or was not tested is kept.
            not_one_channel: Whether those are left out that show in one channel alone.
            not_flagged: Whether those are left out whose wells are flagged more often than controls.
            min_batches: Holds in at least so many batches by itself. Batches with too few wells to tell do not count,
                and hits for which it was not tested are left out.
            control_type: One family of calls; by default both.
            run: By default the one that finished last.
            profile: What the calls were made on: `combined`, or an encoder's name.
        """
        asked: dict[str, Parameter] = {
            "mechanism": mechanism,
            "q_max": q_max,
            "not_toxic": not_toxic,
            "not_by_count": not_by_count,
            "not_one_channel": not_one_channel,
            "not_flagged": not_flagged,
            "min_batches": min_batches,
            "control_type": control_type,
            "run": name_of(run),
            "profile": profile,
        }
        return self._items(HitPage, "hits", **asked)

    def hits_frame(self, **asked: Any) -> pl.DataFrame:
        """Return what `hits` yields as a polars table, with the same options; without rows, the columns are there.

        What a hit says in words, its `doubts` and `explanations`, is text here, joined by ` | `.
        """
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

    def map(self, run: RunName = "latest", *, profile: str = "combined", everything: bool = False) -> RunMap | None:
        """Return where the treatments of a run lie and which belong together; None while that is being made.

        It takes seconds, many for thousands of treatments, once: ask again after some. A map that cannot be made is an
        `ApiError`, and is tried again when it is asked for later.

        Args:
            run: A run that has results; `latest` is the one that finished last.
            profile: What the calls were made on: `combined`, or an encoder's name.
            everything: Whether treatments that are no hits are in it too.
        """
        asked: dict[str, Parameter] = {"profile": profile, "everything": everything}
        response = self._line.send("GET", "runs", known(run), "map", parameters=asked)
        return None if response.status_code == HTTPStatus.ACCEPTED else self._line.read(RunMap, response)

    def compare(
        self,
        run: RunName,
        other: RunName,
        *,
        profile: str = "combined",
        other_profile: str | None = None,
        q_max: float = 0.05,
    ) -> Comparison:
        """Return the hits that a run gained and lost against another one, and those of both.

        Args:
            run: A run.
            other: Another one, or the same, held against it on another profile.
            profile: What the run's calls were made on: `combined`, or an encoder's name.
            other_profile: The same of the other run; by default of the same name.
            q_max: Largest q value of a hit.
        """
        asked: dict[str, Parameter] = {
            "other": known(other),
            "profile": profile,
            "other_profile": other_profile,
            "q_max": q_max,
        }
        return self._line.ask(Comparison, "GET", "runs", known(run), "compare", parameters=asked)
