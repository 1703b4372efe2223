"""A small file that says whose a folder is: who comes first writes it, and who comes later reads it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from hcs.io.storage import exists, is_remote, local_path, read_bytes, write_atomically


def claim(uri: str, content: bytes) -> bytes:
    """Return what a file holds: what it held before, or this content, which is written where there was no file.

    On a local disk exactly one of several who come first at once succeeds, and all are told the same. An object store
    keeps what came last of those; who came before is told so when asking again.

    Raises:
        StorageError: If it can be neither read nor written.
    """
    if not exists(uri) and (is_remote(uri) or not _link(local_path(uri), content)):
        write_atomically(uri, content)
    return read_bytes(uri)


def _link(path: Path, content: bytes) -> bool:
    """Write a file unless there is one; return False where the file system has no links that make this safe."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    write_atomically(str(temporary), content)
    try:
        os.link(temporary, path)
    except FileExistsError:  # somebody else was faster
        return True
    except OSError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True
