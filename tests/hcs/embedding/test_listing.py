from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from packaged import package

from hcs.embedding.known import known_encoders
from hcs.embedding.listing import Whereabouts, is_absent, list_encoders
from hcs.embedding.registry import describe_encoder
from hcs.errors import WeightsError
from hcs.settings import Settings
from schemas.screen import EncoderChoice

SMALL = {"weight": torch.zeros(2, 3)}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_packaged_encoders_come_first_then_named_then_backbones(tmp_path: Path, settings: Settings) -> None:
    for architecture in ("pvt_v2_b0", "mobilenetv3_small_100"):
        package(tmp_path / "packaged", architecture, SMALL)

    names = [encoder.name for encoder in list_encoders(settings=settings, folder=tmp_path / "packaged")]

    assert names == ["mobilenetv3_small_100.hcs", "pvt_v2_b0.hcs", "named", *sorted(known_encoders())]


def test_a_listed_encoder_is_what_a_run_would_describe(tmp_path: Path, settings: Settings) -> None:
    package(tmp_path, "pvt_v2_b0", SMALL)
    package(settings.weights_cache, "swin_tiny_patch4_window7_224", SMALL)
    listed = {encoder.name: encoder for encoder in list_encoders(settings=settings, folder=tmp_path)}

    for name in ("pvt_v2_b0.hcs", "named", "swin_tiny_patch4_window7_224"):
        info = describe_encoder(EncoderChoice(name=name), settings=settings, folder=tmp_path)
        assert listed[name].licence == info.licence
        assert listed[name].embedding_size == info.embedding_size
        assert listed[name].input_size == info.input_size
        assert listed[name].sha256 in {info.weights_sha256, None}


def test_it_is_said_where_the_weights_of_each_are(tmp_path: Path, settings: Settings) -> None:
    packaged, kept, hub = tmp_path / "packaged", settings.weights_cache, tmp_path / "hub"
    own = package(packaged, "pvt_v2_b0", SMALL)
    package(packaged, "pvt_v2_b1", SMALL).write_bytes(b"exchanged")
    here = package(kept, "resnet18", SMALL)
    (kept / "resnet50.safetensors").write_bytes(b"torn")
    snapshot = hub / "models--timm--levit_256.fb_dist_in1k" / "snapshots" / ("a" * 40)
    fetched = package(snapshot, "model", SMALL)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("a" * 40)

    def found(offline: bool) -> dict[str, tuple[Whereabouts, str | None]]:
        asked = settings.model_copy(update={"offline": offline})
        listed = list_encoders(settings=asked, folder=packaged, hub_cache=hub)
        return {encoder.name: (encoder.weights, encoder.sha256) for encoder in listed}

    online, offline = found(offline=False), found(offline=True)

    assert online["pvt_v2_b0.hcs"] == (Whereabouts.PACKAGED, sha256(own))
    assert online["pvt_v2_b1.hcs"] == (Whereabouts.REFUSED, None)
    assert online["named"] == (Whereabouts.NOT_NEEDED, None)
    assert online["resnet18"] == (Whereabouts.HERE, sha256(here))
    assert online["resnet50"] == (Whereabouts.REFUSED, None)
    assert online["levit_256"] == (Whereabouts.HERE, sha256(fetched))
    assert online["pvt_v2_b0"] == (Whereabouts.TO_BE_FETCHED, None)
    assert offline["pvt_v2_b0"] == (Whereabouts.ABSENT, None)
    assert offline["resnet18"] == online["resnet18"]


def test_a_packaged_backbone_that_is_not_known_is_listed_with_what_is(tmp_path: Path, settings: Settings) -> None:
    package(tmp_path, "ghostnet_050", SMALL)

    first = list_encoders(settings=settings, folder=tmp_path)[0]

    assert (first.name, first.weights) == ("ghostnet_050.hcs", Whereabouts.PACKAGED)
    assert first.family is first.parameters is first.embedding_size is None


def test_only_timms_own_weights_can_be_absent(tmp_path: Path, settings: Settings, weights_file: Path) -> None:
    known = known_encoders()["pvt_v2_b0"]

    def absent(**choice: str) -> bool:
        return is_absent(EncoderChoice.model_validate(choice), known, settings=settings)

    assert absent(name="pvt_v2_b0")
    assert absent(name="pvt_v2_b0.in1k")
    for name in ("pvt_v2_b0.hcs", "pvt_v2_b0.untrained"):
        assert not absent(name=name)
    assert not absent(name="pvt_v2_b0", weights=str(weights_file))
    package(settings.weights_cache, "pvt_v2_b0", SMALL).write_bytes(b"torn")
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        absent(name="pvt_v2_b0")


PROBE = """
import sys
from pathlib import Path

def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "urllib.Request"}:
        raise RuntimeError(f"the network was asked: {event}")

sys.addaudithook(refuse)
from hcs.embedding.facts import encoder_facts
from hcs.embedding.listing import list_encoders
from hcs.settings import Settings
from schemas.screen import EncoderChoice

folder = Path(sys.argv[1])
settings = Settings(weights_cache=folder / "cache", offline=False)
listed = list_encoders(settings=settings, folder=folder, hub_cache=folder / "hub")
for name in ("pvt_v2_b0.hcs", "named", "pvt_v2_b0", "pvt_v2_b0.untrained"):
    encoder_facts(EncoderChoice(name=name), settings=settings, folder=folder)
print(len(listed), {"torch", "timm", "torchvision"} & set(sys.modules))
"""


def test_encoders_are_listed_and_shown_without_torch_and_without_the_network(tmp_path: Path) -> None:
    package(tmp_path, "pvt_v2_b0", SMALL)

    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE, tmp_path], capture_output=True, text=True, check=False
    )

    assert ended.stdout == f"{2 + len(known_encoders())} set()\n", ended.stderr
