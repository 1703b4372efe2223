"""Which catalog this is: an identifier and a secret of its own, made when they are first needed."""

from __future__ import annotations

import secrets
import uuid

from sqlalchemy import select

from hcs.catalog.dialects import insert_missing
from hcs.catalog.engine import Catalog
from hcs.catalog.models import Identity
from hcs.catalog.patience import patient

_ONLY = 1
_SECRET_BYTES = 32


def catalog_id(catalog: Catalog) -> str:
    """Return 32 hexadecimal digits that no other catalog has; a copy of a catalog has those of the original."""
    return _identity(catalog)[0]


def cursor_secret(catalog: Catalog) -> bytes:
    """Return the 32 random bytes that cursors of this catalog are signed with; every process gets the same."""
    return bytes.fromhex(_identity(catalog)[1])


@patient
def _identity(catalog: Catalog) -> tuple[str, str]:
    query = select(Identity.catalog, Identity.cursor_secret).where(Identity.id == _ONLY)
    with catalog.reading() as connection:
        found = connection.execute(query).first()
    if found is None:
        made = {"id": _ONLY, "catalog": uuid.uuid4().hex, "cursor_secret": secrets.token_hex(_SECRET_BYTES)}
        with catalog.writing() as connection:
            insert_missing(connection, Identity, [made], key=["id"])  # unless another process was faster
            found = connection.execute(query).one()
    return found.catalog, found.cursor_secret
