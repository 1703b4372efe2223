"""The commands on an installation that holds packaged weights: a copy of the packages, as a wheel unpacks them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import typer
from click.testing import Result
from commands import Finished, hcs
from packaged import HEADER, package, record, trained_state
from typer.testing import CliRunner

from hcs.cli import encoders
from hcs.embedding.known import known_encoders
from hcs.errors import UsageError, WeightsError

NAME = "mobilenetv3_small_050"
CARD = "# mobilenetv3_small_050.hcs\n\nFor tests.\n"
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """The tensors of a small backbone."""
    return trained_state(NAME)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages without their weights; what is started in its folder imports it."""
    folder = tmp_path_factory.mktemp("installation")
    for name in ("hcs", "schemas"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    return folder


@pytest.fixture
def weights(copy: Path) -> Iterator[Path]:
    """The folder of the copy's packaged weights, empty."""
    folder = copy / "hcs" / "embedding" / "weights"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def give(copy: Path, tmp_path: Path) -> Callable[..., Finished]:
    """Give a command to the copy, which reaches neither the hub nor the caches of this machine."""
    apart = {"HCS_WEIGHTS_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hub"), "HCS_OFFLINE": "1"}

    def run(*arguments: object) -> Finished:
        return hcs(*arguments, cwd=copy, **apart)

    return run


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def break_all(weights: Path, state: dict[str, torch.Tensor]) -> dict[str, str]:
    """Package one encoder that is whole and many that are broken, each in its way: name -> what is to be said of it."""
    package(weights, NAME, state)
    package(weights, "pvt_v2_b0", state)
    harmed = trained_state("mobilenetv3_small_100")
    harmed["conv_stem.weight"][0] = float("nan")
    package(weights, "mobilenetv3_small_100", harmed)
    torn = package(weights, "resnet18", state)
    torn.write_bytes(torn.read_bytes()[:-100])
    package(weights, "resnet50", state).write_bytes(pickle.dumps({"state": 1}))
    package(weights, "levit_256", state, header={"note": "a"})
    shutil.copyfile(weights / f"{NAME}.safetensors", weights / "levit_256.safetensors")
    shutil.copyfile(weights / f"{NAME}.safetensors", weights / "convnext_atto.safetensors")
    record(weights / "pvt_v2_b1.safetensors", "0" * 64)
    return {
        NAME: "",
        "pvt_v2_b0": "does not fit",
        "mobilenetv3_small_100": "holds NaN",
        "resnet18": "not a complete safetensors file",
        "resnet50": "holds a pickle, which is never opened",
        "levit_256": "that SHA256SUMS beside them records, but have",
        "convnext_atto": "no line on convnext_atto.safetensors",
        "pvt_v2_b1": "cannot be read",
    }


def test_an_installation_without_packaged_encoders_lists_what_there_is(give: Callable[..., Finished]) -> None:
    listed, verified = give("encoders", "list", "--format", "csv"), give("encoders", "verify", "--format", "json")

    assert listed.code == 0, listed.err
    rows = list(csv.DictReader(io.StringIO(listed.out)))
    assert [row["name"] for row in rows] == ["named", *sorted(known_encoders())]
    assert {row["weights"] for row in rows} == {"none needed", "not here"}
    assert {row["sha256"] for row in rows} == {""}
    assert {row["name"]: row["input"] for row in rows}["vit_tiny_patch16_224"] == "224"
    assert (verified.code, json.loads(verified.out)) == (0, [])
    assert "no packaged encoders" in verified.err


def test_a_whole_encoder_is_listed_shown_and_verified(
    give: Callable[..., Finished], weights: Path, state: dict[str, torch.Tensor]
) -> None:
    digest = sha256(package(weights, NAME, state, card=CARD))

    rows = json.loads(give("encoders", "list", "--format", "json").out)
    table = give("encoders", "list").out
    shown = json.loads(give("encoders", "show", f"{NAME}.hcs", "--format", "json").out)
    read = give("encoders", "show", f"{NAME}.hcs").out
    verified = give("encoders", "verify", "--format", "json")

    assert rows[0] == {
        "name": f"{NAME}.hcs",
        "family": "convolutional",
        "licence": "BSD-3-Clause",
        "parameters": 568224,
        "embedding_size": 1024,
        "input": "any",
        "weights": "packaged",
        "sha256": digest,
    }
    assert digest[:12] in table
    assert digest not in table
    assert shown["recipe"] == json.loads(HEADER["recipe"])
    assert (shown["mean"], shown["std"], shown["weights"]) == (0.125, 0.0625, "packaged")
    assert read.endswith(f"\nmodel card:\n{CARD}")
    assert '\nrecipe:\n{\n  "epochs": 3' in read
    assert verified.code == 0, verified.err
    assert json.loads(verified.out) == [{"name": f"{NAME}.hcs", "verdict": "ok", "sha256": digest, "reason": None}]


