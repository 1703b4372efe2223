"""The client: one method for each thing that can be asked, in the words of the API."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from hcs.client.access import check_key, key_at_hand, read_address
from hcs.client.frames import frame_of
from hcs.client.submissions import Submitted, body_of
from hcs.client.transport import Parameter, Transport
from hcs.client.waiting import wait_for
from hcs.settings import read_settings
from schemas.api import (
    LARGEST_PAGE,
    Body,
    Hit,
    HitPage,
    Mechanism,
    MechanismPage,
    Neighbour,
    NeighbourPage,
    Page,
    Perturbation,
    Plate,
    PlatePage,
    PlateSummary,
    Profile,
    ProfilePage,
    Run,
    RunPage,
    RunPlate,
    RunPlatePage,
    RunSummary,
    Screen,
    ScreenPage,
    Well,
    WellPage,
)
from schemas.screen import ScreenConfig

if TYPE_CHECKING:
    import polars as pl

Item = TypeVar("Item", bound=Body)
RunName = str | Run | RunSummary
"""A run as the API returned it, or its name: `run-12`, or `latest`."""


class Client:
    """Asks one API. It is a context manager, and may be used by several threads.

    Every method raises an `ApiError` where the API answers with a problem, a `NoAnswerError` where it does not answer
    for `patience` seconds, and an `AnswerError` where something else answers.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout: float = 30.0,
        patience: float = 60.0,
        insecure: bool = False,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            url: Where `hcs serve` serves; by default `HCS_API_URL`, else http://127.0.0.1:8000.
            key: What `hcs keys create` printed; by default `HCS_API_KEY`, else, where this machine is asked, the file
                `api-key` beside the SQLite catalog (`HCS_CATALOG`, else `hcs-data/catalog.sqlite`).
            timeout: Seconds that one request may wait for the next byte of its answer.
            patience: Seconds in which a request that is safe to send again is sent again.
            insecure: Whether the key may go through http:// to another machine, readable by whoever is on the way.

        Raises:
            UsageError: If the URL or the key is none, or the key would be readable on its way.
        """
        settings = read_settings()
        address = read_address(settings.api_url if url is None else url)
        found = key_at_hand(settings, address=address) if key is None else key
        shown = None if found is None else check_key(found, address=address, insecure=insecure)
        self._line = Transport(address, key=shown, timeout=timeout, patience=patience)

    def __repr__(self) -> str:
        return f"Client({self._line.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._line.close()

    def screens(self) -> list[Screen]:
        """Return every screen by name."""
        return list(self._line.ask(ScreenPage, "GET", "screens").items)

    def plates(self, screen: str | None = None) -> list[PlateSummary]:
        """Return every plate by screen and barcode, or those of one screen."""
        return list(self._items(PlatePage, "plates", screen=screen))

    def plate(self, barcode: str, *, run: RunName | None = None) -> Plate:
        """Return one plate with its acceptance report; by default of the newest run of it that finished."""
        return self._line.ask(Plate, "GET", "plates", barcode, parameters={"run": _name(run)})

    def wells(self, barcode: str, *, run: RunName | None = None, profile: str = "combined") -> list[Well]:
        """Return the wells of a plate by row and column, each with its quality and what is said of its treatment."""
        asked = {"run": _name(run), "profile": profile}
        return list(self._line.ask(WellPage, "GET", "plates", barcode, "wells", parameters=asked).items)

    def submit(self, screen: Submitted, *, new: bool = False, idempotency_key: str | None = None) -> Run:
        """Return the run that a dispatcher performs: a new one, or the one that there is of the same screen.

        Args:
            screen: A record, the fields of a SCREEN.yaml, or the path of one on this machine. Its places are read by
                the server: absolute paths or s3:// URIs under its roots. Relative places of a file start at the file.
            new: Whether the same screen is run once more.
            idempotency_key: A word of the caller's: the same request with the same word is carried out once. By default
                a new one, so that the client itself can safely send the request again.
        """
        headers = {"Idempotency-Key": str(uuid.uuid4()) if idempotency_key is None else idempotency_key}
        return self._line.ask(Run, "POST", "runs", parameters={"new": new}, headers=headers, body=body_of(screen))

    def runs(self) -> Iterator[RunSummary]:
        """Yield every run in any state, newest first."""
        return self._items(RunPage, "runs")

    def run(self, run: RunName = "latest") -> Run:
        """Return one run and how far it is; `latest` is the newest in any state."""
        return self._line.ask(Run, "GET", "runs", _known(run))

    def screen_of(self, run: RunName = "latest") -> ScreenConfig:
        """Return the screen that a run was made of, as it was submitted."""
        return self._line.ask(ScreenConfig, "GET", "runs", _known(run), "screen")

    def plates_of(self, run: RunName = "latest") -> list[RunPlate]:
        """Return the plates of a run by barcode."""
        return list(self._line.ask(RunPlatePage, "GET", "runs", _known(run), "plates").items)

    def profiles_of(self, run: RunName = "latest") -> list[Profile]:
        """Return which tables of well profiles a run published."""
        return list(self._line.ask(ProfilePage, "GET", "runs", _known(run), "profiles").items)

    def wait(
        self, run: RunName, *, timeout: float | None = None, on_progress: Callable[[Run], None] | None = None
    ) -> Run:
        """Return a run as it is at its end, complete or not: look at its `state` and `notes`.

        Args:
            run: Which one.
            timeout: Seconds to wait, at most; None waits as long as it takes.
            on_progress: Called with the run at every look.

        Raises:
            WaitedTooLongError: If it is not at its end by then. The run goes on.
        """
        name = self.run().id if run == "latest" else run  # the next run is another one
        return wait_for(lambda: self.run(name), timeout=timeout, on_progress=on_progress)

    def cancel(self, run: RunName) -> Run:
        """Return a run that is cancelled: what is finished of it is kept."""
        return self._line.ask(Run, "POST", "runs", _known(run), "cancel")

    def retry(self, run: RunName, *, only: str = "") -> Run:
        """Return a run whose failed units are tried again; `only` those whose reason holds a text."""
        return self._line.ask(Run, "POST", "runs", _known(run), "retry", parameters={"only": only})

    def delete(self, run: RunName) -> None:
        """Delete a run and its files, for good. It takes a key with the scope admin."""
        self._line.send("DELETE", "runs", _known(run))

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
            "run": _name(run),
            "profile": profile,
        }
        return self._items(HitPage, "hits", **asked)

    def hits_frame(self, **asked: Any) -> pl.DataFrame:
        """Return what `hits` yields as a polars table, with the same options; without rows, the columns are there."""
        return frame_of(self.hits(**asked), Hit)

    def perturbation(self, perturbation: str, *, run: RunName = "latest") -> Perturbation:
        """Return everything that a run holds of one perturbation, by its key or its name: doses, wells, neighbours."""
        return self._line.ask(Perturbation, "GET", "perturbations", perturbation, parameters={"run": _name(run)})

    def neighbours(
        self, perturbation: str, *, top: int = 10, run: RunName = "latest", profile: str = "combined"
    ) -> list[Neighbour]:
        """Return the most similar treatments of each dose, nearest first, at most `top` a dose."""
        asked: dict[str, Parameter] = {"top": top, "run": _name(run), "profile": profile}
        path = ("perturbations", perturbation, "neighbours")
        return list(self._line.ask(NeighbourPage, "GET", *path, parameters=asked).items)

    def mechanisms(self, *, run: RunName = "latest", profile: str = "combined") -> list[Mechanism]:
        """Return every mechanism that `hits` can ask for, with its numbers of treatments and of hits."""
        asked = {"run": _name(run), "profile": profile}
        return list(self._line.ask(MechanismPage, "GET", "mechanisms", parameters=asked).items)

    def image(
        self,
        barcode: str,
        well: str,
        *,
        site: int | None = None,
        channels: Sequence[str] | Mapping[str, str] | None = None,
        low: float | None = None,
        high: float | None = None,
        raw: bool = False,
        size: int | None = None,
        run: RunName | None = None,
    ) -> bytes:
        """Return a picture of a well, or of one site, as WebP.

        Args:
            barcode: The plate.
            well: In any spelling.
            site: One site, as large as it is; by default all of the well side by side.
            channels: Only these, or each with its colour: `{"DNA": "0046ff"}`. One alone is grey.
            low: Percentile of the pixels that is black; by default the range that the run found on the plate.
            high: Percentile of the pixels that is full colour.
            raw: Whether pixels are shown as delivered, the illumination uncorrected.
            size: Pixels of a site's longer side, at most.
            run: By default the newest of the plate that finished.
        """
        place = () if site is None else ("sites", str(site))
        asked = _view(channels=channels, low=low, high=high, raw=raw, size=size, run=run)
        return self._line.send("GET", "plates", barcode, "wells", well, *place, "image.webp", parameters=asked).content

    def sheet(
        self,
        barcode: str,
        *,
        site: int | None = None,
        channels: Sequence[str] | Mapping[str, str] | None = None,
        low: float | None = None,
        high: float | None = None,
        raw: bool = False,
        size: int | None = None,
        run: RunName | None = None,
    ) -> bytes:
        """Return a contact sheet of a plate as WebP: one site of every well; the options are those of `image`."""
        asked = _view(channels=channels, low=low, high=high, raw=raw, size=size, run=run)
        return self._line.send("GET", "plates", barcode, "sheet.webp", parameters={**asked, "site": site}).content

    def _items(self, page: type[Page[Item]], path: str, **asked: Parameter) -> Iterator[Item]:
        cursor: str | None = None
        while True:
            answer = self._line.ask(page, "GET", path, parameters={**asked, "limit": LARGEST_PAGE, "cursor": cursor})
            yield from answer.items
            cursor = answer.next_cursor
            if cursor is None:
                return


def _known(run: RunName) -> str:
    return run if isinstance(run, str) else run.id


def _name(run: RunName | None) -> str | None:
    return None if run is None else _known(run)


def _view(
    *, channels: Sequence[str] | Mapping[str, str] | None, run: RunName | None, **asked: Parameter
) -> dict[str, Parameter]:
    """Return the parameters of a picture."""
    if isinstance(channels, str):
        channels = [channels]
    pairs = channels.items() if isinstance(channels, Mapping) else [(name, "") for name in channels or ()]
    names = ",".join(f"{name}:{colour}" if colour else name for name, colour in pairs)
    return {**asked, "channels": names or None, "run": _name(run)}
