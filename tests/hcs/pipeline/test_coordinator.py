from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import pytest
import yaml
from commands import digests_of, start, with_settings
from held import HeldImage
from runs import perform

from hcs.catalog import (
    Catalog,
    cancel_run,
    count_units,
    failures_of,
    get_run,
    keep_leases,
    list_runs,
    open_catalog,
    units_of,
)
from hcs.errors import CancelledError, InputChangedError, StorageError, UsageError
from hcs.io.screen import load_screen
from hcs.pipeline.export import export_run
from hcs.pipeline.local import LocalExecutor
from hcs.pipeline.submission import prepare_run
from hcs.settings import Settings
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design
from schemas.work import RunPin, RunState, Steps, UnitOutcome, UnitSpec, UnitState, WorkOrder


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A screen of 2 plates x 24 wells, with small images, for the named features alone."""
    folder = tmp_path_factory.mktemp("screen") / "s"
    simulate_screen(str(folder), design=replace(small_design(plates=2, wells=24), site_px=128), seed=4)
    return with_settings(folder / "SCREEN.yaml", encoders=["named"], pixels={"tile": 128})


@dataclass
class Hand:
    """Takes all units at once and performs them in another order, some of them failing, as a cluster might."""

    backwards: bool = False
    fails: dict[str, int] = field(default_factory=dict)
    waits: int = 0
    performed: list[str] = field(default_factory=list)
    taken: list[UnitSpec] = field(default_factory=list)
    local: LocalExecutor = field(default_factory=lambda: LocalExecutor(threads=1))

    def pin(self, n_planes_a_site: int) -> RunPin:
        return self.local.pin(n_planes_a_site)

    def open(self, order: WorkOrder) -> None:
        self.local.open(order)

    def capacity(self) -> int:
        return 1000

    def submit(self, spec: UnitSpec) -> None:
        self.taken.append(spec)

    def wait(self, seconds: float) -> list[UnitOutcome]:
        """Return outcomes of the real executor, or failures as asked."""
        outcomes = []
        for spec in sorted(self.taken, key=lambda spec: spec.key, reverse=self.backwards):
            if self.fails.get(spec.kind, 0) > 0:
                self.fails[spec.kind] -= 1
                outcomes.append(UnitOutcome(key=spec.key, reason="the dog ate it"))
            elif self.waits > 0:
                self.waits -= 1
                outcomes.append(UnitOutcome(key=spec.key, reason="its worker left", was_started=False))
            else:
                self.local.submit(spec)
                self.performed.append(spec.key)
                outcomes += self.local.wait(60)
        self.taken.clear()
        return outcomes

    def steps(self) -> dict[str, Steps]:
        return {}

    def abandon(self, key: str) -> None:
        self.taken = [spec for spec in self.taken if spec.key != key]

    def close(self) -> None:
        self.local.close()


def exported(catalog: Catalog, folder: Path) -> dict[str, str]:
    export_run(catalog, get_run(catalog), str(folder), ending="parquet")
    return digests_of(folder)


@pytest.fixture(scope="module")
def undisturbed(screen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a catalog with an undisturbed run and its parts; tests must not change it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with open_catalog(str(folder / "c.sqlite")) as catalog:
        assert perform(catalog, screen, LocalExecutor(threads=1)).run.state is RunState.COMPLETE
    return folder


@pytest.fixture
def finished(undisturbed: Path, tmp_path: Path) -> Iterator[Catalog]:
    """A copy of that catalog, to be changed."""
    shutil.copytree(undisturbed, tmp_path / "finished")
    with open_catalog(str(tmp_path / "finished" / "c.sqlite")) as catalog:
        yield catalog


@pytest.fixture(scope="module")
def reference(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The export of that run."""
    with open_catalog(str(undisturbed / "c.sqlite")) as catalog:
        return exported(catalog, tmp_path_factory.mktemp("reference") / "out")


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


