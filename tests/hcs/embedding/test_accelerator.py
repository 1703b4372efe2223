from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest
import torch

from hcs.embedding.accelerator import (
    compute_exactly,
    describe_accelerator,
    inexact_settings,
    missing_accelerator,
    require_accelerator,
)
from hcs.errors import EngineError

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")
pytestmark = pytest.mark.usefixtures("_precision_as_before")

INEXACT = [
    ("cuda.matmul", "fp32_precision", "tf32"),
    ("cudnn.conv", "fp32_precision", "tf32"),
    ("cudnn.rnn", "fp32_precision", "tf32"),
    ("cudnn", "enabled", False),
    ("cudnn", "benchmark", True),
    ("cudnn", "deterministic", False),
]


def put(owner: str, name: str, value: Any) -> None:
    setattr(attrgetter(owner)(torch.backends), name, value)


@pytest.mark.parametrize(("owner", "name", "value"), INEXACT)
def test_a_setting_that_is_not_exact_is_named_and_then_reset(owner: str, name: str, value: Any) -> None:
    compute_exactly()
    put(owner, name, value)

    assert inexact_settings() == [f"torch.backends.{owner}.{name} is {value!r}"]
    compute_exactly()
    assert inexact_settings() == []


@pytest.mark.parametrize(("owner", "name"), [("cuda.matmul", "allow_tf32"), ("cudnn", "allow_tf32")])
def test_products_rounded_by_an_older_switch_are_found_and_reset(owner: str, name: str) -> None:
    compute_exactly()
    put(owner, name, True)

    assert any("fp32_precision is 'tf32'" in setting for setting in inexact_settings())
    compute_exactly()
    assert inexact_settings() == []
    assert attrgetter(f"{owner}.{name}")(torch.backends) is False
    assert torch.get_float32_matmul_precision() == "highest"


def test_what_torch_does_by_itself_is_not_exact() -> None:
    put("cudnn", "allow_tf32", True)

    assert inexact_settings()


@needs_no_gpu
def test_a_machine_without_a_gpu_says_why_and_what_to_do() -> None:
    reason = missing_accelerator()

    assert reason is not None
    assert str(torch.__version__) in reason
    with pytest.raises(EngineError, match=r"needs an NVIDIA GPU.*nvidia-smi.*choose device 'cpu'"):
        require_accelerator()


@needs_gpu
def test_a_gpu_is_described_by_its_model_capability_and_libraries() -> None:
    assert missing_accelerator() is None
    description = describe_accelerator()

    assert description.startswith(torch.cuda.get_device_name())
    assert f" cuda {torch.version.cuda} cudnn " in description
