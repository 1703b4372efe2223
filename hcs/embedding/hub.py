"""timm's weights on the Hugging Face hub: what its cache on this machine holds, and the download of one file."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from hcs.errors import StorageError, WeightsError

HUB = "https://huggingface.co"
FILE = "model.safetensors"
"""The name of the weights in every repository of timm."""

TIMEOUT_SECONDS = 30


def weights_url(repository: str, *, hub: str = HUB) -> str:
    """Return where the hub keeps the weights of a repository, as `timm/pvt_v2_b0.in1k`."""
    return f"{hub}/{repository}/resolve/main/{FILE}"


def find_in_hub_cache(repository: str, *, cache: Path | None = None) -> Path | None:
    """Return the weights of a repository as the hub's own cache holds them, or None.

    Args:
        repository: As `timm/pvt_v2_b0.in1k`.
        cache: Folder of the cache; None is the one that every tool of the hub uses on this machine.
    """
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  # a third of a second that most calls save

    found = try_to_load_from_cache(repository, FILE, cache_dir=cache)
    return Path(found) if isinstance(found, str) else None


def download_weights(repository: str, target: Path, *, check: Callable[[Path], None], hub: str = HUB) -> None:
    """Write the weights of a repository to a file, which appears complete or not at all.

    Args:
        repository: As `timm/pvt_v2_b0.in1k`.
        target: The file; its folder is made.
        check: Raises `WeightsError` for a download that is not what it should be; it is then thrown away.
        hub: Where the hub is.

    Raises:
        WeightsError: If the hub cannot be reached or does not hold the file.
        StorageError: If the folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".download-", dir=target.parent)
    except OSError as error:
        raise StorageError(
            f"weights are kept in {target.parent}, but nothing can be written there ({error}); "
            "set HCS_WEIGHTS_CACHE to a folder that is yours"
        ) from error
    try:
        partial = Path(folder, target.name)
        _fetch(weights_url(repository, hub=hub), partial)
        check(partial)
        os.replace(partial, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fetch(url: str, target: Path) -> None:
    try:
        with urlopen(url, timeout=TIMEOUT_SECONDS) as response, target.open("wb") as file:  # noqa: S310  # https above
            shutil.copyfileobj(response, file)
    except (OSError, HTTPException) as error:
        raise WeightsError(f"{url} could not be downloaded ({error})") from error
