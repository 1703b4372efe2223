"""What can be asked of plates: how they are, what stands in their wells, and what these look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from hcs.client.asking import Asking, RunName, name_of
from hcs.client.transport import Parameter
from schemas.api import Plate, PlatePage, PlateSummary, Screen, ScreenPage, Well, WellPage
from schemas.api_plates import PlateMeasures, WellProvenance


class View(TypedDict, total=False):
    """How a picture is made; what is left out is as the API has it.

    Attributes:
        channels: Only these, or each with its colour: `{"DNA": "0046ff"}`. One alone is grey.
        low: Percentile of the pixels that is black; by default the range that the run found on the plate.
        high: Percentile of the pixels that is full colour.
        raw: Whether pixels are shown as delivered, the illumination uncorrected.
        size: Pixels of a site's longer side, at most.
        run: By default the newest of the plate that finished.
    """

    channels: Sequence[str] | Mapping[str, str] | None
    low: float | None
    high: float | None
    raw: bool
    size: int | None
    run: RunName | None


class PlateQuestions(Asking):
    """Methods about plates."""

    def screens(self) -> list[Screen]:
        """Return every screen by name."""
        return list(self._line.ask(ScreenPage, "GET", "screens").items)

    def plates(self, screen: str | None = None) -> list[PlateSummary]:
        """Return every plate by screen and barcode, or those of one screen."""
        return list(self._items(PlatePage, "plates", screen=screen))

    def plate(self, barcode: str, *, run: RunName | None = None) -> Plate:
        """Return one plate with its acceptance report; by default of the newest run of it that finished."""
        return self._line.ask(Plate, "GET", "plates", barcode, parameters={"run": name_of(run)})

    def wells(self, barcode: str, *, run: RunName | None = None, profile: str = "combined") -> list[Well]:
        """Return the wells of a plate by row and column, each with its quality and what is said of its treatment."""
        asked = {"run": name_of(run), "profile": profile}
        return list(self._line.ask(WellPage, "GET", "plates", barcode, "wells", parameters=asked).items)

    def measures(self, barcode: str, *, run: RunName | None = None) -> PlateMeasures:
        """Return the maps of a plate: everything that is measured in its wells, raw and corrected for its place."""
        return self._line.ask(PlateMeasures, "GET", "plates", barcode, "measures", parameters={"run": name_of(run)})

    def provenance(self, barcode: str, well: str, *, run: RunName | None = None) -> WellProvenance:
        """Return what the results of a well were made from, down to the hashes of weights and images."""
        path = ("plates", barcode, "wells", well, "provenance")
        return self._line.ask(WellProvenance, "GET", *path, parameters={"run": name_of(run)})

    def image(self, barcode: str, well: str, *, site: int | None = None, **view: Unpack[View]) -> bytes:
        """Return a picture of a well, or of one site, as WebP.

        Args:
            barcode: The plate.
            well: In any spelling.
            site: One site, as large as it is; by default all of the well side by side.
            **view: As `View` says.
        """
        place = () if site is None else ("sites", str(site))
        path = ("plates", barcode, "wells", well, *place, "image.webp")
        return self._line.send("GET", *path, parameters=_parameters(view)).content

    def sheet(self, barcode: str, *, site: int | None = None, **view: Unpack[View]) -> bytes:
        """Return a contact sheet of a plate as WebP: one site of every well.

        Args:
            barcode: The plate.
            site: Which one; by default the first.
            **view: As `View` says.
        """
        asked = {**_parameters(view), "site": site}
        return self._line.send("GET", "plates", barcode, "sheet.webp", parameters=asked).content


def _parameters(view: View) -> dict[str, Parameter]:
    """Return the parameters of a picture."""
    channels = view.get("channels") or ()
    if isinstance(channels, str):
        channels = [channels]
    pairs = channels.items() if isinstance(channels, Mapping) else [(name, "") for name in channels]
    names = ",".join(f"{name}:{colour}" if colour else name for name, colour in pairs)
    return {
        "channels": names or None,
        "low": view.get("low"),
        "high": view.get("high"),
        "raw": view.get("raw", False),
        "size": view.get("size"),
        "run": name_of(view.get("run")),
    }
