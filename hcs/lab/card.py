"""The model card of a packaged encoder, with figures that the command has just computed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from hcs.embedding.known import known_encoders
from hcs.embedding.weights import PACKAGED, weights_metadata
from hcs.errors import UsageError
from hcs.lab.compare import compare_encoders, paired_differences, summarize
from hcs.profiling.profiles import COMBINED
from hcs.simulation.design import ScreenDesign, demo_design
from schemas.encoders import EncoderInfo, WeightsOrigin

Real = tuple[str, pl.DataFrame, pl.DataFrame]
"""Name of a screen of real plates, and the two tables of `hcs.lab.separate` on a run of it."""

SHOWN = {
    "nsc": "NSC",
    "nscb": "NSCB",
    "recall": "activity recall",
    "false_discovery_proportion": "false discovery proportion",
    "mechanism_accuracy": "mechanism accuracy",
}


def write_card(
    encoders: Sequence[EncoderInfo],
    *,
    seeds: Sequence[int],
    real: Real | None,
    design: ScreenDesign | None = None,
    folder: Path = PACKAGED,
    kept: Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Return the card of the first encoder as Markdown, beside the others.

    Args:
        encoders: The packaged one, then those that it is compared with.
        seeds: Of the screens it is judged on.
        real: Figures on real plates.
        design: Of the screens; None is the demo's.
        folder: Where the packaged weights lie.
        kept: Folder in which vectors are kept.
        workers: Processes.
        progress: Called with the number of plates that are done and their total.

    Raises:
        UsageError: If the first encoder is not a packaged one.
    """
    info = encoders[0]
    if info.weights_origin is not WeightsOrigin.PACKAGED:
        raise UsageError(
            f"a card is written of an encoder that is packaged with the project, but {info.name} is not; put its "
            f"weights into {folder} first"
        )
    scores = compare_encoders(
        encoders,
        design=design or demo_design(),
        seeds=seeds,
        combine=[info.name],
        kept=kept,
        workers=workers,
        progress=progress,
    ).filter(pl.col("profile") != "combined")
    own = scores.filter(pl.col("profile") == info.name)
    simulated = [_simulated(scores, seeds), _differences(scores, info.name), _screens(own)]
    blocks = [_identity(info), _training(info, folder), *simulated]
    return "\n\n".join([*blocks, *([_on_real_plates(real)] if real else []), _limits()]) + "\n"


def _identity(info: EncoderInfo) -> str:
    known = known_encoders()[info.architecture]
    rows = {
        "backbone": f"{info.architecture} of timm, {known.family}",
        "parameters": f"{known.n_parameters:,}",
        "embedding": f"{info.embedding_size} numbers a channel",
        "input": "one stain at a time as a grey image, tiles of any size that the backbone takes",
        "normalization": f"(grey value - {info.mean:g}) / {info.std:g}",
        "licence": info.licence,
        "SHA-256": f"`{info.weights_sha256}`",
    }
    return f"# {info.name}\n\n" + _table(["", ""], [[name, value] for name, value in rows.items()])


def _training(info: EncoderInfo, folder: Path) -> str:
    metadata = weights_metadata(folder / f"{info.architecture}.safetensors")
    recipe = json.dumps(json.loads(metadata["recipe"]), indent=1)
    return f"## Training\n\nOn {metadata['trained_on']}. `hcs lab pretrain` with this recipe:\n\n```json\n{recipe}\n```"


def _simulated(scores: pl.DataFrame, seeds: Sequence[int]) -> str:
    summary = summarize(scores)
    rows = []
    for profile in scores["profile"].unique(maintain_order=True):
        cells = [
            _interval(
                summary.row(by_predicate=(pl.col("profile") == profile) & (pl.col("figure") == figure), named=True)
            )
            if summary.filter((pl.col("profile") == profile) & (pl.col("figure") == figure)).height
            else "-"
            for figure in SHOWN
        ]
        rows.append([profile, *cells])
    listed = ", ".join(map(str, seeds))
    return (
        f"## On simulated screens\n\nThe demo's screen with seeds {listed}: mechanisms, compounds, batches and "
        "microscopes that no training saw. Means with 95 % intervals over the screens; each encoder by itself.\n\n"
        + _table(["encoder", *SHOWN.values()], rows)
    )


def _differences(scores: pl.DataFrame, name: str) -> str:
    found = paired_differences(scores).filter(pl.col("profile") == name)
    rows = [[row["minus"], _interval(row)] for row in found.iter_rows(named=True)]
    return f"NSCB of `{name}` minus that of another on the same screens:\n\n" + _table(["minus", "difference"], rows)


def _screens(scores: pl.DataFrame) -> str:
    rows = [
        [str(row["seed"]), *("-" if row[figure] is None else f"{row[figure]:.3f}" for figure in SHOWN)]
        for row in scores.iter_rows(named=True)
    ]
    return f"`{scores['profile'][0]}` on each screen:\n\n" + _table(["seed", *SHOWN.values()], rows)


def _on_real_plates(real: Real) -> str:
    screen, single, pairs = real
    own = pl.col("profile") != COMBINED  # it depends on what the run combines
    rows = [[row["profile"], _interval(row, "d_prime")] for row in single.filter(own).iter_rows(named=True)]
    against = pairs.filter(own, pl.col("minus").str.ends_with(".untrained"))
    differences = [
        [f"{row['profile']} - {row['minus']}", _interval(row, "difference")] for row in against.iter_rows(named=True)
    ]
    wells = f"{single['n_positive'][0]} positive and {single['n_negative'][0]} negative control wells"
    return (
        f"## On real plates\n\nScreen `{screen}`: d' of {wells}, by scores of wells that were left out, with 95 % "
        "intervals over resampled wells (`hcs lab separate`).\n\n"
        + _table(["profile", "d'"], rows)
        + "\n\n"
        + _table(["difference", "of d'"], differences)
    )


def _limits() -> str:
    return (
        "## Limits\n\nTrained on simulated cells alone: it knows five stains as the simulator draws them, one pixel "
        "size and adherent cells. Judge it on your own controls (`hcs lab separate`) beside `named` and "
        "`.untrained` before you rely on it."
    )


def _interval(row: dict[str, Any], value: str = "mean") -> str:
    if row["low"] is None:
        return f"{row[value]:.3f}"
    return f"{row[value]:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_lines(head, rows))


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
