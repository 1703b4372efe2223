"""What lies in a delivered folder, listed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hcs.errors import DeliveryError, StorageError, StoreUnavailableError
from hcs.io.readers import is_image_name
from hcs.io.storage import StoredFile, UnreadableFolder, is_remote, list_files, local_path


@dataclass(frozen=True)
class DeliveryFolder:
    """Every file under a delivery's root, sorted, and the folders that could not be looked into."""

    uri: str
    files: tuple[StoredFile, ...]
    unreadable: tuple[UnreadableFolder, ...]

    @cached_property
    def images(self) -> list[StoredFile]:
        """The files whose ending a reader knows."""
        return [file for file in self.files if is_image_name(file.relative_path)]

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.uri.rstrip("/").rpartition("/")[2]

    def described(self) -> str:
        """Return what was seen, for messages."""
        images = self.images
        examples = [file.relative_path for file in (images or self.files)[:3]]
        seen = f"{len(self.files):,} files, {len(images):,} of them images"
        closed = f"; {len(self.unreadable)} folders could not be read" if self.unreadable else ""
        return f"{seen} ({', '.join(examples)}{', ...' if len(self.files) > 3 else ''}){closed}" if examples else seen


def list_delivery(uri: str) -> DeliveryFolder:
    """Return what lies under a delivery's root.

    Raises:
        DeliveryError: If there is no such folder, or it cannot be listed.
        StoreUnavailableError: If its store does not answer, or refuses the key.
    """
    root = uri if is_remote(uri) else str(local_path(uri).absolute())
    unreadable: list[UnreadableFolder] = []
    try:
        files = tuple(list_files(root, on_unreadable=unreadable.append))
    except StoreUnavailableError:  # no plate's fault, so that none is left out for it
        raise
    except StorageError as error:
        raise DeliveryError(f"expected a folder with a delivered plate; {error}") from error
    return DeliveryFolder(root, files, tuple(sorted(unreadable, key=lambda folder: folder.relative_path)))
