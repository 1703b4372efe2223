"""Places for files behind one protocol; the scheme of a URI says which one it is in."""

from __future__ import annotations

from hcs.io.stores.base import Store
from hcs.io.stores.elsewhere import FsspecStore
from hcs.io.stores.local import LocalStore
from hcs.io.stores.s3 import S3Store
from hcs.io.uris import is_remote

LOCAL = LocalStore()
S3 = S3Store()
ELSEWHERE = FsspecStore()


def store_of(uri: str) -> Store:
    """Return the store that a URI is in."""
    if not is_remote(uri):
        return LOCAL
    return S3 if uri.startswith("s3://") else ELSEWHERE
