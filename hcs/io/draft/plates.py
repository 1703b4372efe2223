"""Which plates a delivered folder holds, and how their images are named."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from hcs.errors import DeliveryError, StorageError, StoreUnavailableError, UnreadableImageError
from hcs.io.acceptance.images import read_header
from hcs.io.draft.channels import DraftChannel, draft_channels, instrument_names
from hcs.io.draft.patterns import matched_places, propose_pattern
from hcs.io.layouts import Delivery, find_layout, read_delivery
from hcs.io.layouts.cpg import CpgLayout
from hcs.io.layouts.folder import DeliveryFolder
from hcs.io.layouts.load_data import find_load_data, read_load_data
from hcs.io.storage import join
from hcs.io.template import PlanePlace
from schemas.screen import PlateEntry, ScreenConfig

DEEPEST = 4
"""Folders below the delivery in which plates of their own are looked for."""

_TIMEPOINT = "{timepoint}"


@dataclass(frozen=True)
class DraftPlate:
    """One plate that was found. `pattern` and `channels` are those of the layout `files`; None where nobody can tell.

    `wells` are those with images; `remarks` is what the person who edits should know.
    """

    uri: str
    barcode: str
    layout: str
    wells: tuple[str, ...]
    n_images: int
    batch: str | None = None
    pattern: str | None = None
    channels: tuple[DraftChannel, ...] = ()
    remarks: tuple[str, ...] = ()


def find_plates(folder: DeliveryFolder, *, layout: str) -> tuple[DraftPlate, ...]:
    """Return the plates of a delivered folder.

    Args:
        folder: Its files.
        layout: As in SCREEN.yaml; auto takes cpg where a load_data table names the images, else files.

    Raises:
        DeliveryError: If there are no images, or no load_data table where the layout is cpg.
        UnknownLayoutError: If nobody registered the layout.
    """
    if layout != "auto":
        find_layout(folder.uri, layout)
    if not folder.images:
        raise DeliveryError(
            f"{folder.uri}: expected a delivery with images, got {folder.described()}; name the folder that the "
            "instrument wrote its images into, or one above it"
        )
    if layout == "cpg" or (layout == "auto" and CpgLayout().recognises(folder, pattern=None)):
        return _listed_plates(folder)
    return _with_own_names(folder, tuple(_named_plates(folder)))


def _with_own_names(folder: DeliveryFolder, plates: Sequence[DraftPlate]) -> tuple[DraftPlate, ...]:
    """Return plates with names that SCREEN.yaml takes, each its own: folders of two plates may be called alike."""
    counts = Counter(plate.barcode for plate in plates)
    paths = {plate: plate.uri.removeprefix(f"{folder.uri}/").replace("/", "_") for plate in plates}
    names = [paths[plate] if counts[plate.barcode] > 1 else plate.barcode for plate in plates]
    plain = ["".join(letter for letter in name if letter.isprintable()).lstrip(".")[:100] or "plate" for name in names]
    return tuple(replace(plate, barcode=name) for plate, name in zip(plates, plain, strict=True))


def _listed_plates(folder: DeliveryFolder) -> tuple[DraftPlate, ...]:
    """Return the plates that load_data tables name: the delivery itself, or several inside it."""
    tables = find_load_data(folder, plates=(folder.name, folder.name.partition("__")[0]))
    named = {uri: {image.plate for image in read_load_data(uri) if image.plate is not None} for uri in tables}
    names = sorted(set().union(*named.values()))
    if len(names) <= 1 or not all(uri.startswith(f"{folder.uri}/") for uri in tables):
        return (_listed_plate(_read(folder.uri, None)),)
    read = [_nearest(folder.uri, uri, name) for name in names for uri in tables if name in named[uri]]
    found = {delivery.plate: delivery for delivery in reversed(read) if delivery is not None}
    if not found:
        raise DeliveryError(
            f"{folder.uri}: expected images of the plates {', '.join(names[:10])} that its load_data tables name, got "
            f"{folder.described()} and none of these; name the folder that holds both tables and images"
        )
    return tuple(_listed_plate(found[plate]) for plate in sorted(found))


def _nearest(root: str, table: str, plate: str) -> Delivery | None:
    """Return a plate as it is read from the folder nearest to its table that holds most of its images; None if none do.

    Two plates in one folder may call their images alike: read from above both, none of them could be told apart.
    """
    best = None
    folder = table.rpartition("/")[0]
    while folder.startswith(root):
        try:
            found = _read(folder, plate)
        except DeliveryError:
            found = None
        n_present = 0 if found is None else _present(found).height
        best = found if n_present > (0 if best is None else _present(best).height) else best
        if found is not None and n_present == found.images.height:
            break
        folder = folder.rpartition("/")[0]
    return None if best is None else _closer(best)


def _read(uri: str, barcode: str | None) -> Delivery:
    entry = PlateEntry(uri=uri, barcode=barcode, layout="cpg")
    return read_delivery(entry, ScreenConfig(screen="draft", plates=(entry,)))


def _present(delivery: Delivery) -> pl.DataFrame:
    return pl.DataFrame(delivery.images).filter(pl.col("size_bytes").is_not_null())


def _closer(delivery: Delivery) -> Delivery:
    """Return a plate as it is read from its own folder, where that gives as many images: others are not listed then."""
    folders = {path.rpartition("/")[0] for path in _present(delivery)["relative_path"]}
    own = os.path.commonpath(folders) if folders else ""
    own = own.rpartition("/")[0] if own.rpartition("/")[2].casefold() == "images" else own
    if not own:
        return delivery
    try:
        closer = _read(join(delivery.uri, own), delivery.plate)
    except DeliveryError:
        return delivery
    return closer if _present(closer).height == _present(delivery).height else delivery


def _listed_plate(delivery: Delivery) -> DraftPlate:
    present = _present(delivery)
    missing = delivery.images.height - present.height
    names = ", ".join(delivery.images["channel"].unique().sort())
    remarks = [f"load_data names the channels {names}"]
    remarks += [f"{missing} of the images that load_data names are not there"] if missing else []
    above = delivery.uri.rstrip("/").split("/")[-3:-1]
    return DraftPlate(
        uri=delivery.uri,
        barcode=delivery.plate,
        layout="cpg",
        wells=tuple(present["well"].unique().sort()),
        n_images=present.height,
        batch=above[0] if above[1:] == ["images"] else None,
        remarks=tuple(remarks),
    )


def _named_plates(folder: DeliveryFolder, *, depth: int = 0) -> Iterable[DraftPlate]:
    """Yield the plates whose files one template describes; without one, those of each folder inside by itself."""
    paths = [file.relative_path for file in folder.images]
    pattern = propose_pattern(paths)
    inner = sorted({path.partition("/")[0] for path in paths if "/" in path})
    if pattern is None and len(inner) > 1 and depth < DEEPEST:
        for name in inner:
            yield from _named_plates(_inside(folder, name), depth=depth + 1)
        return
    if pattern is None:
        yield DraftPlate(
            uri=folder.uri,
            barcode=folder.name,
            layout="files",
            wells=(),
            n_images=len(paths),
            remarks=(f"no template was found for names such as {', '.join(paths[:3])}",),
        )
        return
    places = matched_places(pattern, paths)
    instrument = instrument_names(folder)
    by_plate: dict[str, list[PlanePlace]] = defaultdict(list)
    for place in places:
        by_plate[place.plate or folder.name].append(place)
    for plate in sorted(by_plate):
        yield _of_one_timepoint(
            DraftPlate(
                uri=folder.uri,
                barcode=plate,
                layout="files",
                wells=tuple(sorted({place.well for place in by_plate[plate]})),
                n_images=len(by_plate[plate]),
                pattern=pattern,
                channels=tuple(draft_channels(_keys(folder, by_plate[plate]), instrument)),
                remarks=_left_out(paths, places),
            ),
            paths,
        )


def _inside(folder: DeliveryFolder, name: str) -> DeliveryFolder:
    prefix = f"{name}/"
    files = [
        replace(file, relative_path=file.relative_path.removeprefix(prefix))
        for file in folder.files
        if file.relative_path.startswith(prefix)
    ]
    return DeliveryFolder(join(folder.uri, name), tuple(files), ())


def _keys(folder: DeliveryFolder, places: Sequence[PlanePlace]) -> list[str]:
    """Return the channels' keys: from the names, else those that the first image that can be opened has inside."""
    named = sorted({place.channel for place in places if place.channel is not None})
    if named:
        return named
    for file in folder.images[:10]:
        try:
            uri = join(folder.uri, file.relative_path)
            header = read_header(uri, file.size_bytes)
        except StoreUnavailableError:
            raise
        except (UnreadableImageError, StorageError):
            continue
        return sorted(header.channel_names) or [str(number) for number in range(header.n_channels)]
    return ["0"]


