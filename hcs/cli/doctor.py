"""`hcs doctor`: what is here, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from math import ceil
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from hcs import __version__
from hcs.cli.options import CatalogOption, PartsOption
from hcs.cli.output import Format, print_object, print_table, put
from hcs.errors import HcsError
from hcs.settings import Settings, read_settings

LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "tifffile",
    "imagecodecs",
    "polars",
    "pyarrow",
    "sqlalchemy",
    "numpy",
    "scipy",
    "ray",
)
EXTRAS = {
    "bioio": "reads .czi, .nd2, .lif: pip install 'hcs[bioio]'",
    "aicsimageio": "the same by an older library, in an environment of its own: pip install 'hcs[aicsimageio]'",
    "botocore": "reads and writes s3://: pip install 'hcs[s3]'",
    "psycopg": "keeps the catalog on PostgreSQL: pip install 'hcs[postgres]'",
}
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - it is looked at, and nothing is written
OK, MISSING, BROKEN = "ok", "missing", "broken"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    form: Annotated[Format, typer.Option("--format", help="How the report is printed.")] = Format.TABLE,
) -> None:
    """Say which versions, devices and engines are here, what is missing, and how to get it.

    Exit code 0: `hcs run` can work here; 1: something it needs is broken.

    Example: hcs doctor
    """
    settings = read_settings()
    rows = [
        *_libraries(),
        *_extras(),
        *_engine(),
        _ray(),
        *_encoders(settings),
        _packaged(),
        _catalog(catalog or settings.catalog, parts or settings.parts, may_upgrade=settings.upgrade),
        *_disk(catalog or settings.catalog),
    ]
    if form is Format.JSON:
        print_object({"hcs": __version__, "python": platform.python_version(), "checks": rows})
    else:
        put(f"hcs {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
        print_table(pl.DataFrame(rows), form=form)
    raise typer.Exit(1 if any(row["state"] == BROKEN for row in rows) else 0)


def _row(what: str, state: str, detail: str) -> dict[str, Any]:
    return {"what": what, "state": state, "detail": detail}


def _libraries() -> list[dict[str, Any]]:
    rows = []
    for name in LIBRARIES:
        try:
            rows.append(_row(name, OK, metadata.version(name)))
        except metadata.PackageNotFoundError:
            rows.append(_row(name, BROKEN, f"not installed: pip install 'hcs', which needs {name}"))
    return rows


def _extras() -> list[dict[str, Any]]:
    rows = []
    for name, remedy in EXTRAS.items():
        try:
            rows.append(_row(name, OK, metadata.version(name)))
        except metadata.PackageNotFoundError:
            rows.append(_row(name, MISSING, f"optional; {remedy}"))
    return rows


def _engine() -> list[dict[str, Any]]:
    """Describe what computes the embeddings here, and the GPU where there is one."""
    try:
        from hcs.embedding.accelerator import missing_accelerator
        from hcs.embedding.engine import best_device, pin_for

        reason = missing_accelerator()
        pin = pin_for(1, device=best_device())
    except Exception as error:
        return [_row("engine", BROKEN, f"{type(error).__name__}: {error}")]
    cores = len(os.sched_getaffinity(0))
    detail = f"{pin.engine} {pin.precision} on {pin.device} ({pin.instruction_set}), {cores} cores"
    accelerator = (
        _row("accelerator", OK, str(pin.accelerator))
        if reason is None
        else _row("accelerator", MISSING, f"none, units are performed on the CPU: {reason}")
    )
    return [_row("engine", OK, detail), accelerator]


def _encoders(settings: Settings) -> list[dict[str, Any]]:
    """Describe the default encoders and run each on one grey image."""
    import numpy as np

    from hcs.embedding.registry import describe_encoder
    from schemas.screen import ScreenConfig

    rows = []
    for choice in ScreenConfig.model_fields["encoders"].default:
        try:
            info = describe_encoder(choice, settings=settings)
            size = info.embedding_size
            if choice.name != "named":
                from hcs.embedding.loading import load_encoder

                vectors = load_encoder(info).embed(np.zeros((1, 64, 64), np.float32), batch_size=1)
                size = vectors.shape[1]
            rows.append(
                _row(f"encoder {info.name}", OK, f"{size} numbers a channel, weights {info.weights_sha256[:12]}")
            )
        except Exception as error:
            rows.append(_row(f"encoder {choice.name}", BROKEN, f"{type(error).__name__}: {error}"))
    return rows


def _packaged() -> dict[str, Any]:
    """Look whether the weights that come with the project are those that were recorded."""
    what = "packaged weights"
    try:
        from hcs.embedding.names import parse_name
        from hcs.embedding.weights import packaged_encoders, packaged_weights

        names = packaged_encoders()
        for name in names:
            packaged_weights(parse_name(name).architecture)
    except Exception as error:
        return _row(what, BROKEN, f"{type(error).__name__}: {error}")
    if not names:
        return _row(what, MISSING, "this version has none; `hcs encoders list` names what it can use")
    return _row(what, OK, f"{', '.join(names)}, each with its recorded SHA-256")


def _ray() -> dict[str, Any]:
    """Import Ray, and look whether its processes have the memory that they share."""
    try:
        from hcs.distributed.cluster import OBJECT_STORE_BYTES
    except Exception as error:
        return _row("executor ray", BROKEN, f"{type(error).__name__}: {error}")
    return shared_memory(SHARED_MEMORY, needed_mb=ceil(OBJECT_STORE_BYTES / 1e6))


def shared_memory(folder: Path, *, needed_mb: int) -> dict[str, Any]:
    """Return the row on the memory that the processes of Ray share; `hcs run` works without it on the other executor.

    Args:
        folder: Where the system has it, if it has any.
        needed_mb: What should be free there.
    """
    if not folder.is_dir():
        remedy = f"mount -t tmpfs tmpfs {folder}"
        return _row("shared memory", MISSING, f"no {folder}, without which Ray does not start on Linux: {remedy}")
    free = shutil.disk_usage(folder).free / 1e6
    if free >= needed_mb:
        return _row("shared memory", OK, f"{free:.0f} MB free at {folder}")
    remedy = f"mount -o remount,size=1g {folder}, or for a container docker run --shm-size=1g"
    detail = (
        f"{free:.0f} MB free at {folder}; Ray takes {needed_mb} MB there, else of the disk, which is slower: {remedy}"
    )
    return _row("shared memory", MISSING, detail)


def _catalog(url: str, parts: str | None, *, may_upgrade: bool) -> dict[str, Any]:
    from hcs.catalog import list_runs, open_catalog
    from hcs.errors import NotFoundError

    try:
        with open_catalog(url, parts_uri=parts, create=False, may_upgrade=may_upgrade) as store:
            return _row("catalog", OK, f"{store.location}: {list_runs(store).height} runs")
    except NotFoundError as error:
        if "://" in url and not url.startswith("sqlite:"):  # of a server, the message hides the password
            return _row("catalog", MISSING, str(error))
        return _row("catalog", OK, f"none at {url} yet: the first `hcs run` makes it")
    except HcsError as error:
        return _row("catalog", BROKEN, str(error))


def _disk(url: str) -> list[dict[str, Any]]:
    """Free space where an SQLite catalog lies or will lie; of a server's disk nothing is known here."""
    if "://" in url and not url.startswith("sqlite:"):
        return []
    folder = Path(url.removeprefix("sqlite:///")).absolute()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    return [_row("disk", OK if free > 1 else BROKEN, f"{free:.1f} GB free at {folder}")]
