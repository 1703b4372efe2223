"""The survey of a plate: what illumination and intensity are like on it, from a sample of its sites."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from hcs.errors import DeliveryError, StorageError, UnreadableImageError
from hcs.imaging.survey import PlateSurvey, survey_plate
from hcs.io.pixels import Fetched, read_site
from hcs.io.storage import read_bytes, sha256_of_bytes
from hcs.pipeline.ahead import in_order
from hcs.pipeline.fetching import fetch_sites
from hcs.pipeline.plan import SURVEY_SITES, by_site
from hcs.pipeline.stopwatch import Stopwatch
from schemas.work import PlaneRef, UnitSpec


def survey_of(spec: UnitSpec, *, watch: Stopwatch, readers: int = 0) -> tuple[PlateSurvey, int]:
    """Return the survey of a plate from its first readable sites, and how many of those tried could not be read.

    Args:
        spec: A survey unit.
        watch: Counts its steps and tells it to stop.
        readers: Threads that read ahead.

    Raises:
        DeliveryError: If no site of the plate can be read.
    """
    sites: list[tuple[str, NDArray[Any]]] = []
    reasons: list[str] = []
    grouped = by_site(spec.planes)
    waiting = [(key, grouped[key]) for key in dict.fromkeys((plane.well, plane.site) for plane in spec.planes)]
    while waiting and len(sites) < SURVEY_SITES:
        n_wanted = SURVEY_SITES - len(sites)  # as many as are missing, and no file more is fetched
        tried, waiting = waiting[:n_wanted], waiting[n_wanted:]
        with (
            closing(fetch_sites(spec, tried, watch=watch)) as fetched,
            closing(in_order(partial(_read, spec, watch), fetched, threads=readers)) as found,
        ):
            for ((well, number), _), pixels in zip(tried, found, strict=True):
                if isinstance(pixels, str):
                    reasons.append(pixels)
                else:
                    sites.append((f"{well}/{number}", pixels))
    if not sites:
        first = f" The first reason: {reasons[0]}" if reasons else ""
        raise DeliveryError(
            f"plate {spec.plate}: expected at least one site with all of {', '.join(spec.channels)} that can be read, "
            f"got none of {len(reasons)} tried.{first}"
        )
    with watch.time("survey"):
        survey = survey_plate([pixels for _, pixels in sorted(sites, key=lambda item: item[0])], channels=spec.channels)
    return survey, len(reasons)


def _read(
    spec: UnitSpec, watch: Stopwatch, site: tuple[tuple[str, int], tuple[PlaneRef, ...], Mapping[str, Fetched] | None]
) -> NDArray[Any] | str:
    """Return the pixels (C, Y, X) of a site, or the reason why there are none."""
    (well, number), planes, fetched = site
    watch.stop_if_cancelled()
    try:
        with watch.time("read", f"{well} site {number}"):
            return read_site(
                spec.root, planes, channels=spec.channels, projection=spec.pixels.projection, fetched=fetched
            ).pixels
    except UnreadableImageError as error:
        return str(error)


def survey_bytes(survey: PlateSurvey) -> bytes:
    """Return a survey as safetensors, its channels and notes in the header."""
    described = {"channels": json.dumps(survey.channels), "notes": json.dumps(survey.notes)}
    return save_arrays({**survey.to_arrays(), **_text_arrays(described)})


def read_survey(uri: str, *, expected_sha256: str) -> PlateSurvey:
    """Return a survey that was written by `survey_bytes`.

    Raises:
        StorageError: If the file is not the one that was registered.
    """
    content = read_bytes(uri)
    got = sha256_of_bytes(content)
    if got != expected_sha256:
        raise StorageError(
            f"survey {uri}: expected the file with SHA-256 {expected_sha256}, got {got}; was it changed?"
        )
    arrays = load_arrays(content)
    texts = {name[5:]: arrays.pop(name).tobytes().decode() for name in sorted(arrays) if name.startswith("text.")}
    return PlateSurvey.from_arrays(arrays, channels=json.loads(texts["channels"]), notes=json.loads(texts["notes"]))


def _text_arrays(texts: dict[str, str]) -> dict[str, NDArray[np.uint8]]:
    """Texts as byte arrays: the order of a safetensors header's own metadata is not fixed, that of arrays is."""
    return {f"text.{name}": np.frombuffer(text.encode(), dtype=np.uint8).copy() for name, text in texts.items()}