def test_a_part_that_was_lost_is_not_taken_over(screen: Path, finished: Catalog, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    other = tmp_path / "s" / "SCREEN.yaml"
    other.write_text(other.read_text() + "hits: {q_max: 0.2}\n")
    next(Path(finished.parts_uri).rglob("*embedding*.parquet")).unlink()
    second = Hand()
    perform(finished, other, second)

    assert len(second.performed) == 1


def test_resuming_a_run_of_another_screen_is_refused(screen: Path, finished: Catalog, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    other = tmp_path / "s" / "SCREEN.yaml"
    other.write_text(other.read_text() + "hits: {q_max: 0.2}\n")
    with pytest.raises(UsageError, match="configuration differs"):
        perform(finished, other, Hand(), resume="run-1")


def test_a_catalog_that_loses_its_parts_folder_says_so(screen: Path, finished: Catalog, tmp_path: Path) -> None:
    shutil.rmtree(finished.parts_uri)

    with pytest.raises(StorageError, match="parts"):
        export_run(finished, get_run(finished), str(tmp_path / "out"), ending="parquet")


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


def test_a_refused_resume_leaves_no_run_behind(screen: Path, finished: Catalog, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    other = tmp_path / "s" / "SCREEN.yaml"
    other.write_text(other.read_text() + "hits: {q_max: 0.2}\n")
    with pytest.raises(UsageError):
        perform(finished, other, Hand(), resume="run-1")
    with pytest.raises(UsageError, match="--new"):
        perform(finished, screen, Hand(), resume="run-1", new=True)
    assert list_runs(finished).height == 1


def test_an_image_that_changed_under_a_finished_run_is_said(screen: Path, finished: Catalog, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    own = tmp_path / "s" / "SCREEN.yaml"
    image = next((tmp_path / "s").rglob("*.tiff"))
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)

    with pytest.raises(InputChangedError, match=image.name):
        perform(finished, own, Hand())


def test_images_that_were_only_touched_change_nothing(screen: Path, finished: Catalog, tmp_path: Path) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    own = tmp_path / "s" / "SCREEN.yaml"
    for image in (tmp_path / "s").rglob("*.tiff"):
        os.utime(image, ns=(1, 1))

    assert perform(finished, own, Hand()).was_finished


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


def test_a_part_that_was_changed_is_refused(screen: Path, finished: Catalog, tmp_path: Path) -> None:
    part = next(Path(finished.parts_uri).rglob("*-images.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)

    with pytest.raises(StorageError, match="--new"):
        export_run(finished, get_run(finished), str(tmp_path / "out"), ending="parquet")


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


class HoldsAnImage:
    """Holds an image of the last unit that comes as soon as every plate is surveyed: a unit hangs in the middle."""

    def __init__(self, screen: Path) -> None:
        self.held = HeldImage(sorted(screen.parent.rglob("*.tiff"))[-1])
        self.is_holding = False
        self.surveyed = 0
        self.outcomes: list[UnitOutcome] = []

    def came(self, spec: UnitSpec, outcome: UnitOutcome) -> None:
        self.outcomes.append(outcome)
        self.surveyed += spec.kind == "survey" and outcome.receipt is not None
        if self.surveyed == 2 and not self.is_holding:
            self.held.__enter__()
            self.is_holding = True


def test_a_unit_that_hangs_past_its_lease_is_tried_three_times_then_failed_and_the_others_finish(
    screen: Path, tmp_path: Path
) -> None:
    shutil.copytree(screen.parent, tmp_path / "s")
    own = tmp_path / "s" / "SCREEN.yaml"
    holder = HoldsAnImage(own)
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        try:
            performed = perform(catalog, own, LocalExecutor(threads=2), came=holder.came, lease_seconds=3)
        finally:
            holder.held.__exit__(None, None, None)

        assert performed.run.state is RunState.COMPLETE_WITH_HOLES
        failed = units_of(catalog, performed.run.id).filter(pl.col("state") == "failed")
        assert failed["attempt"].to_list() == [3]
        assert "it hung at read " in failed["reason"][0]
        assert count_units(catalog, performed.run.id)[UnitState.DONE] == 17
        assert sum("hung" in (outcome.reason or "") for outcome in holder.outcomes) == 3


def test_retry_repeats_exactly_the_units_that_failed(screen: Path, reference: dict[str, str], tmp_path: Path) -> None:
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, screen, Hand(fails={"embed": 50}))
        failed = set(units_of(catalog, 1).filter(pl.col("state") == "failed")["key"])
        assert failed
        assert perform(catalog, screen, nobody := Hand(), retry_only="cat").n_again == 0
        assert nobody.performed == []

        again = Hand()
        performed = perform(catalog, screen, again, retry_only="DOG")

        assert performed.n_again == len(failed)
        assert set(again.performed) == failed
        assert performed.run.state is RunState.COMPLETE
        assert exported(catalog, tmp_path / "out") == reference


def test_a_unit_that_only_waited_for_a_lost_worker_is_no_attempt(
    screen: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        perform(catalog, screen, Hand(waits=30))

        assert set(units_of(catalog, 1)["attempt"]) == {1}
        assert exported(catalog, tmp_path / "out") == reference


def test_a_result_that_comes_after_the_lease_was_lost_is_refused_and_the_run_goes_on(
    screen: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:

        class Robbed(Hand):
            def wait(self, seconds: float) -> list[UnitOutcome]:
                outcomes = super().wait(seconds)
                if len(self.performed) == 2:  # both surveys are done, and not committed: another takes them over
                    rob(catalog)
                return outcomes

        performed = perform(catalog, screen, Robbed())

        assert performed.run.state is RunState.COMPLETE
        assert exported(catalog, tmp_path / "out") == reference


def rob(catalog: Catalog) -> None:
    """Let the leases of a run run out, as a clock that jumps would, and free them."""
    from hcs.catalog import lease

    with catalog.reading() as connection:
        rows = connection.exec_driver_sql("select key, fence, owner from units where state = 'leased'").all()
    for key, fence, owner in rows:
        keep_leases(catalog, 1, owner, fences={key: fence}, seconds=-1)
    taken = lease(catalog, 1, "somebody else", limit=9, seconds=0)
    assert len(taken) == len(rows)


def test_a_run_that_is_cancelled_from_elsewhere_stops_its_driver_and_the_same_command_takes_it_up(
    screen: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:

        def cancel(spec: UnitSpec, outcome: UnitOutcome) -> None:
            if spec.kind == "embed" and get_run(catalog, 1, finished=False).state is RunState.RUNNING:
                cancel_run(catalog, 1)

        with pytest.raises(CancelledError, match="run-1 was cancelled"):
            perform(catalog, screen, LocalExecutor(threads=2), came=cancel)

        counts = count_units(catalog, 1)
        assert counts[UnitState.LEASED] == 0
        assert 0 < counts[UnitState.DONE] < counts[UnitState.DONE] + counts[UnitState.READY]
        assert perform(catalog, screen, LocalExecutor(threads=2)).run.state is RunState.COMPLETE
        assert exported(catalog, tmp_path / "out") == reference
