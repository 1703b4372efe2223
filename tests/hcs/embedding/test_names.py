from __future__ import annotations

import pytest

from hcs.embedding.names import EncoderName, Training, parse_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pvt_v2_b0", EncoderName("pvt_v2_b0", None, Training.TIMM)),
        ("pvt_v2_b0.in1k", EncoderName("pvt_v2_b0", "in1k", Training.TIMM)),
        ("pvt_v2_b0.untrained", EncoderName("pvt_v2_b0", None, Training.UNTRAINED)),
        ("pvt_v2_b0.hcs", EncoderName("pvt_v2_b0", None, Training.PACKAGED)),
        ("pvt_v2_b0.in1k.untrained", EncoderName("pvt_v2_b0", "in1k", Training.UNTRAINED)),
        ("hcs", EncoderName("hcs", None, Training.TIMM)),
        (".untrained", EncoderName("", "untrained", Training.TIMM)),
    ],
)
def test_a_name_says_backbone_tag_and_training(text: str, expected: EncoderName) -> None:
    assert parse_name(text) == expected
