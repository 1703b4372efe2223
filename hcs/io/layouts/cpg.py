"""The layout `cpg`: a load_data.csv names the images, as in the Cell Painting Gallery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hcs.errors import DeliveryError
from hcs.io.layouts.delivery import DeliveredPlane, Delivery, PlaneList, assemble, unused
from hcs.io.layouts.folder import DeliveryFolder
from hcs.io.layouts.load_data import ListedImage, find_load_data, read_load_data
from hcs.io.layouts.relocate import FolderMatch, match_folders
from hcs.io.storage import StoredFile
from schemas.acceptance import Finding, FindingKind, Severity
from schemas.screen import PlateEntry


class CpgLayout:
    """CellProfiler LoadData tables, inside the delivery or beside it."""

    name = "cpg"

    def recognises(self, folder: DeliveryFolder, *, pattern: str | None) -> bool:
        """Return whether there is a load_data table: any inside the delivery, beside it one that names its images."""
        del pattern
        tables = find_load_data(folder, plates=(folder.name,))
        return any(uri.startswith(f"{folder.uri}/") for uri in tables) or _names_its_images(tables, folder)

    def read(
        self, folder: DeliveryFolder, entry: PlateEntry, *, pattern: str | None, channels: Mapping[str, str] | None
    ) -> Delivery:
        """Return the planes that the load_data tables list; what they list and nobody delivered has no size.

        Raises:
            DeliveryError: If there is no table, it cannot be read, or it names several plates and the barcode is none.
        """
        del pattern
        names = _plate_names(folder, entry)
        tables = find_load_data(folder, plates=names)
        if not tables:
            raise DeliveryError(
                f"{folder.uri}: expected a load_data.csv inside the delivery or beside it, got {folder.described()}"
            )
        listed = [image for uri in tables for image in read_load_data(uri)]
        plate, own = _of_one_plate(listed, names, entry, folder)
        files = {file.relative_path: file for file in folder.images}
        matches = match_folders((image.file for image in listed), files, root=folder.uri)
        planes = [_plane(image, matches, files) for image in own]
        used = {_path(image, matches) for image in listed} | {uri.removeprefix(f"{folder.uri}/") for uri in tables}
        result = PlaneList(
            plate=plate,
            layout=self.name,
            planes=planes,
            unrecognised=unused(folder, used),
            findings=_relocations(own, matches),
        )
        return assemble(result, folder, channels=channels)


def _names_its_images(tables: Sequence[str], folder: DeliveryFolder) -> bool:
    delivered = {file.relative_path.rpartition("/")[2] for file in folder.images}
    for uri in tables:
        try:
            listed = read_load_data(uri)
        except DeliveryError:  # of something else that only lies nearby
            continue
        if any(image.file.name in delivered for image in listed):
            return True
    return False


def _plate_names(folder: DeliveryFolder, entry: PlateEntry) -> tuple[str, ...]:
    """Return what the plate may be called: the barcode, else the folder's name and its part before `__`."""
    return (entry.barcode,) if entry.barcode else (folder.name, folder.name.partition("__")[0])


def _of_one_plate(
    listed: Sequence[ListedImage], names: Sequence[str], entry: PlateEntry, folder: DeliveryFolder
) -> tuple[str, list[ListedImage]]:
    """Return the plate's name and its images; the full name of a plate is its barcode, `__` and a measurement."""
    found = sorted({image.plate for image in listed if image.plate is not None})
    wanted = [plate for plate in found if plate in names or plate.partition("__")[0] in names]
    if len(wanted) == 1:
        return entry.barcode or wanted[0], [image for image in listed if image.plate == wanted[0]]
    if len(found) <= 1:
        return entry.barcode or (found[0] if found else names[-1]), list(listed)
    raise DeliveryError(
        f"{folder.uri}: expected the plate {' or '.join(dict.fromkeys(names))}, load_data names {len(found)} plates "
        f"({', '.join(found[:10])}{', ...' if len(found) > 10 else ''}) of which {len(wanted)} fit; give its `barcode`"
    )


def _path(image: ListedImage, matches: Mapping[tuple[str, ...], FolderMatch]) -> str:
    """Return the path under the root that an image has, or would have."""
    match = matches.get(image.file.folder)
    parts = image.file.folder if match is None else ((match.folder,) if match.folder else ())
    return "/".join((*parts, image.file.name))


def _plane(
    image: ListedImage, matches: Mapping[tuple[str, ...], FolderMatch], files: Mapping[str, StoredFile]
) -> DeliveredPlane:
    path = _path(image, matches)
    file = files.get(path) if image.file.folder in matches else None
    size, witness = (None, None) if file is None else (file.size_bytes, file.witness)
    return DeliveredPlane(image.well, image.site, image.channel, image.z, image.timepoint, path, size, witness)


def _relocations(images: Iterable[ListedImage], matches: Mapping[tuple[str, ...], FolderMatch]) -> tuple[Finding, ...]:
    """Say where images were found in folders of other names than the table's: a person should look once."""
    declared = dict.fromkeys(image.file.folder for image in images)
    moved = [
        f"{'/'.join(folder) or '.'} -> {match.folder or '.'}"
        for folder in declared
        if (match := matches.get(folder)) is not None and match.n_agreeing < match.n_parts
    ]
    if not moved:
        return ()
    return (
        Finding(
            kind=FindingKind.IMAGES_RELOCATED,
            severity=Severity.NOTE,
            place="load_data",
            count=len(moved),
            examples=tuple(moved[:3]),
            consequence="The images lie in folders that load_data calls otherwise; check that they are this plate's.",
        ),
    )