def test_every_broken_encoder_is_a_row_with_its_reason(
    give: Callable[..., Finished], weights: Path, state: dict[str, torch.Tensor]
) -> None:
    expected = break_all(weights, state)

    verified, listed = give("encoders", "verify", "--format", "json"), give("encoders", "list", "--format", "json")

    assert verified.code == 4, verified.err
    rows = {row["name"]: row for row in json.loads(verified.out)}
    assert set(rows) == {f"{name}.hcs" for name in expected}
    for name, said in expected.items():
        assert said in (rows[f"{name}.hcs"]["reason"] or ""), name
        assert rows[f"{name}.hcs"]["verdict"] == ("failed" if said else "ok")
    assert listed.code == 0, listed.err
    refused = {row["name"] for row in json.loads(listed.out) if row["weights"] == "refused"}
    assert refused == {f"{name}.hcs" for name in ("resnet18", "resnet50", "levit_256", "convnext_atto", "pvt_v2_b1")}
    assert "says why" in listed.err


def test_a_damaged_installation_starts_no_run_and_the_doctor_finds_it(
    give: Callable[..., Finished], weights: Path, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    file = package(weights, NAME, state)
    expected = sha256(file)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    screen = tmp_path / "SCREEN.yaml"
    screen.write_text(f"screen: s\nplates: [{{barcode: P, uri: nowhere}}]\nencoders: [{NAME}.hcs]\n")

    ran = give("run", screen, "--catalog", tmp_path / "catalog.sqlite")
    shown = give("encoders", "show", f"{NAME}.hcs")
    doctor = give("doctor", "--format", "json", "--catalog", tmp_path / "catalog.sqlite")

    for ended in (ran, shown):
        assert (ended.code, ended.out) == (4, "")
        assert ended.err.startswith("error: the packaged weights")
        for part in (expected, sha256(file), "install hcs again"):
            assert part in ended.err
    (row,) = [row for row in json.loads(doctor.out)["checks"] if row["what"] == "packaged weights"]
    assert (doctor.code, row["state"]) == (1, "broken")
    assert expected in row["detail"]


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Result]:
    """Give one of the commands in this process, to this checkout; an error that can be explained is raised."""
    app = typer.Typer()
    encoders.register(app)
    apart = {"HCS_WEIGHTS_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hub"), "HCS_OFFLINE": "1"}

    def run(*arguments: object) -> Result:
        ended = CliRunner(env=apart).invoke(app, ["encoders", *map(str, arguments)])
        if isinstance(ended.exception, Exception):
            raise ended.exception
        return ended

    return run


def test_files_that_are_named_are_refused_by_what_they_hold(
    command: Callable[..., Result], tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    pickled, disguised = tmp_path / "weights.pt", tmp_path / "weights.safetensors"
    torch.save(state, pickled)
    torch.save(state, disguised)

    for file, said in ((pickled, r"\.safetensors files only"), (disguised, "holds a pickle, which is never opened")):
        with pytest.raises(WeightsError, match=said):
            command("show", NAME, "--weights", file)
        verified = command("verify", NAME, "--weights", file, "--format", "json")
        assert verified.exit_code == 4
        assert re.search(said, json.loads(verified.stdout)[0]["reason"])


def test_a_hash_may_be_asked_for(
    command: Callable[..., Result], tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    file = package(tmp_path, "ours", state)
    asked = ("verify", NAME, "--weights", file, "--format", "csv", "--sha256")

    right, wrong = command(*asked, sha256(file).upper()), command(*asked, "0" * 64)

    assert (right.exit_code, wrong.exit_code) == (0, 4)
    assert sha256(file) in right.stdout
    assert "take the other file or hash" in wrong.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "mobilenetv3_smal_050.hcs"), "is packaged with the project"),
        (("show", "mobilenetv3_smal_050"), "did you mean mobilenetv3_small_050"),
        (("show", " "), "it is empty"),
        (("verify", "named", "nmaed"), "did you mean named"),
        (("verify", "--sha256", "0" * 64), "0 were named; give one NAME"),
        (("verify", "named", "pvt_v2_b0", "--weights", "x.safetensors"), "2 were named; give one NAME"),
        (("verify", "named", "--sha256", "abc"), "64 hexadecimal digits"),
        (("verify", "named", "--weights", "x.safetensors"), "takes no weights"),
    ],
)
def test_a_wrong_request_is_refused(command: Callable[..., Result], arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        command(*arguments)


def test_weights_that_are_not_here_are_shown_with_their_place(command: Callable[..., Result], tmp_path: Path) -> None:
    shown = command("show", "pvt_v2_b0", "--format", "csv")

    assert shown.exit_code == 0
    told = dict(csv.reader(io.StringIO(shown.stdout)))
    assert told["weights"] == "not here"
    assert told["may be put at"] == str(tmp_path / "cache" / "pvt_v2_b0.safetensors")
