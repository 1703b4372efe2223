"""A described encoder, loaded: its backbone with exactly the described weights, on the device that was asked for."""

from __future__ import annotations

import torch

from hcs.embedding.accelerator import require_accelerator
from hcs.embedding.backbones import classifier_keys, create_backbone, create_untrained_backbone, fold_grey_stem
from hcs.embedding.engine import Device
from hcs.embedding.forward import AcceleratedEncoder, BackboneEncoder
from hcs.embedding.known import known_encoders
from hcs.embedding.names import NAMED
from hcs.embedding.state import load_state, read_state, state_digest
from hcs.embedding.torchvision_operators import import_timm
from hcs.embedding.weights import read_weights
from hcs.errors import UsageError, WeightsError
from schemas.encoders import Encoder, EncoderInfo, WeightsOrigin


def load_encoder(info: EncoderInfo, *, device: Device = "cpu") -> Encoder:
    """Return the encoder that was described, with exactly the weights of the description.

    Args:
        info: The description.
        device: What computes its forwards; `cuda` is the current GPU of this process.

    Raises:
        EngineError: If the device is `cuda` and torch cannot compute on a GPU here.
        WeightsError: If the weights are gone, are not those of the description, or do not fit the backbone.
        UnknownEncoderError: If this version of timm does not make the backbone.
        UsageError: If it is `named`, which has nothing to load.
    """
    if info.architecture == NAMED:
        raise UsageError(f"the encoder {NAMED} is computed by hcs.imaging.features: there is nothing to load")
    if device == "cuda":
        require_accelerator()
    model = _untrained(info) if info.weights_origin is WeightsOrigin.UNTRAINED else _trained(info)
    model.requires_grad_(False)
    # never slower, and twice as fast for MobileNets; the folded kernel has its strides already
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    encoder = AcceleratedEncoder if device == "cuda" else BackboneEncoder
    known = known_encoders().get(info.architecture)
    if known is None or known.grey_stem is None:
        return encoder(info, model, n_channels=3)
    return encoder(info, fold_grey_stem(model, known.grey_stem), n_channels=1)


def _untrained(info: EncoderInfo) -> torch.nn.Module:
    model = create_untrained_backbone(info.architecture)
    found = state_digest(model.state_dict())
    if found != info.weights_sha256:
        versions = f"torch {torch.__version__} with timm {import_timm().__version__}"
        raise WeightsError(
            f"the random weights of {info.name} were described with SHA-256 {info.weights_sha256}, but "
            f"{versions} makes {found} of the same seed on this processor ({torch.backends.cpu.get_cpu_capability()}); "
            "install the versions of constraints.txt, on a processor with AVX2"
        )
    return model


def _trained(info: EncoderInfo) -> torch.nn.Module:
    model = create_backbone(info.architecture)
    source = f"{info.weights_uri} for {info.name}"
    state = read_state(read_weights(info), source=source)
    has_more = not set(state) <= set(model.state_dict())
    ignored = classifier_keys(info.architecture) if has_more else set()
    load_state(model, state, ignored=ignored, source=source)
    return model
