"""timm's backbones: made without weights, seeded, asked what they are, and folded for grey images."""

from __future__ import annotations

import copy
from threading import Lock
from typing import Any

import torch

from hcs.embedding.known import OTHER, Family, KnownEncoder
from hcs.embedding.state import state_digest
from hcs.embedding.torchvision_operators import import_timm
from hcs.errors import UnknownEncoderError

SEED = 0
"""Of `NAME.untrained`."""

_seeding = Lock()
"""torch's generator is one for all threads."""


def timm_names() -> list[str]:
    """Return the names of all backbones that timm can make."""
    return list(import_timm().list_models())


def create_backbone(architecture: str, **options: Any) -> torch.nn.Module:
    """Return a backbone that ends in its pooled embedding, in evaluation mode, with whatever random weights.

    Raises:
        UnknownEncoderError: If this version of timm does not make it.
    """
    timm = import_timm()
    if not timm.is_model(architecture):
        raise UnknownEncoderError(f"timm {timm.__version__} knows no backbone {architecture!r}")
    model: torch.nn.Module = timm.create_model(architecture, pretrained=False, **{"num_classes": 0, **options})
    return model.eval()


def create_untrained_backbone(architecture: str) -> torch.nn.Module:
    """Return a backbone with timm's random initialisation from seed 0; torch's own generator is left as it was."""
    with _seeding, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        return create_backbone(architecture)


def classifier_keys(architecture: str) -> set[str]:
    """Return the names of the tensors that only the classifier of a backbone has; an embedding does without them."""
    return set(create_backbone(architecture, num_classes=1).state_dict()) - set(
        create_backbone(architecture).state_dict()
    )


def describe_backbone(architecture: str, tag: str | None = None, *, family: Family = OTHER) -> KnownEncoder:
    """Return what timm says of a backbone and one of its trainings, and what trying it out shows.

    Args:
        architecture: timm's name.
        tag: Of the training; None is timm's default.
        family: What kind of network it is.

    Raises:
        UnknownEncoderError: If timm has no such backbone or no such training of it.
    """
    model = create_untrained_backbone(architecture)
    training = _training(architecture, tag)
    size = training.input_size[-1]
    return KnownEncoder(
        architecture=architecture,
        family=family,
        tag=training.tag or None,
        hub=training.hf_hub_id or None,
        licence=training.license or "unknown",
        mean=training.mean,
        std=training.std,
        embedding_size=_embed_noise(model, n_channels=3, size=size).shape[1],
        input_size=size if training.fixed_input_size else None,
        grey_stem=_grey_stem(model, training.first_conv, size=size),
        n_parameters=sum(parameter.numel() for parameter in model.parameters()),
        untrained_sha256=state_digest(model.state_dict()),
    )


def _training(architecture: str, tag: str | None) -> Any:
    name = f"{architecture}.{tag}" if tag else architecture
    try:
        return import_timm().get_pretrained_cfg(name)
    except RuntimeError as error:
        tags = sorted(full.partition(".")[2] for full in import_timm().list_pretrained(f"{architecture}.*"))
        raise UnknownEncoderError(
            f"timm knows the backbone {architecture}, but not its training {tag!r}; it has {', '.join(tags) or 'none'}"
        ) from error


def _embed_noise(model: torch.nn.Module, *, n_channels: int, size: int) -> torch.Tensor:
    noise = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(SEED))
    with torch.inference_mode():
        vectors: torch.Tensor = model(noise.expand(-1, n_channels, -1, -1))
    return vectors


def _grey_stem(model: torch.nn.Module, stem: Any, *, size: int) -> str | None:
    """Return the name of the first convolution if it may be folded for grey images: tried, not assumed."""
    convolution = dict(model.named_modules()).get(stem) if isinstance(stem, str) else None
    if not isinstance(convolution, torch.nn.Conv2d) or convolution.in_channels != 3 or convolution.groups != 1:
        return None
    folded = fold_grey_stem(copy.deepcopy(model), stem)
    expected = _embed_noise(model, n_channels=3, size=size)
    difference = (_embed_noise(folded, n_channels=1, size=size) - expected).norm() / expected.norm()
    return stem if difference < 1e-5 else None


def fold_grey_stem(model: torch.nn.Module, stem: str) -> torch.nn.Module:
    """Return the model, changed in place: its first convolution takes one grey channel instead of three equal ones.

    The kernels of the three are summed, which is the same function. Grey values are normalised by one mean and one
    standard deviation before, so that the borders, padded with zeros, stay the same too.
    """
    convolution = model.get_submodule(stem)
    if not isinstance(convolution, torch.nn.Conv2d):
        raise TypeError(f"a convolution is folded for grey images, but {stem} is {type(convolution).__name__}")
    red, green, blue = convolution.weight.detach().unbind(1)
    kernel = (red + green + blue).unsqueeze(-1).permute(0, 3, 1, 2)  # (O, 1, Y, X), strides of channels last
    convolution.weight = torch.nn.Parameter(kernel, requires_grad=False)
    convolution.in_channels = 1
    return model
