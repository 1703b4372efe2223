"""Files of weights: where they are looked for, what they must be, and the hash that names them.

Only safetensors are read. A pickle runs what lies in it, so that none is opened, whatever it is called.

The hashes of the packaged ones are recorded beside them, by `sha256sum *.safetensors > SHA256SUMS` in their folder, so
that a damaged installation is seen before it computes anything.
"""

from __future__ import annotations

import hashlib
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from hcs.embedding.hub import download_weights, find_in_hub_cache, weights_url
from hcs.errors import WeightsError
from hcs.settings import Settings
from schemas.encoders import EncoderInfo, WeightsOrigin

PACKAGED = Path(__file__).with_name("weights")
"""Where weights lie that come with the project, as `ARCHITECTURE.safetensors`."""

RECORD = "SHA256SUMS"
"""Beside the packaged weights: the hash of each, in the format of sha256sum."""

ENDING = ".safetensors"
PICKLES = (b"PK\x03\x04", b"\x80", b"(", b"c__", b"\x1f\x8b")
"""First bytes of torch's zip files, of pickles, and of compressed ones."""


@dataclass(frozen=True)
class FoundWeights:
    """A file of weights that was found, checked and hashed."""

    path: Path
    origin: WeightsOrigin
    sha256: str


def packaged_encoders(folder: Path = PACKAGED) -> tuple[str, ...]:
    """Return the names of the encoders whose weights come with the project, sorted; also of files that got lost.

    Raises:
        WeightsError: If the record of their hashes cannot be read.
    """
    files = {file.name for file in folder.glob(f"*{ENDING}")} | set(recorded_hashes(folder))
    return tuple(sorted(f"{file.removesuffix(ENDING)}.hcs" for file in files))


def recorded_hashes(folder: Path = PACKAGED) -> dict[str, str]:
    """Return the SHA-256 that each packaged file of weights must have, by the file's name; none without a record.

    Raises:
        WeightsError: If the record cannot be read.
    """
    record = folder / RECORD
    try:
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"hashes of weights were expected in {record}, but it cannot be read ({error})") from error
    fields = [re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line) for line in lines]
    for number, (line, match) in enumerate(zip(lines, fields, strict=True), start=1):
        if match is None:
            raise WeightsError(
                f"{record}: expected a SHA-256 and the name of a file in line {number}, as sha256sum writes them, but "
                f"got {line[:80]!r}; {_REINSTALL}"
            )
    return {match[2]: match[1] for match in fields if match and match[2].endswith(ENDING)}


def explicit_weights(file: str) -> FoundWeights:
    """Return the weights in a file that somebody named.

    Raises:
        WeightsError: If there is no such file on this machine, or it is not a complete safetensors file.
    """
    if not file.strip():
        raise WeightsError("weights are read from a safetensors file, but its name is empty; name one, or leave it out")
    if "://" in file:
        raise WeightsError(f"weights are read from a file on this machine, but {file} was given; download it first")
    return _found(Path(file).expanduser().absolute(), WeightsOrigin.FILE)


def packaged_weights(architecture: str, *, folder: Path = PACKAGED) -> FoundWeights:
    """Return the weights of a backbone that come with the project.

    Raises:
        WeightsError: If the file is missing or no complete safetensors file, or is not the one that was recorded.
    """
    try:
        found = _found(folder / f"{architecture}{ENDING}", WeightsOrigin.PACKAGED)
    except WeightsError as error:
        raise WeightsError(f"{error}; this file comes with the project: {_REINSTALL}") from error
    _check_record(found.path, found.sha256)
    return found


def _check_record(path: Path, sha256: str) -> None:
    """Return if a packaged file has the hash that was recorded for it."""
    expected = recorded_hashes(path.parent).get(path.name)
    if expected is None:
        raise WeightsError(
            f"the packaged weights {path} have the SHA-256 {sha256}, but {RECORD} beside them has no line on "
            f"{path.name}: nobody vouches for them; name a file of your own with `weights`, or {_REINSTALL}"
        )
    if sha256 != expected:
        raise WeightsError(
            f"the packaged weights {path} were expected to have the SHA-256 {expected} that {RECORD} beside them "
            f"records, but have {sha256}: they were damaged or exchanged; {_REINSTALL}"
        )


