"""`hcs lab`: what a person asks wrongly, and studies of small finished runs that lie in a catalog."""

from __future__ import annotations

import hashlib
import json
import re
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from commands import hcs
from packaged import package, trained_state
from typer.testing import CliRunner

from hcs.catalog import publish
from hcs.cli.lab import untrained_form
from hcs.cli.main import app
from hcs.errors import InputRejectedError, NotFoundError, StorageError, UnknownEncoderError, UsageError, WeightsError
from hcs.io.storage import join, write_atomically
from hcs.io.tables import embedding_table_bytes
from hcs.lab.export import export_weights
from hcs.lab.learner import Learner
from hcs.lab.recipe import Recipe, Stage
from schemas.results import ProfileReceipt
from schemas.work import RunState

KEYS = ["plate", "well", "perturbation", "concentration_micromolar", "dose_step", "control_type"]
NAME = "mobilenetv3_small_050"


def layout(make, *, n_poscon):
    """A plate of 24 wells: 8 negative controls, some positive ones, and a compound at many doses."""
    kinds = ["negcon"] * 8 + ["poscon"] * n_poscon + ["treatment"] * (16 - n_poscon)
    return make.wells(
        [
            {
                "well": f"{chr(65 + number // 6)}{number % 6 + 1:02d}",
                "perturbation": {"negcon": "DMSO", "poscon": "taxol"}.get(kind, "<b>cpd</b>"),
                "concentration_micromolar": None if kind == "negcon" else 1.0 + number,
                "control_type": kind,
            }
            for number, kind in enumerate(kinds)
        ]
    )


@pytest.fixture
def finished(catalog, make):
    """Return a function that publishes a run with two profiles, on the first of which positive controls stand out."""

    def finish(*, n_poscon=4, profiles=("combined", "named")):
        wells = layout(make, n_poscon=n_poscon)
        run = make.run(catalog, wells=wells)
        receipts = []
        for number, name in enumerate(profiles):
            vectors = np.random.default_rng(number).standard_normal((wells.height, 6)).astype(np.float32)
            vectors[:, 0] += (6 if name == "combined" else 0) * (wells["control_type"] == "poscon").to_numpy()
            content = embedding_table_bytes(wells.select(KEYS), vectors)
            path = f"{run.name}/profiles/{name}.parquet"
            write_atomically(join(catalog.parts_uri, path), content)
            receipts.append(
                ProfileReceipt(
                    name=name,
                    relative_path=path,
                    sha256=hashlib.sha256(content).hexdigest(),
                    n_bytes=len(content),
                    n_rows=wells.height,
                    n_features=6,
                )
            )
        publish(
            catalog,
            run.id,
            calls=make.calls([]),
            neighbours=make.neighbours([]),
            profiles=receipts,
            state=RunState.COMPLETE,
        )
        return run

    return finish


@pytest.fixture
def lab():
    """Return a function that gives `hcs lab` a command, and returns how it ended."""

    def give(*arguments):
        ended = CliRunner().invoke(app, ["lab", *map(str, arguments)])
        if isinstance(ended.exception, Exception):
            raise ended.exception
        return ended

    return give


def one_paragraph(ended):
    """What a refused command said: one line on stderr and nothing on stdout."""
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1, ended.err
    return ended.err


