from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hcs.catalog import owner_of_this_process
from hcs.errors import StorageError
from hcs.pipeline.handshake import TOKEN, accept_answer, answer_token, offer_token
from schemas.work import RunPin, WorkOrder


@pytest.fixture
def order(tmp_path: Path) -> WorkOrder:
    return WorkOrder(
        run="run-1",
        code_version="0",
        pin=RunPin(instruction_set="AVX2", batch_size=1, torch="2"),
        encoders=(),
        parts_uri=str(tmp_path / "parts"),
        parts_folder="run-1",
    )


def files(order: WorkOrder) -> list[str]:
    return sorted(path.name for path in (Path(order.parts_uri) / order.parts_folder).iterdir())


def test_a_worker_that_sees_the_same_folder_is_accepted_and_nothing_is_left(order: WorkOrder) -> None:
    with offer_token(order) as token:
        answers = [answer_token(order, token) for _ in range(2)]
        for answer in answers:
            accept_answer(order, answer)

    assert len(set(answers)) == 2
    assert files(order) == []


def test_a_worker_with_another_folder_of_the_same_name_does_not_see_the_token(order: WorkOrder, tmp_path: Path) -> None:
    elsewhere = order.model_copy(update={"parts_uri": str(tmp_path / "elsewhere")})

    with offer_token(order) as token, pytest.raises(StorageError, match="share the parts folder"):
        answer_token(elsewhere, token)


def test_an_answer_that_lies_elsewhere_is_refused(order: WorkOrder) -> None:
    with offer_token(order), pytest.raises(StorageError, match="not to be seen here"):
        accept_answer(order, ".answer-of-somebody")


def test_tokens_of_coordinators_that_were_killed_are_removed_and_no_others(order: WorkOrder) -> None:
    host, _, start, tail = owner_of_this_process().split("/")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with offer_token(order) as mine:
        folder = Path(order.parts_uri) / order.parts_folder
        (folder / f"{TOKEN}dead").write_text(f"{host}/{ended.pid}/{start}/{tail}")
        (folder / f"{TOKEN}elsewhere").write_text(f"another/{ended.pid}/{start}/{tail}")

        with offer_token(order) as other:
            assert files(order) == sorted(f"{TOKEN}{name}" for name in (mine, other, "elsewhere"))


def test_a_folder_that_cannot_be_written_is_said(order: WorkOrder, tmp_path: Path) -> None:
    (tmp_path / "parts").write_text("a file")

    with pytest.raises(StorageError, match="parts"), offer_token(order):
        pass
