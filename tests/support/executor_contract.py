"""What every executor promises, as tests: a suite of an executor is a class that inherits these."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest
from held import HeldImage
from plates import PLANES_A_SITE, Work, encoders, work_of
from safetensors.torch import save_file

from hcs.embedding.backbones import create_untrained_backbone
from hcs.embedding.registry import describe_encoder
from hcs.errors import EngineError, StorageError, WeightsError
from hcs.settings import Settings
from schemas.encoders import EncoderInfo
from schemas.screen import EncoderChoice
from schemas.work import Executor, UnitOutcome, UnitSpec

PATIENCE = 120.0


def collect(executor: Executor, n_outcomes: int) -> dict[str, UnitOutcome]:
    """Wait for so many outcomes; each unit comes back once."""
    came: dict[str, UnitOutcome] = {}
    give_up = time.monotonic() + PATIENCE
    while len(came) < n_outcomes:
        assert time.monotonic() < give_up, f"only {len(came)} of {n_outcomes} units came back"
        for outcome in executor.wait(1.0):
            assert outcome.key not in came
            came[outcome.key] = outcome
    return came


def await_room(executor: Executor, n_units: int) -> None:
    """Wait until so many units more are taken: workers of a pool join one by one."""
    give_up = time.monotonic() + PATIENCE
    while executor.capacity() < n_units:
        assert time.monotonic() < give_up, f"there is room for {executor.capacity()} units, not for {n_units}"
        assert executor.wait(0.2) == []


def perform(executor: Executor, units: Iterable[UnitSpec]) -> dict[str, UnitOutcome]:
    """Perform units as a coordinator does: never more at once than the executor takes."""
    todo, came, n_out = list(units), {}, 0
    give_up = time.monotonic() + PATIENCE
    while todo or n_out:
        assert time.monotonic() < give_up
        while todo and executor.capacity() > 0:
            executor.submit(todo.pop(0))
            n_out += 1
        outcomes = executor.wait(1.0)
        n_out -= len(outcomes)
        came |= {outcome.key: outcome for outcome in outcomes}
    return came


def files_of(folder: Path) -> set[str]:
    """Return the relative paths of all files in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def trained(folder: Path) -> EncoderInfo:
    """An encoder with a file of weights of its own."""
    path = folder / "weights.safetensors"
    save_file(
        {
            name: value.contiguous()
            for name, value in create_untrained_backbone("mobilenetv3_small_100").state_dict().items()
        },
        path,
    )
    choice = EncoderChoice(name="mobilenetv3_small_100", weights=str(path))
    return describe_encoder(choice, settings=Settings(offline=True))


