"""Whose a folder of parts is: every catalog has a run-1, and two in one folder would overwrite one another's files."""

from __future__ import annotations

from hcs.catalog import Catalog, catalog_id
from hcs.errors import ConflictError
from hcs.io.marker import claim
from hcs.io.storage import exists, join, read_bytes

MARKER = "CATALOG"
"""The file that holds the identifier of the catalog whose parts lie beside it."""


def claim_parts(catalog: Catalog) -> None:
    """Make the folder of parts the catalog's own, if it is nobody's; one without a marker is adopted with its files.

    Raises:
        ConflictError: If it belongs to another catalog.
        StorageError: If the marker can be neither read nor written.
    """
    own = catalog_id(catalog)
    _check_is(own, claim(join(catalog.parts_uri, MARKER), f"{own}\n".encode()), catalog)


def check_parts(catalog: Catalog) -> None:
    """Refuse a folder of parts that belongs to another catalog; one without a marker is left as it is.

    Raises:
        ConflictError: If it belongs to another catalog.
        StorageError: If the marker cannot be read.
    """
    uri = join(catalog.parts_uri, MARKER)
    if exists(uri):
        _check_is(catalog_id(catalog), read_bytes(uri), catalog)


def _check_is(own: str, marked: bytes, catalog: Catalog) -> None:
    other = marked.decode("ascii", "backslashreplace").strip()
    if other != own:
        raise ConflictError(
            f"expected {catalog.parts_uri} to hold the files of the catalog {catalog.location} ({own}) alone, but "
            f"{MARKER} in it names another catalog ({other[:40]}), and two catalogs in one folder would overwrite one "
            "another's files. Give another --parts; or, if the other catalog is gone for good, remove the folder."
        )
