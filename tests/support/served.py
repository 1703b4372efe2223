"""A small finished run whose names are hostile, to be served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from plates import CHANNELS, cells, deliver
from runs import perform
from sqlalchemy import create_engine, text

from hcs.catalog import create_key, get_run, open_catalog, revoke_key
from hcs.pipeline.local import LocalExecutor
from schemas.keys import Scope
from schemas.tables import (
    BATCH_VERDICTS,
    CHANNEL_VERDICTS,
    COUNT_VERDICTS,
    POSITION_VERDICTS,
    QUALITY_VERDICTS,
)

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


def verdicts_of(number: int) -> dict[str, object]:
    """Columns that say what else could explain a call: of the first seven calls together every verdict."""
    batch = BATCH_VERDICTS[number % 5]
    return {
        "is_hit": True,
        "call": "active",
        "q_value": 0.01,
        "p_position": 0.004,
        "position_verdict": POSITION_VERDICTS[number % 2],
        "explained_by_count": COUNT_VERDICTS[number % 3],
        "channel_verdict": CHANNEL_VERDICTS[number // 2 % 3],
        "channel": "<b>DNA</b>",
        "batch_verdict": batch,
        "n_batches_testable": 2,
        "n_batches_holding": {"every_batch": 2, "some_batches": 1, "one_batch": 1}.get(batch, 0),
        "quality_verdict": QUALITY_VERDICTS[number // 3 % 3],
        "n_judged": 2,
        "n_flagged": 1,
        "flagged_share_of_controls": 0.125,
        "n_other_positions": 2 * (number % 2),
        "other_positions_precision": 0.5 if number % 2 else None,
    }


def judge_calls(catalog: Path) -> None:
    """Make hits of all calls of a catalog, with `verdicts_of`; nothing was tested of the last treatment."""
    engine = create_engine(f"sqlite:///{catalog}")
    with engine.begin() as connection:
        treatments = sorted(connection.scalars(text("SELECT DISTINCT treatment FROM calls")))
        for number, treatment in enumerate(treatments):
            verdicts = verdicts_of(number)
            if number == len(treatments) - 1:
                verdicts = {**dict.fromkeys(verdicts), "is_hit": True, "call": "active", "q_value": 0.01}
            columns = ", ".join(f"{name} = :{name}" for name in verdicts)
            statement = text(f"UPDATE calls SET {columns} WHERE treatment = :treatment")  # noqa: S608 - names of ours
            connection.execute(statement, {**verdicts, "treatment": treatment})
    engine.dispose()


def perform_screen(folder: Path) -> Finished:
    """Deliver the screen into a folder and run it there."""
    path = deliver_screen(folder)
    with open_catalog(str(folder / "catalog.sqlite")) as catalog:
        perform(catalog, path, LocalExecutor(threads=2))
        assert get_run(catalog).name == "run-1"
    return Finished(folder, make_keys(str(folder / "catalog.sqlite")))
