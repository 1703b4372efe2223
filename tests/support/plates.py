"""Small delivered plates with cells in them, and units of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcs import __version__
from hcs.embedding.registry import describe_encoder
from hcs.io.tiff import tiff_bytes
from hcs.pipeline.plan import PartsPlace, PlannedPlate, embed_units, survey_unit
from hcs.pipeline.workbench import Workbench
from hcs.settings import Settings
from schemas.encoders import EncoderInfo
from schemas.screen import EncoderChoice, PixelsConfig
from schemas.work import PlaneRef, Receipt, RunPin, UnitSpec, WorkOrder

CHANNELS = ("AGP", "DNA", "Mito")
PIXELS = PixelsConfig(tile=64)
PLANES_A_SITE = 3 * 4
NAMES = ("named", "mobilenetv3_small_100.untrained")


def encoders(*names: str) -> tuple[EncoderInfo, ...]:
    settings = Settings(offline=True)
    return tuple(describe_encoder(EncoderChoice(name=name), settings=settings) for name in names or NAMES)


def cells(seed: int, *, size: int = 96) -> NDArray[np.uint16]:
    """Bright blobs on a dim background with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    image = rng.normal(200, 10, (size, size))
    for _ in range(6):
        cy, cx, r = rng.uniform(8, size - 8), rng.uniform(8, size - 8), rng.uniform(4, 9)
        image += 1500 * np.exp(-((((y - cy) ** 2 + (x - cx) ** 2) / (2 * r**2)) ** 2))
    return image.clip(0, 65535).astype(np.uint16)


def plate_images(n_wells: int = 4) -> dict[tuple[str, str], NDArray[np.uint16]]:
    return {
        (f"A{well:02d}", channel): cells(10 * well + index)
        for well in range(1, n_wells + 1)
        for index, channel in enumerate(CHANNELS)
    }


def deliver(folder: Path, images: dict[tuple[str, str], NDArray[np.uint16]], *, name: str = "P") -> PlannedPlate:
    """Write one plate, one site a well: (well, channel) -> plane."""
    folder.mkdir(parents=True, exist_ok=True)
    planes = []
    for (well, channel), image in sorted(images.items()):
        path = folder / f"{well}-{channel}.tif"
        path.write_bytes(tiff_bytes(image, pixel_size_um=1.0))
        planes.append(
            PlaneRef(
                well=well, site=1, channel=channel, relative_path=path.name, size_bytes=path.stat().st_size, witness="w"
            )
        )
    return PlannedPlate(screen="s", plate=name, root=str(folder), planes=tuple(planes), channels=CHANNELS)


@dataclass(frozen=True)
class Work:
    """The units that embed one plate, and what all of them have in common."""

    plate: PlannedPlate
    order: WorkOrder
    survey: UnitSpec
    units: tuple[UnitSpec, ...]
    expected: dict[str, list[str]]

    def sha256s(self, receipt: Receipt) -> list[str]:
        """What a receipt says of the content of its parts."""
        return [part.sha256 for part in receipt.parts]


def work_of(folder: Path, pin: RunPin, *, n_wells: int = 4, infos: tuple[EncoderInfo, ...] | None = None) -> Work:
    """A delivered and surveyed plate, one well a unit, with the parts that a workbench writes of it."""
    plate, infos = deliver(folder / "plate", plate_images(n_wells)), encoders("named") if infos is None else infos
    bench, parts = Workbench(), folder / "parts"
    survey = survey_unit(plate, pixels=PIXELS, pin=pin, parts=PartsPlace(uri=str(folder / "own"), folder="run-1"))
    (surveyed,) = bench.perform(survey).parts
    place = (str(folder / "own" / surveyed.relative_path), surveyed.sha256)

    def units(parts_uri: Path) -> tuple[UnitSpec, ...]:
        where = PartsPlace(uri=str(parts_uri), folder="run-1")
        return embed_units(plate, pixels=PIXELS, encoders=infos, pin=pin, parts=where, survey=place)

    order = WorkOrder(
        run="run-1", code_version=__version__, pin=pin, encoders=infos, parts_uri=str(parts), parts_folder="run-1"
    )
    expected = {unit.key: [part.sha256 for part in bench.perform(unit).parts] for unit in units(folder / "own")}
    return Work(plate=plate, order=order, survey=survey, units=units(parts), expected=expected)
