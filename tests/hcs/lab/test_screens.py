from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from commands import digests_of
from safetensors.numpy import load_file, save_file

from hcs.errors import StorageError
from hcs.lab.screens import CELL_COUNT, PlateTask, compute_plate, embed_plate, embed_screens
from hcs.pipeline.flags import flagged_in_run
from hcs.pipeline.well_table import WellTable, read_wells
from hcs.simulation.design import ScreenDesign
from hcs.simulation.library import CHANNELS
from schemas.encoders import EncoderInfo

SEED = 7
KEYS = ["plate", "well"]

Encoders = tuple[EncoderInfo, ...]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for vectors."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def table(design: ScreenDesign, encoders: Encoders, kept: Path) -> WellTable:
    """The wells of the small screen, their vectors kept."""
    return embed_screens(design, [SEED], encoders, kept=kept)[SEED]


def same_vectors(one: WellTable, other: WellTable) -> bool:
    names = sorted(one.embeddings)
    return sorted(other.embeddings) == names and all(
        one.embeddings[name].tobytes() == other.embeddings[name].tobytes() for name in names
    )


def test_wells_have_the_vectors_and_counts_that_a_run_gives_them(table: WellTable, small_run: Any) -> None:
    of_run, holes = read_wells(
        small_run.catalog, small_run.run, flags=flagged_in_run(small_run.catalog, small_run.run.id)
    )
    rows = table.wells.with_row_index("row").sort(KEYS)["row"].to_numpy()
    order = of_run.wells.with_row_index("row").sort(KEYS)["row"].to_numpy()

    assert holes == []
    told = [*KEYS, "batch", "perturbation", "control_type", "mechanism", "name", "cell_count", "n_sites"]
    ours, theirs = (wells.select(pl.col(told).cast(pl.String)).sort(KEYS) for wells in (table.wells, of_run.wells))
    assert ours.to_dicts() == theirs.to_dicts()
    by_name = sorted(range(len(CHANNELS)), key=lambda index: CHANNELS[index])
    for name, matrix in table.embeddings.items():
        of_channels = matrix[rows].reshape(len(rows), len(CHANNELS), -1)
        expected = of_run.embeddings[name][order]
        np.testing.assert_array_equal(of_channels[:, by_name].reshape(expected.shape), expected, err_msg=name)


def test_two_workers_give_the_same_as_one_and_as_what_was_kept(
    design: ScreenDesign, encoders: Encoders, table: WellTable, kept: Path
) -> None:
    told: list[tuple[int, int]] = []

    by_two = embed_screens(design, [SEED], encoders, workers=2, progress=lambda *done: told.append(done))[SEED]
    read = embed_screens(design, [SEED], encoders, kept=kept)[SEED]

    for other in (by_two, read):
        assert same_vectors(other, table)
        assert other.wells.equals(table.wells)
    assert told == [(1, 2), (2, 2)]


def test_vectors_that_were_kept_are_read_and_not_computed_again(
    design: ScreenDesign, encoders: Encoders, tmp_path: Path
) -> None:
    task = PlateTask(design, SEED, 0, encoders[:1])
    computed = embed_plate(task, tmp_path)
    (file,) = tmp_path.rglob("named-*.safetensors")
    np.testing.assert_array_equal(load_file(file)["vectors"], computed["named"])
    changed = computed["named"] + 1
    save_file({"vectors": changed}, file)

    again = embed_plate(task, tmp_path)

    np.testing.assert_array_equal(again["named"], changed)
    np.testing.assert_array_equal(again[CELL_COUNT], computed[CELL_COUNT])


def test_an_encoder_that_comes_later_leaves_the_files_of_the_others_alone(
    design: ScreenDesign, encoders: Encoders, tmp_path: Path
) -> None:
    named, backbone = encoders
    first = embed_plate(PlateTask(design, SEED, 0, (named,)), tmp_path)
    before = digests_of(tmp_path)
    modified = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("named-*")}

    later = embed_plate(PlateTask(design, SEED, 0, (named, backbone)), tmp_path)

    after = digests_of(tmp_path)
    assert {name: after[name] for name in before} == before
    assert {path: path.stat().st_mtime_ns for path in modified} == modified
    assert len(after) == len(before) + 1
    np.testing.assert_array_equal(later["named"], first["named"])
    assert later[backbone.name].shape == (24, len(CHANNELS) * backbone.embedding_size)


def test_what_a_vector_depends_on_has_a_file_of_its_own(
    design: ScreenDesign, encoders: Encoders, tmp_path: Path
) -> None:
    backbone = encoders[1]
    variants = (backbone, backbone.model_copy(update={"mean": 0.25}), backbone.model_copy(update={"std": 0.5}))

    vectors = [embed_plate(PlateTask(design, SEED, 0, (info,)), tmp_path)[backbone.name] for info in variants]

    assert len(list(tmp_path.rglob(f"{backbone.name}-*.safetensors"))) == 3
    assert not np.array_equal(vectors[0], vectors[1])
    assert not np.array_equal(vectors[0], vectors[2])


def test_screens_plates_and_designs_are_not_mixed_up(design: ScreenDesign, encoders: Encoders, tmp_path: Path) -> None:
    named = encoders[:1]
    tasks = [
        PlateTask(design, SEED, 0, named),
        PlateTask(design, SEED, 1, named),
        PlateTask(design, SEED + 1, 0, named),
        PlateTask(replace(design, cells_per_site=60.0), SEED, 0, named),
    ]

    kept = [embed_plate(task, tmp_path)["named"] for task in tasks]

    for task, vectors in zip(tasks, kept, strict=True):
        np.testing.assert_array_equal(embed_plate(task, tmp_path)["named"], vectors)
    assert len({vectors.tobytes() for vectors in kept}) == len(tasks)


def test_sites_of_a_well_are_averaged(design: ScreenDesign, encoders: Encoders) -> None:
    one, two = (compute_plate(PlateTask(replace(design, n_sites=n), SEED, 0, encoders[:1]))[CELL_COUNT] for n in (1, 2))

    assert one.shape == two.shape == (24, 1)
    np.testing.assert_array_equal(one, np.round(one))
    assert (two != np.round(two)).any(), "half a cell, of an odd number in two sites"
    assert 0.7 < two.mean() / one.mean() < 1.4


def test_vectors_that_are_damaged_are_named(design: ScreenDesign, encoders: Encoders, tmp_path: Path) -> None:
    task = PlateTask(design, SEED, 0, encoders[:1])
    embed_plate(task, tmp_path)
    (file,) = tmp_path.rglob("named-*.safetensors")
    file.write_bytes(file.read_bytes()[:-7])

    with pytest.raises(StorageError, match=r"named-.*\.safetensors, but it is damaged .*; remove it"):
        embed_plate(task, tmp_path)
