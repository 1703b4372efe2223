from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from commands import with_settings
from runs import perform

from hcs.catalog import Catalog, RunRecord, get_run, open_catalog, profiles_of
from hcs.errors import NotFoundError, StorageError
from hcs.io.storage import join, read_bytes, write_atomically
from hcs.pipeline.flags import flagged_in_run
from hcs.pipeline.local import LocalExecutor
from hcs.pipeline.results import make_results
from hcs.pipeline.stored import read_profile
from hcs.pipeline.well_table import read_wells
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design


@dataclass(frozen=True)
class Finished:
    """A finished run and its catalog."""

    catalog: Catalog
    run: RunRecord


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """A run of two plates in two batches."""
    folder = tmp_path_factory.mktemp("run")
    design = replace(small_design(batches=2, plates=1, wells=24), site_px=64)
    screen = simulate_screen(str(folder / "screen"), design=design, seed=9)
    file = with_settings(Path(screen.screen_file), encoders=["named"], pixels={"tile": 64})
    with open_catalog(str(folder / "catalog.sqlite")) as catalog:
        perform(catalog, file, LocalExecutor(threads=1))
        yield Finished(catalog, get_run(catalog))


def test_a_profile_is_read_as_it_was_published_with_the_batch_of_every_well(finished: Finished) -> None:
    table, _ = read_wells(finished.catalog, finished.run, flags=flagged_in_run(finished.catalog, finished.run.id))
    results = make_results(table, config=finished.run.config)

    wells, profile = read_profile(finished.catalog, finished.run, "named")

    assert profile.dtype == np.float64
    keys = ["plate", "well", "perturbation", "batch"]
    ours, theirs = (frame.select(pl.col(keys).cast(pl.String)) for frame in (wells, results.wells))
    assert ours.rows() == theirs.rows()
    assert wells["batch"].n_unique() == 2
    assert table.channels == ("AGP", "DNA", "ER", "Mito", "RNA")
    np.testing.assert_allclose(profile, results.profiles["named"], rtol=1e-5, atol=1e-6)


def test_a_profile_that_there_is_not_is_answered_with_those_there_are(finished: Finished) -> None:
    with pytest.raises(NotFoundError, match=r"has no profile 'nmaed'; it has combined, named, and `hcs status"):
        read_profile(finished.catalog, finished.run, "nmaed")
    with pytest.raises(NotFoundError, match=rf"no profile '{'x' * 80}'; "):
        read_profile(finished.catalog, finished.run, "x" * 500)


def test_a_profile_that_is_not_the_file_that_was_registered_is_refused(finished: Finished) -> None:
    receipts = {receipt.name: receipt for receipt in profiles_of(finished.catalog, finished.run.id)}
    uri, other = (join(finished.catalog.parts_uri, receipts[name].relative_path) for name in ("combined", "named"))
    content = read_bytes(uri)

    for changed in (content[:-1], read_bytes(other)):
        assert changed != content
        write_atomically(uri, changed)
        with pytest.raises(StorageError, match=r"combined\.parquet"):
            read_profile(finished.catalog, finished.run, "combined")

    write_atomically(uri, content)
    read_profile(finished.catalog, finished.run, "combined")
