from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
import yaml
from commands import digests_of, start

from hcs.catalog import Catalog, count_units, failures_of, get_run, list_runs, open_catalog, units_of
from hcs.errors import InputChangedError, StorageError, UsageError
from hcs.io.screen import load_screen
from hcs.pipeline.export import export_run
from hcs.pipeline.local import LocalExecutor
from hcs.pipeline.run import Performed, perform_run
from hcs.pipeline.submission import prepare_run
from hcs.settings import Settings
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design
from schemas.work import Executor, RunState, UnitOutcome, UnitSpec, UnitState


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A screen of 2 plates x 24 wells for the named features alone."""
    folder = tmp_path_factory.mktemp("screen") / "s"
    simulate_screen(str(folder), design=small_design(plates=2, wells=24), seed=4)
    path = folder / "SCREEN.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"encoders": ["named"]}))
    return path


@dataclass
class Hand:
    """Takes all units at once and performs them in another order, some of them failing, as a cluster might."""

    threads: int = 1
    backwards: bool = False
    fails: dict[str, int] = field(default_factory=dict)
    performed: list[str] = field(default_factory=list)

    def perform(self, units: Iterable[UnitSpec]) -> Generator[UnitOutcome]:
        """Yield outcomes of the real executor, or failures as asked."""
        taken = sorted(units, key=lambda spec: spec.key, reverse=self.backwards)
        kept = []
        for spec in taken:
            if self.fails.get(spec.kind, 0) > 0:
                self.fails[spec.kind] -= 1
                yield UnitOutcome(key=spec.key, reason="the dog ate it")
            else:
                kept.append(spec)
        for outcome in LocalExecutor(threads=self.threads).perform(kept):
            self.performed.append(outcome.key)
            yield outcome


def perform(
    catalog: Catalog, screen: Path, executor: Executor, *, new: bool = False, resume: str | None = None
) -> Performed:
    return perform_run(
        catalog,
        prepare_run(load_screen(str(screen)), settings=Settings(offline=True)),
        make_executor=lambda: executor,
        on_start=lambda registration: None,
        on_progress=lambda spec, outcome: None,
        new=new,
        resume=resume,
    )


def exported(catalog: Catalog, folder: Path) -> dict[str, str]:
    export_run(catalog, get_run(catalog), str(folder), ending="parquet")
    return digests_of(folder)


@pytest.fixture(scope="module")
def reference(screen: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The export of an undisturbed run."""
    folder = tmp_path_factory.mktemp("reference")
    with open_catalog(str(folder / "c.sqlite")) as catalog:
        assert perform(catalog, screen, LocalExecutor(threads=1)).run.state is RunState.COMPLETE
        return exported(catalog, folder / "out")


@pytest.mark.parametrize("backwards", [False, True])
def test_another_order_of_units_gives_the_same_bytes(
    screen: Path, reference: dict[str, str], tmp_path: Path, backwards: bool
) -> None:
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, screen, Hand(backwards=backwards))

        assert exported(catalog, tmp_path / "out") == reference


