"""What is asked: the routes of the table, each with many different questions."""

from __future__ import annotations

import random
from collections.abc import Callable
from urllib.parse import quote

from answers.asking import Question
from answers.delivering import IMAGED_WELLS
from answers.filling import CHANNELS, DOSES, IMAGED, MECHANISMS, N_NEGCON, N_POSCON, REPLICATES, Size

BARS = {"hits": 0.060, "perturbation": 0.100, "wells": 0.150, "image, cold": 0.500, "image, kept": 0.030}
"""Seconds in which 95 of 100 answers are to be there."""

SHARES = {"hits": 40, "perturbation": 20, "wells": 20, "image, kept": 18, "image, cold": 2}
"""Of 100 questions of the mixture."""


class Questions:
    """Deals questions of each route by chance, the same ones for every database."""

    def __init__(self, size: Size) -> None:
        """Begin at the same question each time."""
        self._size, self._rng, self._colour = size, random.Random(7), 0  # noqa: S311
        self._sites = [(well, site) for well in size.names[:IMAGED_WELLS] for site in range(1, size.sites + 1)]
        self._of: dict[str, Callable[[], str]] = {
            "hits": self._hits,
            "perturbation": self._perturbation,
            "wells": self._wells,
            "image, cold": self._cold_image,
            "image, kept": self._kept_image,
        }

    def of(self, route: str, n: int) -> list[Question]:
        """Return so many questions of a route."""
        return [Question(route, self._of[route]()) for _ in range(n)]

    def mixed(self, n: int) -> list[Question]:
        """Return so many questions of all routes, in the shares of the mixture."""
        routes = [route for route, share in SHARES.items() for _ in range(share)]
        return [question for route in self._shuffled(routes, n) for question in self.of(route, 1)]

    def kept_images(self) -> list[str]:
        """Return every picture that `image, kept` asks for, to be asked for once before."""
        return [_image(well, site, "") for well, site in self._sites]

    def _shuffled(self, routes: list[str], n: int) -> list[str]:
        dealt: list[str] = []
        while len(dealt) < n:
            dealt += self._rng.sample(routes, len(routes))
        return dealt[:n]

    def _hits(self) -> str:
        return f"/v1/hits?mechanism={quote(self._rng.choice(MECHANISMS))}"

    def _perturbation(self) -> str:
        n_compounds = (self._size.wells - N_NEGCON - N_POSCON) // len(DOSES) * (self._size.plates // REPLICATES)
        return f"/v1/perturbations/CPD-{self._rng.randrange(n_compounds):05d}"

    def _wells(self) -> str:
        return f"/v1/plates/{self._rng.choice(self._size.barcodes)}/wells"

    def _kept_image(self) -> str:
        return _image(*self._rng.choice(self._sites), "")

    def _cold_image(self) -> str:
        """Return a picture in colours that nobody has asked for: all of it is made anew."""
        self._colour += 1
        first = f"{CHANNELS[0]}:ff{self._colour:04x}"
        return _image(*self._rng.choice(self._sites), f"?channels={','.join([first, *CHANNELS[1:]])}")


def _image(well: str, site: int, query: str) -> str:
    return f"/v1/plates/{IMAGED}/wells/{well}/sites/{site}/image.webp{query}"
