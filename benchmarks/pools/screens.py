"""Screens of any size, of simulated sites that are put together into fields, and the weights that embed them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pools.processes import cores

A, B = "mobilenetv3_small_100", "pvt_v2_b0"
WELLS = tuple(f"A{number:02d}" for number in range(1, 9))
"""Of a plate that is composed here: each is one unit, however many sites it has."""
PATTERN = "{well}_s{site}_w{channel}.tif"


def write_weights(folder: Path, architecture: str) -> dict[str, str]:
    """Write a backbone's random numbers into a file and return the encoder as a SCREEN.yaml names it."""
    from safetensors.torch import save_file

    from hcs.embedding.backbones import create_untrained_backbone

    path = folder / f"{architecture}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        state = create_untrained_backbone(architecture).state_dict()
        save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, path)
    return {"name": architecture, "weights": str(path)}


def simulated_sites(folder: Path, *, wells: int) -> tuple[list[str], list[Any]]:
    """Return the channels of a simulated plate, and the pixels (C, Y, X) of its sites."""
    import numpy as np

    from hcs.io.layouts import read_delivery
    from hcs.io.pixels import read_plane
    from hcs.io.screen import load_screen
    from hcs.io.storage import join
    from hcs.simulation.deliver import simulate_screen
    from hcs.simulation.design import small_design

    simulated = simulate_screen(str(folder), design=small_design(plates=1, wells=wells), seed=5, workers=cores())
    config = load_screen(simulated.screen_file)
    delivery = read_delivery(config.plates[0], config)
    rows = delivery.images.sort("well", "site", "channel")
    channels = sorted(rows["channel"].unique())
    paths = [rows["relative_path"][at : at + len(channels)] for at in range(0, rows.height, len(channels))]
    return channels, [np.stack([read_plane(join(delivery.uri, path)).pixels for path in site]) for site in paths]


def write_fields(folder: Path, sites: list[Any], *, n_fields: int, side: int, compression: str | None) -> None:
    """Write fields as TIFFs, one a channel: simulated sites beside one another until a field has its size."""
    import numpy as np
    import tifffile

    folder.mkdir()
    n = -(-side // sites[0].shape[-1])
    rng = np.random.default_rng(0)
    chosen = [[field] if n == 1 else rng.integers(len(sites), size=n * n) for field in range(n_fields)]
    options: dict[str, Any] = {"compression": compression, "predictor": 2} if compression else {}

    def write(field: int) -> None:
        parts = [sites[index] for index in chosen[field]]
        rows = [np.concatenate(parts[at : at + n], axis=2) for at in range(0, n * n, n)]
        for channel, plane in enumerate(np.concatenate(rows, axis=1)[:, :side, :side]):
            tifffile.imwrite(folder / f"{field}_{channel}.tif", plane, photometric="minisblack", **options)

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(write, range(n_fields)))


class Composer:
    """Makes deliveries of any size of the same few fields: a site is a link to one of them."""

    def __init__(self, folder: Path, *, options: argparse.Namespace) -> None:
        """Simulate a plate, and write its sites as fields of the size that was asked for."""
        self.folder, self.tile, self.fields = folder, options.tile, folder / "fields"
        self.channels, sites = simulated_sites(folder / "simulated", wells=24 if options.quick else 96)
        side, compression = options.site_pixels, None if options.compression == "none" else options.compression
        self.n_fields = len(sites) if side <= sites[0].shape[-1] else 16
        write_fields(self.fields, sites, n_fields=self.n_fields, side=side, compression=compression)
        size = sum(path.stat().st_size for path in self.fields.glob("0_*.tif")) / 1e6
        print(
            f"a site: {len(self.channels)} x {side} x {side} pixels, {size:.1f} MB, {options.compression} compression"
        )

    def screen(self, name: str, *, plates: int, sites: int, encoders: Sequence[Any]) -> Path:
        """Write a delivery of so many plates of 8 wells with so many sites each, and return its SCREEN.yaml."""
        import yaml

        folder = self.folder / name
        for plate in range(plates):
            self._link(folder / f"P{plate}", sites=sites, first=plate * len(WELLS) * sites)
        done = ["DMSO"] * 3 + [f"compound-{number}" for number in range(len(WELLS) - 3)]
        rows = [f"{well},{perturbation}" for well, perturbation in zip(WELLS, done, strict=True)]
        (folder / "platemap.csv").write_text("\n".join(["well,perturbation", *rows]) + "\n")
        screen = {
            "screen": name,
            "plates": [{"uri": f"P{plate}", "layout": "files"} for plate in range(plates)],
            "pattern": PATTERN,
            "channels": {str(number): channel for number, channel in enumerate(self.channels)},
            "platemaps": "platemap.csv",
            "encoders": list(encoders),
            "pixels": {"tile": self.tile},
        }
        (folder / "SCREEN.yaml").write_text(yaml.safe_dump(screen))
        return folder / "SCREEN.yaml"

    def _link(self, folder: Path, *, sites: int, first: int) -> None:
        folder.mkdir(parents=True)
        places = [(well, site) for well in WELLS for site in range(1, sites + 1)]
        for number, (well, site) in enumerate(places, start=first):
            for channel in range(len(self.channels)):
                name = PATTERN.format(well=well, site=site, channel=channel)
                os.link(self.fields / f"{number % self.n_fields}_{channel}.tif", folder / name)
