"""Tables as the rows of an answer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import quote

import polars as pl
import polars.selectors as cs

from hcs.hits.explain import doubts_of_call, sentences_of_call
from schemas.api import Hit


def rows_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows; a number that is not finite is None, since JSON has no word for it."""
    finite = pl.when(cs.float().is_finite()).then(cs.float())
    return frame.with_columns(finite).to_dicts()


def hit_of(row: dict[str, Any]) -> Hit:
    """Return a call of the catalog as the API answers it, with what else could explain it in words."""
    return Hit(**row, doubts=doubts_of_call(row), explanations=sentences_of_call(row))


def path_of(*parts: object) -> str:
    """Return a path under /v1, each part quoted: names may hold anything."""
    return "/v1/" + "/".join(quote(str(part), safe="") for part in parts)


def well_image_path(plate: str, well: str, run: str) -> str:
    """Return the path of a well's picture in a run."""
    before, behind = _around_well(plate, run)
    return f"{before}{quote(well, safe='')}{behind}"


@lru_cache(maxsize=256)
def _around_well(plate: str, run: str) -> tuple[str, str]:
    """Return what stands before and behind a well in such a path: the same for all wells of a plate."""
    return f"{path_of('plates', plate, 'wells')}/", f"/image.webp?run={quote(run, safe='')}"
