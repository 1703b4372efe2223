from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl
import pytest
from runs import perform
from typer.testing import CliRunner

from hcs.catalog import get_run, open_catalog, profiles_of
from hcs.cli.demo import advise, read_screen, with_baselines
from hcs.cli.demo_report import ReadScreen, facts_of, facts_of_several, mean_table, score_table, seed_table
from hcs.cli.main import app
from hcs.cli.options import ExecutorName, Performers
from hcs.cli.output import print_object
from hcs.io.screen import load_screen
from hcs.pipeline.local import LocalExecutor
from hcs.pipeline.scoring import ProfileScore
from hcs.screenfile import screen_yaml
from hcs.settings import Settings
from hcs.simulation.design import ScreenDesign
from schemas.encoders import WeightsOrigin
from schemas.screen import ScreenConfig

PACKAGED = ["mobilenetv3_small_100.hcs", "efficientvit_b0.hcs"]
DOCUMENTED = ["treatments", "active", "hits", "recall", "false_discovery_proportion", "mechanism_accuracy"]
SCORE = ProfileScore(
    treatments=76,
    active=32,
    hits=20,
    recall=0.5,
    false_discovery_proportion=0.05,
    mechanism_accuracy=None,
    nsc=0.25,
    nscb=0.125,
)
READ = ReadScreen(
    seed=3,
    scores={"combined": SCORE, "a": SCORE, "b": replace(SCORE, recall=0.25)},
    mechanisms=pl.DataFrame(),
    origins=(WeightsOrigin.NONE, WeightsOrigin.UNTRAINED),
    n_sites=576,
    seconds=100.04,
)
NEXT = replace(READ, seed=4, scores={**READ.scores, "combined": replace(SCORE, recall=0.75)})


def config_of(*encoders: str, **profile: object) -> ScreenConfig:
    return ScreenConfig.model_validate(
        {"screen": "s", "plates": [{"uri": "/x"}], "encoders": encoders, "profile": profile}
    )


def names(config: ScreenConfig) -> list[str]:
    return [choice.name for choice in config.encoders]


@pytest.mark.parametrize(
    ("own", "beside"),
    [
        (PACKAGED, ["named", "mobilenetv3_small_100.untrained", "efficientvit_b0.untrained"]),
        (["named", "pvt_v2_b0.untrained"], []),
        (["pvt_v2_b0.in1k", "pvt_v2_b0.hcs"], ["named", "pvt_v2_b0.untrained"]),
        (["named"], []),
    ],
)
def test_baselines_are_the_named_features_and_each_backbone_without_training(own: list[str], beside: list[str]) -> None:
    config = with_baselines(config_of(*own))

    assert names(config) == own + beside
    assert config.profile.combine == tuple(sorted(own))


def test_baselines_change_nothing_else_of_a_screen(tmp_path: Path) -> None:
    before = config_of(*PACKAGED, correct="none")
    (tmp_path / "SCREEN.yaml").write_text(screen_yaml(with_baselines(before)))

    config = load_screen(str(tmp_path / "SCREEN.yaml"))

    assert config == with_baselines(before)
    assert config.model_copy(update={"encoders": before.encoders, "profile": before.profile}) == before
    assert config.profile.correct == "none"


def test_the_default_encoders_get_baselines_that_are_all_distinct() -> None:
    own = names(ScreenConfig(screen="s", plates=[{"uri": "x"}]))

    found = names(with_baselines(config_of(*own)))

    assert found[: len(own)] == own
    assert len(set(found)) == len(found)
    assert {"named", "mobilenetv3_small_100.untrained", "efficientvit_b0.untrained"} <= set(found)


def test_a_choice_of_what_is_combined_is_kept() -> None:
    assert with_baselines(config_of(*PACKAGED, combine=PACKAGED[:1])).profile.combine == ("mobilenetv3_small_100.hcs",)


def test_one_screen_in_json_is_what_is_documented_with_both_accuracies() -> None:
    facts = facts_of(READ, catalog="c")

    assert list(facts) == [*DOCUMENTED, "nsc", "nscb", "baselines", "sites", "seconds", "catalog"]
    assert facts["baselines"] == {"a": asdict(SCORE), "b": asdict(READ.scores["b"])}
    assert (facts["sites"], facts["seconds"], facts["catalog"]) == (576, 100.0, "c")