def test_a_wrong_architecture_ends_with_2_and_one_paragraph(tmp_path):
    ended = hcs("lab", "pretrain", "mobilenetv3_smal_050", "--out", tmp_path / "out")

    assert ended.code == 2
    assert "none called 'mobilenetv3_smal_050'; did you mean" in one_paragraph(ended)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_ends_with_2_before_anything_is_rendered(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")

    ended = hcs("lab", "pretrain", NAME, "--out", tmp_path, "--threads", "1")

    assert ended.code == 2
    said, error = ended.err.splitlines()
    assert "simulated plates; interrupt it at any time" in said
    assert error.startswith("error: an empty folder, or one with an interrupted training, was expected")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--precision", "fp16", "precision is 'fp16'.*'fp32' or 'bf16'"),
        ("--task", "classes", "task is 'classes'.*'latents'"),
        ("--screens", "9901", "n_screens is 9901.*less than or equal to 9900"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(lab, tmp_path, option, value, said):
    with pytest.raises(UsageError, match=f"a recipe was expected, but {said}"):
        lab("pretrain", NAME, "--out", tmp_path / "out", option, value)

    assert UsageError.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_backbone_of_one_size_is_refused(lab, tmp_path):
    with pytest.raises(UsageError, match=r"vit_tiny_patch16_224 does not .* take one that takes any size"):
        lab("pretrain", "vit_tiny_patch16_224", "--out", tmp_path / "out")


@pytest.mark.slow
def test_a_training_tells_how_to_use_what_came_of_it(lab, tmp_path):
    out = tmp_path / "out"
    command = ("pretrain", NAME, "--minutes", "0.05", "--screens", "1", "--batch", "4", "--threads", "1", "--out", out)

    ended, again = lab(*command), lab(*command)

    assert ended.exit_code == 0
    weights, explained, _, hint = ended.stdout.splitlines()
    assert weights == f"weights: {out / 'weights.safetensors'}"
    assert explained.startswith("of the phenotype, explained on held-out plates: ")
    assert f"{{name: {NAME}, weights: {out / 'weights.safetensors'}}}" in hint
    assert "rendered 1 of 1 plate\n" in ended.stderr
    assert re.search(r"step (\d+) of \1: loss ", ended.stderr)
    assert "rendered" not in again.stderr, "nothing was left to do"
    assert again.stdout.splitlines()[:2] == [weights, explained]


def test_separate_says_how_far_controls_lie_apart(lab, finished, catalog):
    finished()

    told = json.loads(lab("separate", "--catalog", catalog.location, "--format", "json").stdout)

    rows = {row["profile"]: row for row in told["separation"]}
    assert told["run"] == "run-1"
    assert rows["combined"]["low"] > 2 > rows["named"]["d_prime"]
    assert {(row["n_positive"], row["n_negative"]) for row in rows.values()} == {(4, 8)}
    there, back = told["differences"]
    assert (there["profile"], there["minus"]) == ("combined", "named")
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["low"] > 0


def test_separate_shows_two_tables_to_a_person_and_one_to_a_file(lab, finished, catalog, tmp_path):
    finished()

    shown = lab("separate", "--catalog", catalog.location).stdout
    lab("separate", "--catalog", catalog.location, "--output", tmp_path / "d.csv")

    assert "run-1, d' of positive from negative controls" in shown
    assert "differences, on the same resampled wells" in shown
    assert pl.read_csv(tmp_path / "d.csv")["profile"].to_list() == ["combined", "named"]


@pytest.mark.parametrize("n_poscon", [0, 2])
def test_a_run_without_enough_positive_controls_is_refused_with_their_number(lab, finished, catalog, n_poscon):
    finished(n_poscon=n_poscon)

    with pytest.raises(InputRejectedError, match=f"at least 3 positive .* but {n_poscon} and 8 came"):
        lab("separate", "--catalog", catalog.location)


def test_a_run_without_profiles_is_refused(lab, finished, catalog):
    finished(profiles=())

    with pytest.raises(InputRejectedError, match=r"run-1 has none; see `hcs status run-1`"):
        lab("separate", "--catalog", catalog.location)
    with pytest.raises(NotFoundError, match=r"run-1 has no profile 'combined'; it has none"):
        lab("map", "wells.svg", "--catalog", catalog.location)


@pytest.mark.parametrize("n_poscon", [0, 4])
def test_map_draws_every_well_whatever_its_name_and_deeper_at_higher_doses(lab, finished, catalog, tmp_path, n_poscon):
    finished(n_poscon=n_poscon)

    ended = lab("map", tmp_path / "wells.svg", "--catalog", catalog.location, "--profile", "named")

    assert ended.stdout == f"{tmp_path / 'wells.svg'} written\n"
    picture = ElementTree.parse(tmp_path / "wells.svg").getroot()  # noqa: S314 - our own
    dots = {group.find("{*}title").text: group for group in picture.iter() if group.find("{*}title") is not None}
    assert len(dots) == 24
    depth = {name: float(dot.attrib["fill-opacity"]) for name, dot in dots.items()}
    compounds = [depth[name] for name in dots if name.endswith("<b>cpd</b>")]
    assert len(compounds) == 16 - n_poscon
    assert compounds == sorted(compounds)
    assert compounds[0] < compounds[-1] == 1
    texts = {element.text for element in picture.findall(".//{*}text")}
    assert ("positive control" in texts) is (n_poscon > 0)


def test_map_is_the_same_to_the_byte_and_says_where_it_cannot_write(lab, finished, catalog, tmp_path):
    finished()
    (tmp_path / "file").write_text("no folder")
    one, other = tmp_path / "a.svg", tmp_path / "b.svg"

    for path in (one, other):
        lab("map", path, "--catalog", catalog.location)

    assert one.read_bytes() == other.read_bytes()
    with pytest.raises(StorageError, match=r"file/a\.svg"):
        lab("map", tmp_path / "file" / "a.svg", "--catalog", catalog.location)
    with pytest.raises(UsageError, match=r"ends with \.svg, but .*a\.png came"):
        lab("map", tmp_path / "a.png", "--catalog", catalog.location)


@pytest.mark.parametrize(
    ("names", "error", "said"),
    [
        (("named", "named"), UsageError, "every encoder is named once, but named, named came"),
        ((f"{NAME}.untrained", f"{NAME}.untrained"), UsageError, "every encoder is named once"),
        (("nmaed",), UnknownEncoderError, "did you mean named"),
        (("",), UsageError, "NAME or NAME=FILE.safetensors, but '' came"),
        ((f"{NAME}=missing.safetensors",), WeightsError, "missing.safetensors, but it cannot be read"),
        (("named", "--combine", "nmaed"), UsageError, "each is combined once or not at all, but nmaed came"),
    ],
)
def test_compare_refuses_what_cannot_be_compared_before_it_computes(lab, names, error, said):
    with pytest.raises(error, match=said):
        lab("compare", *names)


def test_an_encoder_of_ours_is_compared_as_it_was_trained_and_one_from_elsewhere_as_it_says(tmp_path):
    from hcs.cli.lab import _described

    recipe = Recipe(architecture=NAME, stages=(Stage(size=64, batch=2, steps=1),), mean=0.2, std=0.3)
    ours = export_weights(Learner(recipe), recipe, tmp_path)
    other = package(tmp_path / "other", NAME, trained_state(NAME))

    (of_ours,), (of_others,) = (_described([f"{NAME}={path}"]) for path in (ours, other))

    assert (of_ours.mean, of_ours.std) == (0.2, 0.3)
    assert of_others.mean == 0.125, "its header says so"


def test_a_card_stands_beside_the_same_backbone_without_training():
    assert untrained_form(f"{NAME}.hcs") == f"{NAME}.untrained"


def test_a_card_of_what_is_not_packaged_is_refused(lab, tmp_path):
    with pytest.raises(UnknownEncoderError, match=r"no encoder 'resnet18.hcs' is packaged with the project"):
        lab("card", "resnet18.hcs", "--out", tmp_path / "card.md")
