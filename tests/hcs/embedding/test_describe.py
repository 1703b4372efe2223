from __future__ import annotations

import json

from hcs.embedding.describe import ARCHITECTURES, describe_architectures
from hcs.embedding.known import DATA_FILE, known_encoders


def test_the_data_file_is_true_of_two_encoders() -> None:
    stored = {row["architecture"]: row for row in json.loads(DATA_FILE.read_text(encoding="utf-8"))["encoders"]}

    made = json.loads(
        describe_architectures(
            {"convolutional": ("mobilenetv3_small_100",), "hierarchical transformer": ("pvt_v2_b0",)}
        )
    )

    assert made["encoders"] == [stored["mobilenetv3_small_100"], stored["pvt_v2_b0"]]


def test_the_data_file_holds_every_listed_backbone_with_its_family() -> None:
    listed = {name: family for family, members in ARCHITECTURES.items() for name in members}

    assert {name: known.family for name, known in known_encoders().items()} == listed
