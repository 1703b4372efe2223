"""The layout `files`: image files whose names follow one template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from hcs.errors import DeliveryError, PatternError
from hcs.io.layouts.delivery import DeliveredPlane, Delivery, PlaneList, assemble, unused
from hcs.io.layouts.folder import DeliveryFolder
from hcs.io.storage import CHANNEL_MARK, StoredFile
from hcs.io.template import PlanePlace, Template, compile_template
from schemas.screen import PlateEntry

Matched = list[tuple[StoredFile, PlanePlace]]


class FilesLayout:
    """Folders of image files, described by a template such as `{well}_s{site}_w{channel}.tif`."""

    name = "files"

    def recognises(self, folder: DeliveryFolder, *, pattern: str | None) -> bool:
        """Return whether a template was given: without one nothing says what the names mean."""
        return pattern is not None and bool(folder.images)

    def read(
        self, folder: DeliveryFolder, entry: PlateEntry, *, pattern: str | None, channels: Mapping[str, str] | None
    ) -> Delivery:
        """Return the planes of the files whose path under the root fits the template.

        A template without `{channel}` says that one file holds all channels of `channels`; their keys are then the
        names that the file gives them, or their numbers from 0.

        Raises:
            PatternError: If there is no template, or it cannot be understood.
            DeliveryError: If no image fits it, or it names several plates and the barcode is none of them.
        """
        if pattern is None:
            raise PatternError(
                f"{folder.uri}: the layout files expects a filename template; give `pattern` (or --pattern), as in "
                '"{well}_s{site}_w{channel}.tif"'
            )
        template = compile_template(pattern, channels=channels or ())
        keys = _channel_keys(template, channels)
        matched = [(file, place) for file in folder.images if (place := template.match(file.relative_path))]
        if not matched:
            raise DeliveryError(_nothing_fits(template, folder))
        plate, own = _of_one_plate(matched, entry, folder)
        listed = PlaneList(
            plate=plate,
            layout=self.name,
            planes=[plane for file, place in own for plane in _planes(file, place, keys)],
            unrecognised=unused(folder, (file.relative_path for file, _ in matched)),
        )
        return assemble(listed, folder, channels=channels)


def _channel_keys(template: Template, channels: Mapping[str, str] | None) -> Sequence[str]:
    """Return the channels inside each file; none where the file's name says its channel."""
    if "channel" in template.fields:
        return ()
    if not channels:
        raise PatternError(
            f"pattern {template.text!r}: expected {{channel}}, or `channels` with the channels that a file holds, "
            'as in {"0": DNA}'
        )
    return sorted(channels)


def _planes(file: StoredFile, place: PlanePlace, keys: Sequence[str]) -> list[DeliveredPlane]:
    rest = (file.size_bytes, file.witness)
    numbers = (place.z, place.timepoint)
    if place.channel is not None:
        return [DeliveredPlane(place.well, place.site, place.channel, *numbers, file.relative_path, *rest)]
    if len(keys) == 1:
        return [DeliveredPlane(place.well, place.site, keys[0], *numbers, file.relative_path, *rest)]
    path = f"{file.relative_path}{CHANNEL_MARK}"
    return [DeliveredPlane(place.well, place.site, key, *numbers, f"{path}{key}", *rest) for key in keys]


def _of_one_plate(matched: Matched, entry: PlateEntry, folder: DeliveryFolder) -> tuple[str, Matched]:
    """Return the plate's name and its files: a given barcode, else the template's plate, else the folder's name."""
    found = sorted({place.plate for _, place in matched if place.plate is not None})
    if not found:
        return entry.barcode or folder.name, matched
    wanted = entry.barcode or folder.name
    if wanted in found:
        return wanted, [(file, place) for file, place in matched if place.plate == wanted]
    if len(found) == 1:
        return entry.barcode or found[0], matched
    raise DeliveryError(
        f"{folder.uri}: expected one plate, the files are of {len(found)}: {', '.join(found[:10])}"
        f"{', ...' if len(found) > 10 else ''}; give one entry of `plates` for each, with its `barcode`"
    )


def _nothing_fits(template: Template, folder: DeliveryFolder) -> str:
    images = [file.relative_path for file in folder.images]
    if not images:
        return f"{folder.uri}: expected images, got {folder.described()}"
    relaxed = re.compile(template.expression.pattern, re.IGNORECASE)
    sample = images[:1000]
    hint = "compare the two letter by letter"
    if any(relaxed.fullmatch(path) for path in sample):
        hint = "only upper and lower case differ"
    elif any(template.expression.fullmatch(PurePosixPath(path).name) for path in sample):
        hint = "the names fit but the images lie in folders: put the folders before the name, as in {_}/"
    return (
        f"{folder.uri}: none of {len(images):,} images fits the pattern {template.text!r}; the first are "
        f"{', '.join(images[:3])}: {hint}"
    )
