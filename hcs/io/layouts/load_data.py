"""CellProfiler's load_data.csv: one row a site, one file a channel.

The columns are `FileName_Orig<Channel>` and `PathName_Orig<Channel>`, or `URL_Orig<Channel>`, beside `Metadata_Plate`,
`Metadata_Well` (or `Metadata_Row` and `Metadata_Col`) and `Metadata_Site`. `load_data_with_illum.csv` adds illumination
functions, which are not read. (Cell Painting Gallery, documentation/data_structure.md; CellProfiler, LoadData.)
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from hcs.errors import DeliveryError, InputRejectedError, StorageError, StoreUnavailableError
from hcs.io.delimited import LINE, read_delimited
from hcs.io.layouts.folder import DeliveryFolder
from hcs.io.layouts.relocate import DeclaredFile, declared_file, declared_url
from hcs.io.storage import join, list_files, list_names, read_bytes
from hcs.io.wells import well_at, well_name

_NAME = re.compile(r"load_data.*\.csv(\.gz)?", re.IGNORECASE)
_IMAGE_COLUMN = re.compile(r"(?:Image_)?(FileName|PathName|URL)_(.+)")
_WHOLE_NUMBER = re.compile(r"([0-9]{1,9})(?:\.0*)?")
_METADATA = {
    "plate": ("plate", "assay_plate_barcode", "barcode"),
    "well": ("well", "cpd_well_position", "well_position", "wellid"),
    "row": ("row",),
    "column": ("col", "column"),
    "site": ("site", "fieldid", "field", "fov"),
    "z": ("planeid", "z", "zplane"),
    "timepoint": ("timepointid", "timepoint"),
}
_KNOWN = frozenset(alias for aliases in _METADATA.values() for alias in aliases)


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image of a load_data table, as it names it."""

    plate: str | None
    well: str
    site: int
    channel: str
    z: int
    timepoint: int
    file: DeclaredFile


def find_load_data(folder: DeliveryFolder, *, plates: Sequence[str]) -> list[str]:
    """Return the URIs of the load_data tables of a delivery: inside it, else beside it, else in a gallery's workspace.

    Of a folder with a plain `load_data.csv` only that one is taken. Where several lie beside the delivery in folders of
    plates, those of the plates asked for are taken.

    Args:
        folder: The delivery.
        plates: Names that the plate may have.
    """
    inside = [file.relative_path for file in folder.files if _NAME.fullmatch(file.relative_path.rpartition("/")[2])]
    if inside:
        return [join(folder.uri, path) for path in _plain_ones(inside)]
    parent, _, _ = folder.uri.rstrip("/").rpartition("/")
    if not parent or parent.endswith(":/"):
        return []
    found = _tables_beside(parent) or _tables_in_workspace(folder.uri)
    named = [uri for uri in found if set(uri.split("/")) & set(plates)]
    return named or found


def _plain_ones(paths: Iterable[str]) -> list[str]:
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        by_folder[path.rpartition("/")[0]].append(path)
    plain = ("load_data.csv", "load_data.csv.gz")
    return [
        path
        for _, members in sorted(by_folder.items())
        for path in ([item for item in members if item.rpartition("/")[2].casefold() in plain][:1] or members)
    ]


def _tables_beside(parent: str) -> list[str]:
    names = _names(parent)
    files = [f"{parent}/{name}" for name in names if _NAME.fullmatch(name)]
    folders = [
        f"{parent}/{name.rstrip('/')}" for name in names if name.casefold().startswith("load_data") and "/" in name
    ]
    inside = [uri for path in folders for uri in _tables_under(path)]
    return _plain_ones([*files, *inside])


def _tables_in_workspace(uri: str) -> list[str]:
    """Return the tables of `<source>/workspace/load_data_csv/<batch>/` for `<source>/images/<batch>/images/<plate>`."""
    match = re.fullmatch(r"(.*)/images/([^/]+)/images/[^/]+/?", uri)
    return [] if match is None else _plain_ones(_tables_under(f"{match[1]}/workspace/load_data_csv/{match[2]}"))


def _tables_under(folder: str) -> list[str]:
    try:
        listed = list(list_files(folder))
    except StorageError:  # there is no such folder
        return []
    return [
        f"{folder}/{file.relative_path}" for file in listed if _NAME.fullmatch(file.relative_path.rpartition("/")[2])
    ]