def test_units_that_fail_once_are_done_again_and_leave_no_trace_in_the_results(
    screen: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        performed = perform(catalog, screen, Hand(fails={"survey": 1, "embed": 2}))

        assert performed.run.state is RunState.COMPLETE
        assert sorted(units_of(catalog, performed.run.id)["attempt"])[-3:] == [2, 2, 2]
        assert exported(catalog, tmp_path / "out") == reference


def test_units_that_fail_three_times_are_failed_with_their_reason_and_the_others_finish(
    screen: Path, tmp_path: Path
) -> None:
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        performed = perform(catalog, screen, Hand(fails={"survey": 6}))

        assert performed.has_holes
        assert count_units(catalog, performed.run.id)[UnitState.FAILED] == 2
        assert set(failures_of(catalog, performed.run.id)["reason"]) == {"the dog ate it"}
        assert any("failed" in note for note in performed.run.notes)


def test_a_run_is_taken_over_by_another_of_the_same_units_and_new_does_everything_again(
    screen: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    other = tmp_path / "s" / "SCREEN.yaml"
    other.write_text(other.read_text() + "hits: {q_max: 0.2}\n")
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        first, second, third = Hand(), Hand(), Hand()
        perform(catalog, screen, first)
        perform(catalog, other, second)
        perform(catalog, screen, third, new=True)

        assert len(first.performed) > 8
        assert second.performed == []
        assert exported(catalog, tmp_path / "out") == reference


def test_a_part_that_was_lost_is_not_taken_over(screen: Path, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    other = tmp_path / "s" / "SCREEN.yaml"
    other.write_text(other.read_text() + "hits: {q_max: 0.2}\n")
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, screen, Hand())
        next((tmp_path / "parts").rglob("*embedding*.parquet")).unlink()
        second = Hand()
        perform(catalog, other, second)

        assert len(second.performed) == 1


def test_resuming_a_run_of_another_screen_is_refused(screen: Path, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    other = tmp_path / "s" / "SCREEN.yaml"
    other.write_text(other.read_text() + "hits: {q_max: 0.2}\n")
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, screen, Hand())

        with pytest.raises(UsageError, match="configuration differs"):
            perform(catalog, other, Hand(), resume="run-1")


def test_a_catalog_that_loses_its_parts_folder_says_so(screen: Path, tmp_path: Path) -> None:
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, screen, Hand())
        shutil.rmtree(tmp_path / "parts")

        with pytest.raises(StorageError, match="parts"):
            export_run(catalog, get_run(catalog), str(tmp_path / "out"), ending="parquet")


def test_plates_of_two_cell_lines_are_not_one_run(screen: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(screen.read_text())
    for entry, cell_line in zip(content["plates"], ["U2OS", "A549"], strict=True):
        entry["cell_line"] = cell_line
    shutil.copytree(screen.parent, tmp_path / "s")
    (tmp_path / "s" / "SCREEN.yaml").write_text(yaml.safe_dump(content))

    with pytest.raises(UsageError, match="A549, U2OS"):
        prepare_run(load_screen(str(tmp_path / "s" / "SCREEN.yaml")), settings=Settings(offline=True))


def test_two_drivers_of_one_run_share_its_units_and_both_see_it_finished(
    screen: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    url = tmp_path / "c.sqlite"
    ended = [start("run", screen, "--catalog", url, "--threads", 1) for _ in range(2)]

    for process in ended:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert "run-1" in out
    with open_catalog(str(url)) as catalog:
        assert set(units_of(catalog, 1)["attempt"]) == {1}
        assert exported(catalog, tmp_path / "out") == reference


def test_the_same_command_tries_failed_units_of_a_finished_run_again(
    screen: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        assert perform(catalog, screen, Hand(fails={"embed": 100})).has_holes

        performed = perform(catalog, screen, Hand())

        assert performed.run.state is RunState.COMPLETE
        assert performed.run.name == "run-1"
        assert exported(catalog, tmp_path / "out") == reference


def test_a_refused_resume_leaves_no_run_behind(screen: Path, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    other = tmp_path / "s" / "SCREEN.yaml"
    other.write_text(other.read_text() + "hits: {q_max: 0.2}\n")
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, screen, Hand())

        with pytest.raises(UsageError):
            perform(catalog, other, Hand(), resume="run-1")
        with pytest.raises(UsageError, match="--new"):
            perform(catalog, screen, Hand(), resume="run-1", new=True)
        assert list_runs(catalog).height == 1


def test_an_image_that_changed_under_a_finished_run_is_said(screen: Path, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    own = tmp_path / "s" / "SCREEN.yaml"
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, own, Hand())
        image = next((tmp_path / "s").rglob("*.tiff"))
        content = bytearray(image.read_bytes())
        content[-1] ^= 1
        image.write_bytes(content)

        with pytest.raises(InputChangedError, match=image.name):
            perform(catalog, own, Hand())


def test_images_that_were_only_touched_change_nothing(screen: Path, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    own = tmp_path / "s" / "SCREEN.yaml"
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, own, Hand())
        for image in (tmp_path / "s").rglob("*.tiff"):
            os.utime(image, ns=(1, 1))

        assert perform(catalog, own, Hand()).was_finished


def test_a_plate_without_a_platemap_is_exported_with_the_others(screen: Path, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    own = tmp_path / "s" / "SCREEN.yaml"
    (barcodes,) = (tmp_path / "s").rglob("barcode_platemap.csv")
    barcodes.write_text("\n".join(barcodes.read_text().splitlines()[:2]) + "\n")
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        performed = perform(catalog, own, Hand())
        exported(catalog, tmp_path / "out")

        assert performed.has_holes
        assert any("not in a platemap" in note for note in performed.run.notes)
        assert len(list((tmp_path / "out" / "embeddings").iterdir())) == 2


def test_a_part_that_was_changed_is_refused(screen: Path, tmp_path: Path) -> None:
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, screen, Hand())
        part = next((tmp_path / "parts").rglob("*-images.parquet"))
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1
        part.write_bytes(content)

        with pytest.raises(StorageError, match="--new"):
            export_run(catalog, get_run(catalog), str(tmp_path / "out"), ending="parquet")


@pytest.mark.parametrize("typed", ["NOPE:A01", "SIM00004001:P24"])
def test_an_exclusion_that_matches_nothing_is_said(screen: Path, tmp_path: Path, typed: str) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    own = tmp_path / "s" / "SCREEN.yaml"
    own.write_text(own.read_text() + f"exclude_wells:\n- {typed}: bubble\n")

    with pytest.raises(UsageError, match="did you mean"):
        prepare_run(load_screen(str(own)), settings=Settings(offline=True))


def test_an_excluded_well_is_in_no_profile(screen: Path, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    own = tmp_path / "s" / "SCREEN.yaml"
    own.write_text(own.read_text() + "exclude_wells:\n- SIM00004001:B02: bubble\n")
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, own, Hand())
        exported(catalog, tmp_path / "out")

    profiles = pl.read_parquet(tmp_path / "out" / "profiles-combined.parquet")
    wells = set(profiles.filter(pl.col("plate") == "SIM00004001")["well"])
    assert len(wells) == 23
    assert "B02" not in wells