def test_several_screens_in_json_are_each_of_them_with_means_and_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    print_object(facts_of_several([READ, NEXT], catalog="c"))
    facts = json.loads(capsys.readouterr().out)

    assert list(facts) == ["seeds", "mean", "interval", "sites", "seconds", "catalog"]
    assert [(row["seed"], row["recall"]) for row in facts["seeds"]] == [(3, 0.5), (4, 0.75)]
    for row, screen in zip(facts["seeds"], (READ, NEXT), strict=True):
        assert {name: row[name] for name in row if name != "seed"} | {"catalog": "c"} == facts_of(screen, catalog="c")
    assert facts["mean"]["recall"] == pytest.approx(0.625)
    # Student's t of one degree of freedom at .975 is 12.706; the standard error of 0.5 and 0.75 is 0.125.
    assert facts["interval"]["recall"] == pytest.approx([0.625 - 12.706 * 0.125, 0.625 + 12.706 * 0.125], rel=1e-4)
    assert facts["mean"]["baselines"]["b"]["recall"] == 0.25
    assert facts["interval"]["baselines"]["b"]["recall"] == [0.25, 0.25]
    assert facts["mean"]["mechanism_accuracy"] is None
    assert facts["interval"]["mechanism_accuracy"] is None
    assert facts["sites"] == 2 * 576


def test_tables_have_a_row_a_profile_a_row_a_screen_and_means() -> None:
    assert score_table(READ)["profile"].to_list() == ["combined", "a", "b"]
    assert seed_table([READ, NEXT]).select("seed", "recall").rows() == [(3, 0.5), (4, 0.75)]
    means = mean_table([READ, NEXT])
    assert means["profile"].to_list() == ["combined", "a", "b"]
    assert means["recall"].to_list() == ["0.625 ± 1.6", "0.5 ± 0", "0.25 ± 0"]
    assert means["mechanism_accuracy"].to_list() == [None] * 3


@pytest.mark.parametrize("origin", list(WeightsOrigin))
def test_encoders_are_excused_only_where_none_is_trained(
    origin: WeightsOrigin, capsys: pytest.CaptureFixture[str]
) -> None:
    advise([READ, replace(NEXT, origins=(*READ.origins, origin))], "c.sqlite")

    told = capsys.readouterr()
    assert "1152 sites in 200 s. Everything is in c.sqlite" in told.out
    is_trained = origin not in {WeightsOrigin.NONE, WeightsOrigin.UNTRAINED}
    assert ("encoders without training" in told.err) is not is_trained


def test_no_screen_at_all_is_refused(tmp_path: Path) -> None:
    asked = CliRunner().invoke(app, ["demo", "--out", str(tmp_path), "--seeds", "0"])

    assert asked.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_a_screen_is_read_with_every_encoder_and_what_is_combined_is_no_part_of_its_units(tmp_path: Path) -> None:
    design = ScreenDesign(
        n_plates=1,
        n_wells=24,
        mechanisms=("actin disruptor", "tubulin destabiliser"),
        compounds_per_mechanism=2,
        n_inactive=1,
        n_negcon=4,
        n_poscon=0,
    )
    performers, settings = Performers(ExecutorName.LOCAL, 1), Settings(offline=True)

    read = read_screen(
        tmp_path, str(tmp_path / "c.sqlite"), seed=2, design=design, performers=performers, settings=settings
    )

    screen = tmp_path / "screen-2" / "SCREEN.yaml"
    config = with_baselines(load_screen(str(screen)))
    assert list(read.scores) == ["combined", *names(config)]
    assert (read.n_sites, read.seed) == (2 * (5 + 4), 2)
    for score in read.scores.values():
        assert (score.treatments, score.active) == (5, 4)
        assert score.nsc is not None
        assert score.nscb is not None
    assert read.mechanisms["compounds"].sum() == 5

    other = config.model_copy(update={"profile": config.profile.model_copy(update={"combine": ("named",)})})
    screen.write_text(screen_yaml(other))
    performed: list[str] = []
    with open_catalog(str(tmp_path / "c.sqlite")) as catalog:
        first = get_run(catalog)
        again = perform(
            catalog, screen, LocalExecutor(threads=1), came=lambda spec, outcome: performed.append(spec.key)
        )
        assert again.run.name != first.name
        assert performed == []
        sizes = {receipt.name: receipt.n_features for receipt in profiles_of(catalog, again.run.id)}
        assert sizes["combined"] == sizes["named"]
