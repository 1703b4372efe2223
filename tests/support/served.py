"""A small finished run whose names are hostile, to be served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from plates import CHANNELS, cells, deliver
from runs import perform

from hcs.catalog import create_key, get_run, open_catalog, revoke_key
from hcs.pipeline.local import LocalExecutor
from schemas.keys import Scope

SCRIPT, FORMULA, SLASH = "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "CPD/3"
COMPOUNDS = {
    SCRIPT: "tubulin inhibitor|kinase inhibitor",
    FORMULA: "tubulin inhibitor",
    SLASH: "kinase inhibitor",
    "CPD4": "",
}
PLATES = ("P1", "P2")
N_CONTROLS = 8
ROWS, COLUMNS = "ABC", 6
BROKEN = "C06"
"""A well whose file is no image, on every plate."""


def wells() -> list[str]:
    return [f"{row}{column:02d}" for row in ROWS for column in range(1, COLUMNS + 1)]


def platemap() -> str:
    lines = ["Metadata_Plate,well,perturbation,concentration_micromolar,control_type,mechanism"]
    for plate in PLATES:
        for index, well in enumerate(wells()):
            if index < N_CONTROLS:
                lines.append(f"{plate},{well},DMSO,,negcon,")
                continue
            name = list(COMPOUNDS)[(index - N_CONTROLS) % len(COMPOUNDS)]
            dose = 1 if index < N_CONTROLS + len(COMPOUNDS) else 10
            lines.append(f'{plate},{well},"{name}",{dose},treatment,{COMPOUNDS[name]}')
    return "\n".join(lines) + "\n"


def deliver_plate(folder: Path, name: str, *, seed: int) -> None:
    images = {}
    for index, well in enumerate(wells()):
        treated = 0 if index < N_CONTROLS else 1 + (index - N_CONTROLS) % len(COMPOUNDS)
        for number, channel in enumerate(CHANNELS):
            brighter = 1 + 0.4 * treated * (number + 1) / 3
            plain = cells(1000 * seed + 10 * index + number).astype(float)
            images[well, channel] = (plain * brighter).clip(0, 65535).astype(np.uint16)
    deliver(folder / name, images, name=name)
    (folder / name / f"{BROKEN}-{CHANNELS[0]}.tif").write_bytes(b"no image")


def deliver_screen(folder: Path) -> Path:
    """Deliver both plates and return the SCREEN.yaml beside them."""
    for seed, name in enumerate(PLATES):
        deliver_plate(folder, name, seed=seed)
    (folder / "map.csv").write_text(platemap(), encoding="utf-8")
    screen = {
        "screen": "hostile names",
        "plates": [{"uri": name, "batch": f"b{seed}"} for seed, name in enumerate(PLATES)],
        "platemaps": "map.csv",
        "pattern": "{well}-{channel}.tif",
        "encoders": ["named"],
        "pixels": {"tile": 64},
    }
    path = folder / "SCREEN.yaml"
    path.write_text(yaml.safe_dump(screen), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Keys:
    """Secrets with each scope, and two that are good for nothing any more."""

    read: str
    submit: str
    admin: str
    revoked: str


def make_keys(catalog_url: str, *, parts: str | None = None) -> Keys:
    with open_catalog(catalog_url, parts_uri=parts) as catalog:
        made = {scope: create_key(catalog, name=f"{scope} key", scopes=[scope]) for scope in Scope}
        gone, secret = create_key(catalog, name="gone", scopes=[Scope.ADMIN])
        revoke_key(catalog, gone.prefix)
    return Keys(*(made[scope][1] for scope in (Scope.READ, Scope.SUBMIT, Scope.ADMIN)), revoked=secret)


@dataclass(frozen=True)
class Finished:
    """The folder of a finished run: plates, SCREEN.yaml and catalog."""

    folder: Path
    keys: Keys

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog.sqlite"

    def submission(self, screen: str = "another", **changes: object) -> dict[str, object]:
        """A screen as JSON that may be submitted."""
        plates = [{"uri": str(self.folder / "P1"), "barcode": "P1"}]
        return {"screen": screen, "plates": plates, "pattern": "{well}-{channel}.tif", **changes}


def perform_screen(folder: Path) -> Finished:
    """Deliver the screen into a folder and run it there."""
    path = deliver_screen(folder)
    with open_catalog(str(folder / "catalog.sqlite")) as catalog:
        perform(catalog, path, LocalExecutor(threads=2))
        assert get_run(catalog).name == "run-1"
    return Finished(folder, make_keys(str(folder / "catalog.sqlite")))
