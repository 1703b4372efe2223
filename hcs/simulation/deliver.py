"""Writes a simulated screen as an instrument team would deliver it, with its truth beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import starmap
from multiprocessing import get_context
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import UsageError
from hcs.io.storage import exists, join, open_read, write_atomically
from hcs.io.tables import write_table
from hcs.io.tiff import tiff_bytes
from hcs.simulation.annotations import image_name, plate_folder, text_files
from hcs.simulation.design import PIXEL_SIZE_UM, ScreenDesign
from hcs.simulation.library import CHANNELS
from hcs.simulation.plan import ScreenPlan, lay_out_screen
from hcs.simulation.sites import render_site
from hcs.simulation.truth import SiteTruth, site_truth, truth_files

DESIGN_FILE: Final = "truth/design.json"
_WELLS_A_TASK: Final = 8
_WRITERS: Final = 8
"""Threads that wait for the disk while the next site is rendered."""
_SITES_AHEAD: Final = 16


@dataclass(frozen=True)
class SimulatedScreen:
    """A screen that was written. `screen_file` is the URI of its SCREEN.yaml."""

    uri: str
    screen_file: str
    plan: ScreenPlan
    n_sites: int
    n_images: int


def simulate_screen(
    out_uri: str,
    *,
    design: ScreenDesign,
    seed: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> SimulatedScreen:
    """Write a screen: images, load_data.csv, platemaps, annotations, truth, and SCREEN.yaml when all else is there.

    The same design and seed give the same bytes in every file, whatever the number of workers. A folder that holds a
    part of the same screen is completed; its files are written again.

    Args:
        out_uri: Folder or URL; made where it does not exist.
        design: What the screen consists of.
        seed: At least 0. It selects what mechanisms and compounds do, the layouts, and all noise.
        workers: Processes that render. With more than one, a script that calls this needs the usual
            `if __name__ == "__main__":`.
        progress: Called with the number of sites that are written and their total.

    Raises:
        UsageError: If the folder holds another simulated screen, or the seed or the number of workers is impossible.
        StorageError: If something cannot be written.
    """
    if seed < 0 or workers < 1:
        raise UsageError(
            f"a seed of at least 0 and at least 1 worker were expected, got seed {seed}, {workers} worker(s)"
        )
    plan = lay_out_screen(design, seed)
    _claim(out_uri, plan)
    total = design.n_imaged_sites
    truths: list[SiteTruth] = []
    written = 0
    for truth in _write_images(out_uri, plan, workers=workers):
        truths.append(truth)
        written += truth.sites.height
        if progress is not None:
            progress(written, total)
    for name, table in truth_files(plan, truths).items():
        write_table(table, join(out_uri, name))
    for name, content in text_files(plan):
        write_atomically(join(out_uri, name), content)
    return SimulatedScreen(
        uri=out_uri,
        screen_file=join(out_uri, "SCREEN.yaml"),
        plan=plan,
        n_sites=total,
        n_images=total * len(CHANNELS),
    )


def _claim(out_uri: str, plan: ScreenPlan) -> None:
    """Write which screen the folder holds, so that two different ones are never mixed in one."""
    uri = join(out_uri, DESIGN_FILE)
    content = json.dumps({"seed": plan.seed, "design": asdict(plan.design)}, indent=2, sort_keys=True).encode() + b"\n"
    if exists(uri):
        with open_read(uri) as stream:
            if stream.read() != content:
                raise UsageError(
                    f"a new folder, or one with the same simulated screen, was expected, but {out_uri} holds a "
                    f"screen of another design or seed (see {DESIGN_FILE}); name another folder"
                )
    write_atomically(uri, content)


def _write_images(out_uri: str, plan: ScreenPlan, *, workers: int) -> Iterator[SiteTruth]:
    """Yield the truth of a few wells each time, in the order of plates and wells, when their images are written."""
    tasks = [
        (out_uri, plan.design, plan.seed, plate, range(first, min(first + _WELLS_A_TASK, len(contents.wells))))
        for plate, contents in enumerate(plan.plates)
        for first in range(0, len(contents.wells), _WELLS_A_TASK)
    ]
    if workers == 1:
        yield from starmap(deliver_wells, tasks)
        return
    with ProcessPoolExecutor(min(workers, len(tasks)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(deliver_wells, *zip(*tasks, strict=True))


def deliver_wells(out_uri: str, design: ScreenDesign, seed: int, plate: int, wells: Sequence[int]) -> SiteTruth:
    """Render and write some wells of one plate (both counted from 0 in the plan) and return their truth."""
    plan = lay_out_screen(design, seed)
    contents = plan.plates[plate]
    truths: list[SiteTruth] = []
    writing: list[Future[None]] = []
    with ThreadPoolExecutor(_WRITERS) as writers:
        for well in (contents.wells[index] for index in wells):
            for site in range(1, design.n_sites + 1):
                rendered = render_site(plan, contents, well, site)
                truths.append(site_truth(contents, well, site, rendered))
                for channel, plane in zip(CHANNELS, rendered.pixels, strict=True):
                    uri = join(out_uri, f"{plate_folder(contents)}/Images/{image_name(well, site, channel)}")
                    writing.append(writers.submit(_write_plane, uri, plane))
                while len(writing) > _SITES_AHEAD * len(CHANNELS):
                    writing.pop(0).result()
        for future in writing:
            future.result()
    return SiteTruth(
        sites=pl.concat([truth.sites for truth in truths]), cells=pl.concat([truth.cells for truth in truths])
    )


def _write_plane(uri: str, plane: NDArray[np.uint16]) -> None:
    write_atomically(uri, tiff_bytes(plane, pixel_size_um=PIXEL_SIZE_UM))