def _names(folder: str) -> tuple[str, ...]:
    try:
        return list_names(folder)
    except StorageError:  # what lies above a delivery need not be open to its reader
        return ()


def read_load_data(uri: str) -> list[ListedImage]:
    """Return the images of one load_data table, in its order.

    Raises:
        DeliveryError: If it is not such a table, or rows name no well or no site; the lines are listed.
    """
    try:
        table = read_delimited(read_bytes(uri), source=uri, keep=_is_wanted, with_line=True)
    except StoreUnavailableError:
        raise
    except (StorageError, InputRejectedError) as error:
        raise DeliveryError(str(error)) from error
    columns = {name: _column_of(table, aliases) for name, aliases in _METADATA.items()}
    channels = _channel_columns(table.columns)
    if not channels or (columns["well"] is None and not (columns["row"] and columns["column"])):
        raise DeliveryError(
            f"{uri}: expected Metadata_Well (or Metadata_Row and Metadata_Col) and FileName_Orig<Channel> with "
            f"PathName_Orig<Channel>, got the columns {', '.join(table.columns[:-1]) or 'none of them'}"
        )
    places = _places(table, columns, uri)
    return [
        ListedImage(*place, channel, *planes, file)
        for row, (place, planes) in zip(table.iter_rows(named=True), places, strict=True)
        for channel, own in channels.items()
        if (file := _declared(row, own)) is not None
    ]


def _is_wanted(name: str) -> bool:
    return _IMAGE_COLUMN.fullmatch(name) is not None or _plain(name) in _KNOWN


def _plain(name: str) -> str:
    return name.casefold().removeprefix("image_").removeprefix("metadata_")


def _column_of(table: pl.DataFrame, aliases: Sequence[str]) -> str | None:
    names = {_plain(name): name for name in reversed(table.columns)}
    return next((names[alias] for alias in aliases if alias in names), None)


def _channel_columns(columns: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return channel -> {FileName, PathName, URL -> column}: those that begin with Orig, else all that are no Illum."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for column in columns:
        if match := _IMAGE_COLUMN.fullmatch(column):
            found[match[2]][match[1]] = column
    usable = {name: own for name, own in found.items() if "FileName" in own or "URL" in own}
    originals = {name.removeprefix("Orig"): own for name, own in usable.items() if name.startswith("Orig") and name[4:]}
    return originals or {name: own for name, own in usable.items() if not name.startswith("Illum")}


def _declared(row: dict[str, str | None], own: dict[str, str]) -> DeclaredFile | None:
    name = row[own["FileName"]] if "FileName" in own else None
    if name is not None:
        return declared_file((row[own["PathName"]] or "") if "PathName" in own else "", name)
    url = row[own["URL"]] if "URL" in own else None
    return None if url is None else declared_url(url)


def _places(
    table: pl.DataFrame, columns: dict[str, str | None], uri: str
) -> list[tuple[tuple[str | None, str, int], tuple[int, int]]]:
    """Return ((plate, well, site), (z, timepoint)) of every row."""
    wrong: list[str] = []
    places = []
    wells: dict[tuple[str, ...], str] = {}
    for row in table.iter_rows(named=True):
        try:
            well = _well_of(row, columns, wells)
            site, z, timepoint = (_number_of(row, columns[name], name) for name in ("site", "z", "timepoint"))
        except InputRejectedError as error:
            wrong.append(f"line {row[LINE]}: {error}")
            continue
        plate = columns["plate"] and row[columns["plate"]]
        places.append(((plate or None, well, site), (z, timepoint)))
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise DeliveryError(f"{uri}: {len(wrong)} rows cannot be used: {'; '.join(wrong[:5])}{more}; correct the table")
    return places


def _well_of(row: dict[str, str | None], columns: dict[str, str | None], known: dict[tuple[str, ...], str]) -> str:
    names = [columns["well"]] if columns["well"] else [columns["row"], columns["column"]]
    key = tuple((name and row[name]) or "" for name in names)
    if key not in known:
        make: Callable[..., str] = well_name if len(key) == 1 else well_at
        known[key] = make(*key)
    return known[key]


def _number_of(row: dict[str, str | None], column: str | None, name: str) -> int:
    if column is None:
        return 1
    text = row[column] or ""
    match = _WHOLE_NUMBER.fullmatch(text)
    if match is None:
        raise InputRejectedError(f"expected a whole number as {name}, got {text!r}")
    return int(match[1])