def _left_out(paths: Sequence[str], places: Sequence[PlanePlace]) -> tuple[str, ...]:
    n_left = len(paths) - len(places)
    return (f"{n_left} of {len(paths)} images do not fit the pattern and are left out",) if n_left else ()


def _of_one_timepoint(plate: DraftPlate, paths: Sequence[str]) -> DraftPlate:
    """Return the plate at its first time point, if it has several: a plate of a run has one."""
    if plate.pattern is None or _TIMEPOINT not in plate.pattern:
        return plate
    before, _, after = plate.pattern.partition(_TIMEPOINT)
    digits = _texts_of_timepoints(plate.pattern, paths)
    if len(digits) == 1:
        return plate
    pattern = f"{before}{digits[0]}{after}"
    places = [place for place in matched_places(pattern, paths) if place.plate in (None, plate.barcode)]
    remark = (
        f"the time points {', '.join(digits)} were found, and this is the first; describe each other one in a file "
        "of its own"
    )
    return replace(plate, pattern=pattern, n_images=len(places), remarks=(*plate.remarks, remark))


def _texts_of_timepoints(pattern: str, paths: Sequence[str]) -> list[str]:
    """Return the time points as they stand in the names, in order."""
    before = pattern.partition(_TIMEPOINT)[0].rpartition("}")[2]
    texts = {
        text
        for path in paths
        for text in re.findall(re.escape(before) + "([0-9]+)", path)
        if matched_places(pattern.replace(_TIMEPOINT, text), [path])
    }
    return sorted(texts, key=lambda text: (int(text), text))
