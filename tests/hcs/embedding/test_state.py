from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import save
from structlog.testing import capture_logs

from hcs.embedding.backbones import classifier_keys, create_backbone
from hcs.embedding.state import load_state, read_state, state_digest
from hcs.errors import WeightsError

Tensors = Callable[[], dict[str, torch.Tensor]]
SMALL = "mobilenetv3_small_050"


def test_the_digest_depends_on_names_shapes_types_and_values_but_not_on_order() -> None:
    state = {"a": torch.arange(6.0), "b": torch.ones(2)}
    others = [
        {"a": torch.arange(6.0), "c": torch.ones(2)},
        {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)},
        {"a": torch.arange(6.0), "b": torch.ones(2, dtype=torch.float64)},
        {"a": torch.arange(6.0), "b": torch.tensor([1.0, 1.0000001])},
        {"a": torch.arange(6.0)},
    ]

    assert state_digest(dict(reversed(state.items()))) == state_digest(state)
    assert len({state_digest(other) for other in [state, *others]}) == 6


def test_the_digest_does_not_depend_on_the_order_in_memory() -> None:
    image = torch.rand(2, 3, 4, 5)

    assert state_digest({"a": image.contiguous(memory_format=torch.channels_last)}) == state_digest({"a": image})


def test_all_numbers_are_set(tensors: Tensors) -> None:
    model = create_backbone(SMALL)

    load_state(model, tensors(), source="ours")

    assert state_digest(model.state_dict()) == state_digest(tensors())


def test_half_precision_is_widened(tensors: Tensors) -> None:
    state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors().items()}
    model = create_backbone(SMALL)

    load_state(model, state, source="ours")

    loaded = model.state_dict()["conv_stem.weight"]
    assert loaded.dtype == torch.float32
    assert torch.equal(loaded, state["conv_stem.weight"].float())


def test_the_classifier_is_ignored_and_said_so(tensors: Tensors) -> None:
    state = tensors() | {"classifier.weight": torch.ones(1001, 1024), "classifier.bias": torch.ones(1001)}
    model = create_backbone(SMALL)

    with capture_logs() as logs:
        load_state(model, state, ignored=classifier_keys(SMALL), source="ours")

    assert state_digest(model.state_dict()) == state_digest(tensors())
    assert [(log["log_level"], log["tensors"]) for log in logs] == [("debug", ["classifier.bias", "classifier.weight"])]


def test_a_counter_that_only_training_needs_may_be_missing(tensors: Tensors) -> None:
    state = {name: tensor for name, tensor in tensors().items() if "num_batches_tracked" not in name}
    model = create_backbone(SMALL)

    load_state(model, state, source="ours")

    assert torch.equal(model.state_dict()["conv_stem.weight"], state["conv_stem.weight"])


def test_weights_that_do_not_fit_are_refused_with_what_differs(tensors: Tensors) -> None:
    state = tensors()
    n_tensors = len(state)
    for name in ("conv_stem.weight", "bn1.weight", "bn1.bias", "conv_head.weight"):
        del state[name]
    state["stranger"] = torch.ones(1)
    state["conv_head.bias"] = torch.ones(7)
    state["bn1.running_mean"] = state["bn1.running_mean"].long()
    model = create_backbone(SMALL)
    before = state_digest(model.state_dict())

    with pytest.raises(WeightsError) as refused:
        load_state(model, state, source="ours.safetensors")

    for part in (
        f"ours.safetensors does not fit: of {n_tensors} tensors",
        "4 are missing (bn1.bias, bn1.weight, conv_head.weight, ...)",
        "1 are unexpected (stranger)",
        "2 have another shape (bn1.running_mean: expected 16, got 16 of torch.int64, "
        "conv_head.bias: expected 1024, got 7)",
    ):
        assert part in str(refused.value)
    assert state_digest(model.state_dict()) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_with_nan_or_infinity_are_refused(tensors: Tensors, value: float) -> None:
    state = tensors()
    state["conv_head.weight"][3, 5] = value

    with pytest.raises(WeightsError, match=r"NaN or infinity in 1 of .* \(conv_head\.weight\)"):
        load_state(create_backbone(SMALL), state, source="ours")


def test_numbers_that_only_double_precision_holds_are_refused(tensors: Tensors) -> None:
    state = {name: value.double() if value.is_floating_point() else value for name, value in tensors().items()}
    load_state(create_backbone(SMALL), state, source="ours")
    state["conv_head.weight"][3, 5] = 1e300

    with pytest.raises(WeightsError, match=r"infinity in 1 of .* \(conv_head\.weight\), in single precision"):
        load_state(create_backbone(SMALL), state, source="ours")


def test_numbers_of_eight_bits_are_refused(tensors: Tensors) -> None:
    state = tensors()
    state["conv_head.weight"] = state["conv_head.weight"].to(torch.float8_e4m3fn)

    with pytest.raises(WeightsError, match=r"1 have another shape .*of torch\.float8_e4m3fn"):
        load_state(create_backbone(SMALL), state, source="ours")


def test_a_safetensors_file_is_read_and_a_torn_one_refused(tensors: Tensors) -> None:
    content = save(tensors())

    assert state_digest(read_state(content, source="ours")) == state_digest(tensors())
    with pytest.raises(WeightsError, match="ours is not a complete safetensors file"):
        read_state(content[:-1], source="ours")
