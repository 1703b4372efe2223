"""Delivers one plate with images as an instrument writes them, and the files that a run would write of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from answers.filling import CHANNELS, IMAGED, PIN, PIXELS, Size, sha
from hcs.imaging.survey import PlateSurvey
from hcs.io.storage import sha256_of_bytes
from hcs.io.tables import table_bytes
from hcs.pipeline.surveys import survey_bytes
from schemas.work import PartReceipt, PlaneRef, UnitSpec

IMAGED_WELLS = 4
"""Wells whose images are written; a sheet of the plate has all others marked as missing."""


def image(seed: int, *, side: int) -> NDArray[np.uint16]:
    """Return a plane with blurred cells and the noise of a camera."""
    rng = np.random.default_rng(seed)
    cells = gaussian_filter(rng.uniform(size=(side, side)) ** 12, 12)
    signal = 150 + 3000 * (cells / cells.max()) ** 2
    noisy = rng.poisson(signal) + rng.normal(0, 3, signal.shape)
    return noisy.clip(0, 65_535).astype(np.uint16)


def write_images(folder: Path, size: Size) -> list[tuple[str, int]]:
    """Write the images of the first wells, 16-bit LZW, and return the (well, site) that have them."""
    folder.mkdir(parents=True, exist_ok=True)
    places = [(well, site) for well in size.names[:IMAGED_WELLS] for site in range(1, size.sites + 1)]
    for number, (well, site) in enumerate(places):
        for index, channel in enumerate(CHANNELS):
            plane = image(10 * number + index, side=size.pixels)
            tifffile.imwrite(folder / f"{well}-{site}-{channel}.tif", plane, compression="lzw", metadata=None)
    return places


def spread_images(folder: Path, size: Size, *, wells: int) -> list[str]:
    """Return the first wells, so many, all of which have images now: those beyond the first few have the same ones."""
    names = size.names[:wells]
    for number, well in enumerate(names[IMAGED_WELLS:]):
        like = names[number % IMAGED_WELLS]
        for site in range(1, size.sites + 1):
            for channel in CHANNELS:
                (folder / f"{well}-{site}-{channel}.tif").hardlink_to(folder / f"{like}-{site}-{channel}.tif")
    return names


def write_parts(folder: Path, delivery: Path, size: Size) -> tuple[UnitSpec, tuple[PartReceipt, ...]]:
    """Write the survey of the plate and the list of its images, and return the survey unit with both receipts."""
    planes = tuple(
        PlaneRef(well=well, site=1, channel="DNA", relative_path=f"{well}-1-DNA.tif", size_bytes=1)
        for well in size.names[:IMAGED_WELLS]
    )
    unit = UnitSpec(
        key=sha("survey"), kind="survey", plate=IMAGED, root=str(delivery), planes=planes, channels=CHANNELS,
        pixels=PIXELS, encoders=(), pin=PIN, parts_uri=str(folder), parts_folder=f"run-1/{IMAGED}",
    )  # fmt: skip
    images = _witnesses(delivery, size)
    surveyed = _write(folder, f"run-1/{IMAGED}/survey.safetensors", survey_bytes(_survey(size)), "survey", n_rows=1)
    listed = _write(
        folder, f"run-1/{IMAGED}/images.parquet", table_bytes(images, ending="parquet"), "images", n_rows=len(images)
    )
    return unit, (surveyed, listed)


def _survey(size: Size) -> PlateSurvey:
    y, x = np.mgrid[-1 : 1 : size.pixels * 1j, -1 : 1 : size.pixels * 1j]
    light = (1 + 0.4 * np.exp(-(x**2 + y**2))).astype(np.float32)
    return PlateSurvey(
        channels=CHANNELS,
        illumination=np.stack([light] * len(CHANNELS)),
        low=np.full(len(CHANNELS), 120, np.float32),
        high=np.full(len(CHANNELS), 2500, np.float32),
        n_sites=32,
        notes=(),
        pixel_type=np.dtype("uint16"),
    )


def _witnesses(delivery: Path, size: Size) -> pl.DataFrame:
    """Return the list of all images of the plate; of those that are not there the hash is none of any file."""
    rows = []
    for well in size.names:
        for site in range(1, size.sites + 1):
            for channel in CHANNELS:
                path = f"{well}-{site}-{channel}.tif"
                file = delivery / path
                digest = sha256_of_bytes(file.read_bytes()) if file.exists() else sha(path)
                rows.append((IMAGED, path, well, site, channel, 2_000_000, "w", digest))
    names = ["plate", "relative_path", "well", "site", "channel", "size_bytes", "witness", "sha256"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("site").cast(pl.Int32))


def _write(folder: Path, path: str, content: bytes, kind: str, *, n_rows: int) -> PartReceipt:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return PartReceipt.model_validate(
        {"kind": kind, "relative_path": path, "sha256": sha256_of_bytes(content), "n_bytes": len(content),
         "n_rows": n_rows}
    )  # fmt: skip
