"""Makes sure, before any work, that a worker and the coordinator see one folder of parts and that both can write it.

A worker on another machine may have a folder of the same name that is not the same: its parts would never be found.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from hcs.catalog import is_dead_here, owner_of_this_process
from hcs.errors import StorageError
from hcs.io.storage import exists, join, list_names, read_bytes, remove, write_atomically
from schemas.work import WorkOrder

TOKEN = ".token-"  # noqa: S105 - the start of a file's name


@contextmanager
def offer_token(order: WorkOrder) -> Iterator[str]:
    """Yield a token that lies in the run's folder of parts while the context lasts: the coordinator's side.

    Tokens of coordinators of this machine that were killed are removed.

    Raises:
        StorageError: If the coordinator itself cannot write there.
    """
    token = secrets.token_hex(8)
    folder = join(order.parts_uri, order.parts_folder)
    uri = join(folder, f"{TOKEN}{token}")
    write_atomically(uri, owner_of_this_process().encode())
    for name in list_names(folder):
        if name.startswith(TOKEN) and is_dead_here(read_bytes(join(folder, name)).decode()):
            remove(join(folder, name))
    try:
        yield token
    finally:
        remove(uri)


def answer_token(order: WorkOrder, token: str) -> str:
    """Return the name of a file that was written as an answer to a token: the worker's side.

    Raises:
        StorageError: If the token is not seen, or nothing can be written.
    """
    folder = join(order.parts_uri, order.parts_folder)
    try:
        seen = read_bytes(join(folder, f"{TOKEN}{token}"))
    except StorageError as error:
        raise StorageError(
            f"expected every worker to share the parts folder {order.parts_uri} with the coordinator, but one does not "
            f"see what the coordinator wrote there a moment ago ({error}). Keep the catalog and its parts in a folder "
            "that all machines mount at the same path"
        ) from error
    name = f".answer-{token}-{secrets.token_hex(4)}"
    write_atomically(join(folder, name), seen)
    return name


def accept_answer(order: WorkOrder, name: str) -> None:
    """Remove a worker's answer: the coordinator's side.

    Raises:
        StorageError: If it is not there, so that the worker writes into another folder.
    """
    uri = join(order.parts_uri, f"{order.parts_folder}/{name}")
    if not exists(uri):
        raise StorageError(
            f"expected every worker to share the parts folder {order.parts_uri} with the coordinator, but what one "
            "wrote there is not to be seen here. Keep the catalog and its parts in a folder that all machines mount at "
            "the same path"
        )
    remove(uri)
