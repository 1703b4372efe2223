"""The numbers of a backbone by name: their digest, and whether a file's numbers fit."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

import structlog
import torch
from safetensors import SafetensorError
from safetensors.torch import load

from hcs.errors import WeightsError

REAL = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
"""Precisions that weights may have; they are computed with in single precision."""

LONGEST_NAME = 120
N_EXAMPLES = 3
"""Tensors that a message names of each kind."""

log = structlog.get_logger(__name__)

State = Mapping[str, torch.Tensor]


def state_digest(state: State) -> str:
    """Return the SHA-256 of names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def read_state(content: bytes, *, source: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file.

    Args:
        content: Of the file.
        source: What to call it in a message.

    Raises:
        WeightsError: If it is not a complete safetensors file.
    """
    try:
        return load(content)
    except SafetensorError as error:
        raise WeightsError(f"{source} is not a complete safetensors file ({error}); fetch it again") from error


def load_state(model: torch.nn.Module, state: State, *, ignored: Collection[str] = (), source: str) -> None:
    """Set the numbers of a model, all of them, or none if they do not fit.

    Args:
        model: The backbone, changed in place.
        state: Its numbers by name; half precision is widened.
        ignored: Names that may be in the state though the model has no use for them: the classifier.
        source: What to call the state in a message.

    Raises:
        WeightsError: If tensors are missing, unexpected, of another shape or kind, or hold NaN or infinity.
    """
    expected = model.state_dict()
    problems = [*_names_that_differ(expected, state, ignored), *_shapes_that_differ(expected, state)]
    if problems:
        raise WeightsError(
            f"{source} does not fit: of {len(expected)} tensors {'; '.join(problems)}; "
            "name the encoder that these weights were made for"
        )
    _refuse_non_finite(expected, state, source=source)
    dropped = sorted(set(ignored) & set(state))
    if dropped:
        log.debug("the classifier of the weights is not used", weights=source, tensors=dropped)
    model.load_state_dict({name: state[name] for name in expected if name in state}, strict=False)


def _names_that_differ(expected: State, state: State, ignored: Collection[str]) -> list[str]:
    # the counter of batch normalisation is only used in training, and many files do without it
    missing = sorted(name for name in expected if name not in state and not name.endswith(".num_batches_tracked"))
    unexpected = sorted(set(state) - set(expected) - set(ignored))
    return [*_examples("are missing", missing), *_examples("are unexpected", unexpected)]


def _shapes_that_differ(expected: State, state: State) -> list[str]:
    other = [
        f"{name}: expected {_kind(expected[name])}, got {_kind(state[name])}"
        for name in sorted(set(expected) & set(state))
        if _kind(expected[name]) != _kind(state[name])
    ]
    return _examples("have another shape", other)


def _kind(tensor: torch.Tensor) -> str:
    """Return shape, and what kind of number where it is not a real one; precision does not matter."""
    shape = "x".join(map(str, tensor.shape)) or "a number"
    return shape if tensor.dtype in REAL else f"{shape} of {tensor.dtype}"


def _examples(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(name[:LONGEST_NAME] for name in names[:N_EXAMPLES]) + (", ..." if len(names) > N_EXAMPLES else "")
    return [f"{len(names)} {what} ({shown})"]


def _refuse_non_finite(expected: State, state: State, *, source: str) -> None:
    held = [name for name in expected if name in state]
    bad = sorted(name for name in held if not bool(torch.isfinite(state[name].to(expected[name].dtype)).all()))
    if bad:
        raise WeightsError(
            f"{source} holds NaN or infinity in {len(bad)} of {len(expected)} tensors ({', '.join(bad[:N_EXAMPLES])}), "
            "in single precision at least: its training or conversion failed; take another file"
        )