def timm_weights(name: str, hub: str | None, *, settings: Settings, hub_cache: Path | None = None) -> FoundWeights:
    """Return timm's own weights: of the local cache, else of the hub's cache, else downloaded into the local cache.

    Args:
        name: The encoder's name, with its tag if one was given.
        hub: Repository of the weights, as `timm/pvt_v2_b0.in1k`; None where timm has none as safetensors.
        settings: Names the local cache, and says whether the hub may be asked.
        hub_cache: Folder of the hub's cache; None is the one of this machine.

    Raises:
        WeightsError: If they are in neither cache and the hub may not be asked, has none or cannot be reached.
    """
    found = find_timm_weights(name, hub, settings=settings, hub_cache=hub_cache)
    if found is not None:
        return found
    kept = kept_path(name, settings=settings)
    if hub is None:
        raise _not_found(name, kept, reason="timm's hub has none as safetensors")
    if settings.offline:
        raise _not_found(name, kept, reason=f"HCS_OFFLINE forbids to download {weights_url(hub)}")
    try:
        download_weights(hub, kept, check=check_safetensors)
    except WeightsError as error:
        raise _not_found(name, kept, reason=str(error)) from error
    return _found(kept, WeightsOrigin.HUB)


def find_timm_weights(
    name: str, hub: str | None, *, settings: Settings, hub_cache: Path | None = None
) -> FoundWeights | None:
    """Return timm's own weights if they are on this machine; nothing is downloaded. Arguments as `timm_weights`.

    Raises:
        WeightsError: If they are there, but are no complete safetensors file.
    """
    kept = kept_path(name, settings=settings)
    if kept.is_file():
        return _found(kept, WeightsOrigin.CACHE)
    cached = find_in_hub_cache(hub, cache=hub_cache) if hub else None
    return _found(cached, WeightsOrigin.CACHE) if cached else None


def kept_path(name: str, *, settings: Settings) -> Path:
    """Return where timm's own weights are kept once they were downloaded, or put there by hand."""
    return settings.weights_cache.expanduser() / f"{name}{ENDING}"


def _not_found(name: str, kept: Path, *, reason: str) -> WeightsError:
    return WeightsError(
        f"the weights of {name} are neither at {kept} nor in the Hugging Face cache, and {reason}; "
        f"put them at the first path as a safetensors file, name a file in SCREEN.yaml as "
        f"{{name: {name}, weights: FILE{ENDING}}}, or ask for {name.partition('.')[0]}.untrained"
    )


def _found(path: Path, origin: WeightsOrigin) -> FoundWeights:
    check_safetensors(path)
    with path.open("rb") as file:
        return FoundWeights(path=path, origin=origin, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def check_safetensors(path: Path) -> None:
    """Return if a file is a complete safetensors file; its numbers are not looked at.

    Raises:
        WeightsError: If it is missing, cannot be read, is a pickle, is torn, or is something else.
    """
    if path.suffix != ENDING:
        raise WeightsError(f"weights are read from {ENDING} files only, but {path} was given; {_CONVERT}")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise WeightsError(f"weights were expected in {path}, but it is no ordinary file; name one")
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"weights were expected in {path}, but it cannot be read ({error})") from error
    if start.startswith(PICKLES) and start[8:] != b"{":
        raise WeightsError(f"{path} is called {ENDING} but holds a pickle, which is never opened; {_CONVERT}")
    try:
        with safe_open(path, framework="np"):
            pass
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is not a complete safetensors file ({error}); it may have been cut off: fetch it again"
        ) from error


_CONVERT = "write the state with safetensors.torch.save_file where you trust it"
_REINSTALL = "install hcs again, as with pip install --force-reinstall hcs"


def weights_metadata(path: Path) -> dict[str, str]:
    """Return what the header of a safetensors file says besides its tensors, empty if it says nothing.

    Raises:
        WeightsError: If it is not a complete safetensors file.
    """
    check_safetensors(path)
    with safe_open(path, framework="np") as file:
        return dict(file.metadata() or {})


def read_weights(info: EncoderInfo, *, folder: Path = PACKAGED) -> bytes:
    """Return the content of the file that an encoder was described with.

    Raises:
        WeightsError: If the file is gone, or holds something else than when it was described, or than was recorded.
    """
    packaged = info.weights_origin is WeightsOrigin.PACKAGED  # lies elsewhere in every installation
    path = folder / f"{info.architecture}{ENDING}" if packaged else Path(info.weights_uri or "")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"the weights of {info.name} were at {path}, but cannot be read ({error})") from error
    found = hashlib.sha256(content).hexdigest()
    if packaged:
        _check_record(path, found)
    if found != info.weights_sha256:
        raise WeightsError(
            f"the weights of {info.name} at {path} changed: the run was described with SHA-256 {info.weights_sha256}, "
            f"and the file now has {found}; put the old file back, or start a new run"
        )
    return content