class ExecutorContract:
    """Takes the fixtures `executor`, a new one with two workers, and `alone`, one with one; neither is opened yet."""

    @pytest.fixture
    def work(self, executor: Executor, tmp_path: Path) -> Work:
        return work_of(tmp_path, executor.pin(PLANES_A_SITE))

    def test_every_unit_comes_back_once_with_the_bytes_that_a_workbench_writes_and_leaves_parts_alone(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        work = work_of(tmp_path, executor.pin(PLANES_A_SITE), n_wells=7, infos=encoders())
        executor.open(work.order)

        came = perform(executor, work.units)
        executor.close()

        assert {key: work.sha256s(outcome.receipt) for key, outcome in came.items()} == work.expected
        assert max(len(outcome.receipt.model_dump_json()) for outcome in came.values()) < 10_000
        assert files_of(tmp_path / "parts") == {
            part.relative_path for outcome in came.values() for part in outcome.receipt.parts
        }

    def test_it_takes_no_more_than_two_units_a_worker(self, executor: Executor, tmp_path: Path) -> None:
        work = work_of(tmp_path, executor.pin(PLANES_A_SITE), n_wells=9)
        executor.open(work.order)
        with ExitStack() as stack:
            for image in sorted((tmp_path / "plate").glob("*-DNA.tif")):
                stack.enter_context(HeldImage(image))
            todo = list(work.units)
            give_up = time.monotonic() + 20
            while len(executor.steps()) < 2 and time.monotonic() < give_up:  # workers of a pool join one by one
                while todo and executor.capacity() > 0:
                    executor.submit(todo.pop(0))
                assert executor.wait(0.5) == []
            assert executor.capacity() == 0
            assert 2 <= len(work.units) - len(todo) <= 4
            assert len(executor.steps()) == 2

    def test_a_unit_that_raises_is_an_outcome_with_its_reason_and_the_others_come_back(
        self, alone: Executor, work: Work
    ) -> None:
        bad = work.units[1].model_copy(update={"survey_uri": None})
        alone.open(work.order)

        came = perform(alone, [work.units[0], bad, *work.units[2:]])

        assert came[bad.key].receipt is None
        assert came[bad.key].was_started
        assert "survey" in (came[bad.key].reason or "")
        assert all(outcome.receipt for key, outcome in came.items() if key != bad.key)

    def test_an_image_that_cannot_be_read_is_a_row_and_no_failure(
        self, alone: Executor, work: Work, tmp_path: Path
    ) -> None:
        (tmp_path / "plate" / "A01-DNA.tif").write_bytes(b"no image")
        alone.open(work.order)

        came = perform(alone, work.units)

        assert sum(outcome.receipt.n_failed_sites for outcome in came.values()) == 1

    def test_steps_tell_a_unit_that_moves_from_one_that_hangs(
        self, executor: Executor, work: Work, tmp_path: Path
    ) -> None:
        executor.open(work.order)
        with HeldImage(tmp_path / "plate" / "A01-DNA.tif") as held:
            executor.submit(work.units[0])
            held.wait_until_read()
            await_room(executor, 2)  # of one worker there is room for one, behind the first
            for _ in range(3):
                executor.wait(0.2)
                assert executor.steps()[work.units[0].key].done == 0
            assert executor.steps()[work.units[0].key].at == "read A01 site 1"
            executor.submit(work.units[1])
            assert set(collect(executor, 1)) == {work.units[1].key}

    def test_a_hanging_unit_can_be_abandoned_and_the_others_come_back(
        self, executor: Executor, work: Work, tmp_path: Path
    ) -> None:
        executor.open(work.order)
        with HeldImage(tmp_path / "plate" / "A01-DNA.tif") as held:
            executor.submit(work.units[0])
            held.wait_until_read()
            executor.abandon(work.units[0].key)
            held.release()

            again = work.units[0].model_copy(update={"attempt": 2})
            came = perform(executor, [again, *work.units[1:]])

        assert {key: work.sha256s(outcome.receipt) for key, outcome in came.items()} == work.expected

    def test_a_parts_folder_that_cannot_be_written_is_said_when_it_is_opened(
        self, alone: Executor, work: Work, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("no folder")
        order = work.order.model_copy(update={"parts_uri": str(tmp_path / "file" / "parts")})

        with pytest.raises(StorageError, match="file"):
            alone.open(order)

    def test_parts_that_cannot_be_written_any_more_are_no_units_fault(
        self, alone: Executor, work: Work, tmp_path: Path
    ) -> None:
        alone.open(work.order)
        (tmp_path / "parts" / "run-1").rename(tmp_path / "elsewhere")
        (tmp_path / "parts" / "run-1").write_text("no folder")

        with pytest.raises(StorageError, match="run-1"):
            perform(alone, work.units)

    def test_weights_that_changed_since_they_were_described_are_said_when_it_is_opened(
        self, alone: Executor, work: Work, tmp_path: Path
    ) -> None:
        info = trained(tmp_path)
        content = bytearray((tmp_path / "weights.safetensors").read_bytes())
        content[-1] ^= 1
        (tmp_path / "weights.safetensors").write_bytes(content)

        with pytest.raises(WeightsError, match="changed"):
            alone.open(work.order.model_copy(update={"encoders": (info,)}))

    def test_a_pin_that_its_workers_cannot_honour_is_said_when_it_is_opened(self, alone: Executor, work: Work) -> None:
        pin = work.order.pin.model_copy(update={"instruction_set": "a processor of the future"})

        with pytest.raises(EngineError, match="pinned"):
            alone.open(work.order.model_copy(update={"pin": pin}))

    def test_it_can_be_closed_with_work_in_its_hands_and_opened_again(self, alone: Executor, work: Work) -> None:
        alone.open(work.order)
        for unit in work.units[:2]:
            alone.submit(unit)
        alone.close()
        alone.close()

        alone.open(work.order)
        came = perform(alone, work.units)

        assert {key: work.sha256s(outcome.receipt) for key, outcome in came.items()} == work.expected

    def test_waiting_without_work_returns_nothing_and_in_time(self, alone: Executor, work: Work) -> None:
        alone.open(work.order)
        started = time.monotonic()

        assert alone.wait(0.2) == []

        assert time.monotonic() - started < 5
        assert alone.steps() == {}
