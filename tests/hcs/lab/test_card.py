from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
from packaged import HEADER, package, trained_state

from hcs.embedding.registry import describe_encoder
from hcs.embedding.weights import PACKAGED
from hcs.errors import UsageError
from hcs.lab.card import SHOWN, Real, write_card
from hcs.lab.compare import compare_encoders, paired_differences, summarize
from hcs.lab.recipe import Recipe
from hcs.lab.screens import embed_screens
from hcs.settings import Settings
from hcs.simulation.design import ScreenDesign, demo_design
from schemas.encoders import EncoderInfo, WeightsOrigin
from schemas.screen import EncoderChoice

MakeRecipe = Callable[..., Recipe]

NAME = "mobilenetv3_small_050"
SEEDS = (7, 8)
REAL = (
    "JUMP <target>",
    pl.DataFrame(
        {
            "profile": [f"{NAME}.hcs", f"{NAME}.untrained"],
            "d_prime": [2.5, 1.25],
            "low": [2.0, 1.0],
            "high": [3.0, 1.5],
            "n_positive": [32, 32],
            "n_negative": [64, 64],
        }
    ),
    pl.DataFrame(
        {
            "profile": [f"{NAME}.hcs", f"{NAME}.untrained"],
            "minus": [f"{NAME}.untrained", f"{NAME}.hcs"],
            "difference": [1.25, -1.25],
            "low": [1.0, -1.5],
            "high": [1.5, -1.0],
        }
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_recipe: MakeRecipe) -> Path:
    """A folder with one packaged encoder."""
    folder = tmp_path_factory.mktemp("packaged")
    header = HEADER | {"recipe": make_recipe().model_dump_json()}
    package(folder, NAME, trained_state(NAME), header=header)
    return folder


@pytest.fixture(scope="module")
def info(folder: Path) -> EncoderInfo:
    """The packaged encoder."""
    return describe_encoder(EncoderChoice(name=f"{NAME}.hcs"), settings=Settings(offline=True), folder=folder)


@pytest.fixture(scope="module")
def kept(
    tmp_path_factory: pytest.TempPathFactory, design: ScreenDesign, info: EncoderInfo, encoders: tuple[EncoderInfo, ...]
) -> Path:
    """The vectors of all three encoders, those of the packaged one computed from its file by path."""
    kept = tmp_path_factory.mktemp("kept")
    by_path = info.model_copy(update={"weights_origin": WeightsOrigin.FILE})
    embed_screens(design, SEEDS, [by_path, *encoders], kept=kept)
    return kept


@pytest.fixture(scope="module")
def write(
    info: EncoderInfo, encoders: tuple[EncoderInfo, ...], folder: Path, kept: Path, design: ScreenDesign
) -> Callable[..., str]:
    """Return a function that writes the card of the packaged encoder beside the two others."""

    def write(*, seeds: Sequence[int] = SEEDS, real: Real | None = None) -> str:
        return write_card([info, *encoders], seeds=seeds, real=real, design=design, folder=folder, kept=kept)

    return write


def tables_of(card: str) -> list[list[list[str]]]:
    """The tables of a card, as rows of cells."""
    blocks = [block.splitlines() for block in card.split("\n\n") if block.startswith("|")]
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in block] for block in blocks]


def test_a_card_says_what_the_encoder_is_and_how_it_was_trained(
    write: Callable[..., str], info: EncoderInfo, make_recipe: MakeRecipe
) -> None:
    card = write(real=REAL)

    assert card.startswith(f"# {NAME}.hcs\n")
    assert card.endswith("\n")
    identity, simulated, differences, screens, single, pairs = tables_of(card)
    said = {row[0]: row[1] for row in identity}
    assert said["SHA-256"] == f"`{info.weights_sha256}`"
    assert (said["licence"], said["normalization"]) == ("BSD-3-Clause", "(grey value - 0.125) / 0.0625")
    recipe = card.split("```json\n")[1].split("\n```")[0]
    assert Recipe.model_validate(json.loads(recipe)) == make_recipe()
    assert HEADER["trained_on"] in card
    assert [row[0] for row in simulated[2:]] == [f"{NAME}.hcs", f"{NAME}.untrained", "named"]
    assert [row[0] for row in differences[2:]] == [f"{NAME}.untrained", "named"]
    assert [row[0] for row in screens[2:]] == ["7", "8"]
    assert single[2:] == [[f"{NAME}.hcs", "2.500 (2.000 to 3.000)"], [f"{NAME}.untrained", "1.250 (1.000 to 1.500)"]]
    assert pairs[2:] == [[f"{NAME}.hcs - {NAME}.untrained", "1.250 (1.000 to 1.500)"]]
    assert "32 positive and 64 negative control wells" in card
    assert all(len({len(row) for row in table}) == 1 for table in tables_of(card)), "every row has every cell"


def test_figures_of_a_card_are_those_of_a_comparison(
    write: Callable[..., str], info: EncoderInfo, encoders: tuple[EncoderInfo, ...], kept: Path, design: ScreenDesign
) -> None:
    card = write()

    scores = compare_encoders([info, *encoders], design=design, seeds=SEEDS, combine=[info.name], kept=kept)
    summary = summarize(scores).filter(pl.col("figure") == "nscb")
    _, simulated, differences, screens = tables_of(card)
    column = simulated[0].index("NSCB")
    for row in simulated[2:]:
        mean = summary.filter(pl.col("profile") == row[0])["mean"].item()
        assert row[column].startswith(f"{mean:.3f} ("), row
    for row in differences[2:]:
        found = paired_differences(scores).filter((pl.col("profile") == info.name) & (pl.col("minus") == row[0]))
        assert row[1].startswith(f"{found['mean'].item():.3f} ("), row
    own = scores.filter(pl.col("profile") == info.name)
    assert [row[column] for row in screens[2:]] == [f"{value:.3f}" for value in own["nscb"]]
    assert "On real plates" not in card


def test_one_screen_has_means_without_intervals(write: Callable[..., str]) -> None:
    _, simulated, _, _ = tables_of(write(seeds=[7]))

    assert all(cell == "-" or "(" not in cell for row in simulated[2:] for cell in row)


@pytest.mark.slow
def test_packaged_weights_give_the_figures_of_their_cards() -> None:
    choices = [EncoderChoice(name=name) for name in ("mobilenetv3_small_100.hcs", "efficientvit_b0.hcs")]
    infos = [describe_encoder(choice, settings=Settings(offline=True)) for choice in choices]
    cards = [tables_of((PACKAGED / f"{info.architecture}.md").read_text(encoding="utf-8")) for info in infos]
    (seed,) = {screens[2][0] for _, _, _, screens, *_ in cards}

    names = [info.name for info in infos]
    scores = compare_encoders(infos, design=demo_design(), seeds=[int(seed)], combine=names, workers=2)

    for info, (identity, simulated, _, screens, *_) in zip(infos, cards, strict=True):
        found = scores.row(by_predicate=pl.col("profile") == info.name, named=True)
        assert ["SHA-256", f"`{info.weights_sha256}`"] in identity
        assert simulated[2][0] == info.name
        for title, said, figure in zip(screens[0][1:], screens[2][1:], SHOWN, strict=True):
            assert found[figure] == pytest.approx(float(said), abs=0.0005), title


def test_an_encoder_that_is_not_packaged_gets_no_card(encoders: tuple[EncoderInfo, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"{NAME}.untrained is not; put its weights into {tmp_path} first"):
        write_card(encoders[::-1], seeds=[7], real=None, folder=tmp_path)
