"""The tables that lie in or beside a delivery: what was done to the wells, and what is known of perturbations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from hcs.errors import PlatemapError, StorageError
from hcs.io.delimited import LINE
from hcs.io.layouts.folder import DeliveryFolder
from hcs.io.platemaps import read_plate_wells
from hcs.io.platemaps.maps import read_text_table
from hcs.io.platemaps.spelling import columns_by_role
from hcs.io.storage import StoredFile, join, list_files, list_names
from schemas.screen import PlateEntry, ScreenConfig

MAX_TABLE_BYTES = 20 << 20
MOST_TABLES = 200
SHOWN = 5
"""Names of perturbations that are offered as negative controls, the most frequent first."""

KINDS = ("map", "platemap", "facts", "wells", "results")
"""Of tables: a barcode map, a platemap, facts of perturbations, wells of which nothing is said, and our own results."""

_ENDING = re.compile(r".*\.(csv|tsv|txt)(\.gz)?", re.IGNORECASE)
_LOAD_DATA = re.compile(r"load_data.*", re.IGNORECASE)
_IN_A_BATCH = re.compile(r"(?P<above>.*?)/(?:images/)?(?P<batch>[^/]+)/images/[^/]+/?")
_FACTS = ("mechanism", "smiles", "inchikey")
_RESULTS = {"q_value", "is_hit", "mean_average_precision", "mechanism_source"}
"""Columns of `hcs hits` and the API: what it predicted must not come back as what is known."""


@dataclass(frozen=True)
class DraftTables:
    """What SCREEN.yaml can say of tables.

    `platemaps` is None where none was found, or where nobody can tell which is whose; then `remarks` names them.
    `n_negcon` and `n_poscon` count delivered wells; `frequent` are the perturbations to choose negative controls from.
    """

    platemaps: tuple[str, ...] | None
    annotations: tuple[str, ...] | None
    n_negcon: int
    n_poscon: int
    frequent: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Table:
    uri: str
    kind: str
    columns: tuple[str, ...]


def find_tables(folder: DeliveryFolder, *, wells: dict[str, tuple[str, ...]], uris: Sequence[str]) -> DraftTables:
    """Return the tables of a delivery.

    Args:
        folder: The delivery.
        wells: Plate -> wells with images.
        uris: Where the plates lie.
    """
    tables = [table for uri in _candidates(folder, uris) if (table := _classified(uri)) is not None]
    of_kind = {kind: [table for table in tables if table.kind == kind] for kind in KINDS}

    def short(text: str) -> str:
        return text.replace(f"{folder.uri}/", "")

    remarks = [
        f"{short(table.uri)} has wells, but no column that says what was done to them; call it `perturbation`. It has "
        f"{', '.join(table.columns[:10])}."
        for table in of_kind["wells"]
    ]
    remarks += [
        f"{short(table.uri)} holds results ({', '.join(sorted(_RESULTS & set(table.columns)))}), and is left out: an "
        "annotation says what was known before."
        for table in of_kind["results"]
    ]
    annotations = tuple(table.uri for table in of_kind["facts"]) or None
    chosen = tuple(table.uri for table in of_kind["map"] or of_kind["platemap"])
    if not chosen:
        return DraftTables(None, annotations, 0, 0, (), tuple(remarks))
    try:
        described = _described(chosen, annotations, wells)
    except PlatemapError as error:
        return DraftTables(None, annotations, 0, 0, (), (*remarks, short(f"{', '.join(chosen)}: {error}")))
    if described.is_empty():
        unfit = short(f"{', '.join(chosen)}: none of the delivered wells is described there")
        return DraftTables(None, annotations, 0, 0, (), (*remarks, unfit))
    kinds = described["control_type"].cast(pl.String).to_list()
    treated = described.filter(pl.col("control_type") == "treatment")
    counts = treated["perturbation"].value_counts().sort("count", "perturbation", descending=[True, False])
    frequent = tuple(f"{name} ({count} wells)" for name, count in counts.head(SHOWN).iter_rows())
    return DraftTables(chosen, annotations, kinds.count("negcon"), kinds.count("poscon"), frequent, tuple(remarks))


def _described(
    platemaps: tuple[str, ...], annotations: tuple[str, ...] | None, wells: dict[str, tuple[str, ...]]
) -> pl.DataFrame:
    """Return what is said of the delivered wells."""
    entries = tuple(PlateEntry(uri=plate, barcode=plate) for plate in wells)
    config = ScreenConfig(screen="draft", plates=entries, platemaps=platemaps, annotations=annotations)
    delivered = [(plate, well) for plate, own in wells.items() for well in own]
    places = pl.DataFrame(delivered, schema={"plate": pl.String, "well": pl.String}, orient="row")
    return pl.DataFrame(read_plate_wells(config, list(wells))).join(places, on=["plate", "well"], how="semi")


def _candidates(folder: DeliveryFolder, uris: Sequence[str]) -> list[str]:
    """Return the text tables in a delivery, else directly beside it, and those of the batches of a gallery."""
    inside = _joined(folder.uri, folder.files)
    above, _, _ = folder.uri.rstrip("/").rpartition("/")
    beside = _files_in(above) if above and not above.endswith(":/") else []
    found = [*inside, *beside, *(uri for plate in uris for uri in _of_batch(plate))]
    return list(dict.fromkeys(found))[:MOST_TABLES]


def _is_table(name: str) -> bool:
    return not name.startswith((".", "\\")) and bool(_ENDING.fullmatch(name)) and not _LOAD_DATA.fullmatch(name)


def _of_batch(uri: str) -> Iterable[str]:
    """Yield what lies in the folders in which a gallery keeps the platemaps of a batch."""
    match = _IN_A_BATCH.fullmatch(uri)
    if match is None:
        return
    for folder in (f"{match['above']}/metadata", f"{match['above']}/workspace/metadata"):
        yield from _files_in(folder)
        for inner in (match["batch"], f"platemaps/{match['batch']}"):
            yield from _files_under(f"{folder}/{inner}")


def _files_in(folder: str) -> list[str]:
    try:
        return [join(folder, name) for name in list_names(folder) if _is_table(name)]
    except StorageError:  # what lies around a delivery need not be there, nor be open to its reader
        return []


def _files_under(folder: str) -> list[str]:
    try:
        return _joined(folder, list_files(folder))
    except StorageError:
        return []


def _joined(folder: str, files: Iterable[StoredFile]) -> list[str]:
    paths = [file.relative_path for file in files if file.size_bytes <= MAX_TABLE_BYTES]
    return [join(folder, path) for path in paths if _is_table(path.rpartition("/")[2])]


def _classified(uri: str) -> _Table | None:
    """Return what a table is, one of `KINDS`; None where it is none of them, or has no rows."""
    try:
        table = read_text_table(uri, what="a table")
    except PlatemapError:
        return None
    if table.is_empty():
        return None
    columns = tuple(name for name in table.columns if name != LINE)
    if _RESULTS & set(columns):
        return _Table(uri, "results", columns)
    roles = columns_by_role(columns)
    has_wells = "well" in roles or {"row", "column"} <= set(roles)
    is_told = any(role in roles for role in ("perturbation", "control_type", "pert_type"))
    if "plate_map_name" in roles and not has_wells:
        return _Table(uri, "map", columns)
    if has_wells:
        return _Table(uri, "platemap" if is_told else "wells", columns)
    has_facts = ("perturbation" in roles or "name" in roles) and any(fact in roles for fact in _FACTS)
    return _Table(uri, "facts", columns) if has_facts else None
