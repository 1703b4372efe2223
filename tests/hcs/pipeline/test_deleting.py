"""Two runs of one delivery, the second of which took over what the first had embedded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from commands import digests_of
from runs import perform

from hcs.catalog import Catalog, get_run, list_runs, open_catalog
from hcs.errors import NotFoundError
from hcs.pipeline.deleting import delete_run_and_files
from hcs.pipeline.export import export_run
from hcs.pipeline.local import LocalExecutor
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design


@pytest.fixture
def screens(tmp_path: Path) -> list[Path]:
    """One delivered plate, with two files that want other calls of the same vectors."""
    simulate_screen(str(tmp_path / "s"), design=small_design(plates=1, wells=24), seed=4)
    content = yaml.safe_load((tmp_path / "s" / "SCREEN.yaml").read_text()) | {"encoders": ["named"]}
    paths = [tmp_path / "s" / "strict.yaml", tmp_path / "s" / "SCREEN.yaml"]
    for path, q_max in zip(paths, (0.01, 0.2), strict=True):
        path.write_text(yaml.safe_dump(content | {"hits": {"q_max": q_max}}))
    return paths


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with open_catalog(str(tmp_path / "store" / "catalog.sqlite")) as opened:
        yield opened


def exported(catalog: Catalog, name: str, folder: Path) -> dict[str, str]:
    export_run(catalog, get_run(catalog, name), str(folder), ending="parquet")
    return digests_of(folder)


def test_what_another_run_took_over_outlives_the_run_that_embedded_it(
    catalog: Catalog, screens: list[Path], tmp_path: Path
) -> None:
    first = perform(catalog, screens[0], LocalExecutor(threads=1)).run
    n_units: list[object] = []
    second = perform(catalog, screens[1], LocalExecutor(threads=1), came=lambda spec, _: n_units.append(spec)).run
    assert (first.name, second.name, n_units) == ("run-1", "run-2", [])
    parts = Path(catalog.parts_uri)
    before, files = exported(catalog, "run-2", tmp_path / "before"), digests_of(parts)

    removal = delete_run_and_files(catalog, first.id)

    assert removal.failures == {}
    assert removal.n_removed_files == len(removal.run.orphaned_paths) > 0
    left = digests_of(parts)
    assert left.items() <= files.items()
    assert set(files) - set(left) == set(removal.run.orphaned_paths)
    assert removal.run.n_shared_paths == sum(path.startswith("run-1/") for path in left)
    assert exported(catalog, "run-2", tmp_path / "after") == before
    assert perform(catalog, screens[1], LocalExecutor(threads=1)).was_finished
    with pytest.raises(NotFoundError):
        get_run(catalog, "run-1")

    again = perform(catalog, screens[0], LocalExecutor(threads=1), came=lambda spec, _: n_units.append(spec)).run
    assert (again.name, n_units) == ("run-3", [])  # it takes over from the second

    for run in (second, again):
        delete_run_and_files(catalog, run.id)
    assert list(digests_of(parts)) == ["CATALOG"]
    assert [path.name for path in parts.iterdir()] == ["CATALOG"]
    assert list_runs(catalog).height == 0
