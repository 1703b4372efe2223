"""Which platemap belongs to which plate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from hcs.errors import PlatemapError
from hcs.io.delimited import LINE
from hcs.io.platemaps.maps import SCHEMA, parse_platemap, read_text_table
from hcs.io.platemaps.spelling import columns_by_role, something
from hcs.io.storage import exists

_NO_WELLS = pl.DataFrame(schema=dict(SCHEMA))
_MAP_ENDINGS = (".txt", ".tsv", ".csv")
_PLACES = ("platemap/", "")
"""Beside a barcode map: the gallery's folder first, then the same folder."""


@dataclass
class PlatemapFiles:
    """Platemap files by URI, each read once."""

    _tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    _maps: dict[str, pl.DataFrame] = field(default_factory=dict)

    def table(self, uri: str) -> pl.DataFrame:
        """Return a file as it stands."""
        if uri not in self._tables:
            self._tables[uri] = read_text_table(uri, what="a platemap or a barcode map")
        return self._tables[uri]

    def platemap(self, uri: str) -> pl.DataFrame:
        """Return the wells of a platemap."""
        if uri not in self._maps:
            self._maps[uri] = parse_platemap(self.table(uri), source=uri)
        return self._maps[uri]

    def is_barcode_map(self, uri: str) -> bool:
        """Return whether a file assigns platemaps to barcodes; LINCS platemaps name themselves, but have wells."""
        roles = columns_by_role(self.table(uri).columns)
        return "plate_map_name" in roles and "well" not in roles


def wells_of_plates(platemaps: str | Sequence[str] | Mapping[str, str] | None, plates: Sequence[str]) -> pl.DataFrame:
    """Return the wells of all plates that a platemap describes, in the columns of a platemap with `plate` filled in.

    A plate that no platemap names has no rows.

    Args:
        platemaps: As in SCREEN.yaml: one file, several, or one for each barcode. A file with the column
            `Plate_Map_Name` assigns platemaps to barcodes; one with a plate column holds those plates; any other serves
            all plates, or where there are several, the plate that it is called after.
        plates: Barcodes.

    Raises:
        PlatemapError: If a platemap cannot be read or is missing, or it cannot be told which one is a plate's.
    """
    files = PlatemapFiles()
    wells = [_NO_WELLS]
    if isinstance(platemaps, Mapping):
        wells += [_wells_of([platemaps[plate]], plate, files) for plate in plates if plate in platemaps]
    elif platemaps is not None:
        uris = [platemaps] if isinstance(platemaps, str) else list(platemaps)
        wells += [_wells_of(uris, plate, files) for plate in plates]
    return pl.concat(wells)


def _wells_of(uris: Sequence[str], plate: str, files: PlatemapFiles) -> pl.DataFrame:
    """Return the wells of one plate: by a barcode map, else by a plate column, else from the map that serves all."""
    barcode_maps = [uri for uri in uris if files.is_barcode_map(uri)]
    assigned = sorted({mapped for uri in barcode_maps if (mapped := _mapped(uri, plate, files))})
    if len(assigned) > 1:
        raise PlatemapError(f"plate {plate}: expected one platemap, got {', '.join(assigned)}; keep one")
    maps = {uri: files.platemap(uri) for uri in assigned or uris if uri not in barcode_maps}
    named = pl.concat([_NO_WELLS, *maps.values()]).filter(pl.col("plate") == plate)
    if named.height:
        _refuse_repeated(named, plate)
        return named
    nameless = {uri: wells for uri, wells in maps.items() if wells["plate"].is_null().all()}
    wells = _serving(nameless, plate)
    return wells.with_columns(plate=pl.lit(plate, dtype=pl.String))


def _serving(nameless: Mapping[str, pl.DataFrame], plate: str) -> pl.DataFrame:
    """Return the platemap, of those that name no plate, that is this plate's."""
    if len(nameless) < 2:
        return next(iter(nameless.values()), _NO_WELLS)
    own = [wells for uri, wells in nameless.items() if uri.rpartition("/")[2].partition(".")[0] == plate]
    if len(own) != 1:
        raise PlatemapError(
            f"plate {plate}: cannot tell which of {', '.join(nameless)} is its platemap; give `platemaps` as a map "
            "from barcode to file, or a barcode map with Assay_Plate_Barcode and Plate_Map_Name"
        )
    return own[0]


def _mapped(barcode_map: str, plate: str, files: PlatemapFiles) -> str | None:
    """Return the URI of the platemap that a barcode map gives a plate; None where it does not name the plate."""
    table = files.table(barcode_map)
    roles = columns_by_role(table.columns)
    if "plate" not in roles:
        raise PlatemapError(
            f"{barcode_map}: expected the columns Assay_Plate_Barcode and Plate_Map_Name, got "
            f"{', '.join(name for name in table.columns if name != LINE)}"
        )
    rows = table.filter(pl.col(roles["plate"]) == plate)
    names = sorted({name for text in rows[roles["plate_map_name"]] if (name := something(text))})
    if len(names) > 1:
        raise PlatemapError(f"{barcode_map}: plate {plate} has the platemaps {', '.join(names)}; expected one")
    return _beside(barcode_map, names[0]) if names else None


def _beside(barcode_map: str, name: str) -> str:
    """Return the platemap of a name: in the folder `platemap/` beside the barcode map, or in the same folder."""
    if "/" in name or "\\" in name or name.startswith("."):
        raise PlatemapError(f"{barcode_map}: expected the name of a platemap, not a path, got {name!r}")
    folder, separator, _ = barcode_map.rpartition("/")
    endings = ("", *_MAP_ENDINGS) if name.casefold().endswith(_MAP_ENDINGS) else _MAP_ENDINGS
    tried = [f"{folder}{separator}{place}{name}{ending}" for place in _PLACES for ending in endings]
    for uri in tried:
        if exists(uri):
            return uri
    raise PlatemapError(f"{barcode_map}: expected the platemap {name} at one of {', '.join(tried)}; none is there")


def _refuse_repeated(wells: pl.DataFrame, plate: str) -> None:
    repeated = wells.filter(pl.col("well").is_duplicated())["well"].unique().sort().to_list()
    if repeated:
        raise PlatemapError(f"plate {plate}: several platemaps describe its wells {', '.join(repeated[:10])}; keep one")
