"""Deletes a run from the catalog, and then the files that only it referred to."""

from __future__ import annotations

from dataclasses import dataclass

from hcs.catalog import Catalog, DeletedRun, delete_run
from hcs.io.removal import remove_files
from hcs.pipeline.ownership import check_parts


@dataclass(frozen=True)
class Removal:
    """What is gone with a run; `failures` says by path why a file that nobody refers to any more is still there."""

    run: DeletedRun
    failures: dict[str, str]

    @property
    def n_removed_files(self) -> int:
        """How many files are gone."""
        return len(self.run.orphaned_paths) - len(self.failures)


def delete_run_and_files(catalog: Catalog, run_id: int) -> Removal:
    """Delete a run, and return what is gone. A file that cannot be removed is no error: the run is deleted then.

    Raises:
        NotFoundError: If there is no such run.
        ConflictError: If somebody works on it, or the folder of parts belongs to another catalog.
    """
    check_parts(catalog)
    deleted = delete_run(catalog, run_id)
    return Removal(run=deleted, failures=remove_files(catalog.parts_uri, deleted.orphaned_paths))
