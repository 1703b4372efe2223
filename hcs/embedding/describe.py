"""Writes the data file of the known encoders: `python -m hcs.embedding.describe [FILE]`.

Run it when a backbone is added here, or with a new release of timm or torch whose random weights differ.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from hcs.embedding.backbones import describe_backbone
from hcs.embedding.known import Family
from hcs.embedding.torchvision_operators import import_timm

ARCHITECTURES: dict[Family, tuple[str, ...]] = {
    "convolutional": (
        "convnext_atto",
        "convnext_tiny",
        "convnextv2_atto",
        "efficientnet_b0",
        "mobilenetv3_large_100",
        "mobilenetv3_small_050",
        "mobilenetv3_small_100",
        "mobilenetv4_conv_small",
        "resnet18",
        "resnet50",
        "tf_mobilenetv3_large_minimal_100",
        "tf_mobilenetv3_small_minimal_100",
    ),
    "hierarchical transformer": (
        "efficientvit_b0",
        "hiera_small_abswin_256",
        "hiera_tiny_224",
        "levit_256",
        "maxvit_tiny_tf_224",
        "mobilevit_xxs",
        "pvt_v2_b0",
        "pvt_v2_b1",
        "pvt_v2_b2",
        "swin_tiny_patch4_window7_224",
        "swinv2_tiny_window8_256",
        "tiny_vit_5m_224",
        "tiny_vit_21m_224",
    ),
    "transformer": ("vit_tiny_patch16_224",),
}
"""What the data file holds: those of the papers and tables that screens are compared with, large and small."""


def describe_architectures(architectures: dict[Family, tuple[str, ...]] = ARCHITECTURES) -> str:
    """Return the data file: what was used to make it, and one object a backbone, sorted by name."""
    encoders = [
        describe_backbone(architecture, family=family)
        for family, members in architectures.items()
        for architecture in members
    ]
    table = {
        "made_with": {
            "timm": import_timm().__version__,
            "torch": str(torch.__version__).partition("+")[0],
            "instruction_set": torch.backends.cpu.get_cpu_capability(),
        },
        "encoders": [
            encoder.model_dump(mode="json") for encoder in sorted(encoders, key=lambda encoder: encoder.architecture)
        ],
    }
    return json.dumps(table, indent=1) + "\n"


def main() -> None:
    """Write the data file to the path that was named, else to stdout."""
    text = describe_architectures()
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
