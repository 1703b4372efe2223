"""`hcs score activity` on files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from hcs.cli.main import app
from hcs.errors import HcsError, UsageError

CONTROLS = "Metadata_type == 'negcon'"


@dataclass(frozen=True)
class Ended:
    """What a command printed, and the error that it would end with."""

    out: str
    err: str
    error: BaseException | None

    @property
    def table(self) -> pl.DataFrame:
        if self.error is not None:
            raise self.error
        return pl.read_csv(self.out.encode())


def score(source: Path, *arguments: object, controls: str = CONTROLS) -> Ended:
    given = ["score", "activity", source, "--perturbation", "Metadata_compound", "--controls", controls, *arguments]
    ended = CliRunner().invoke(app, [*map(str, given), "--format", "csv"])
    return Ended(ended.stdout, ended.stderr, ended.exception)


def make_table(*, n_plates: int = 5, n_compounds: int = 12, n_controls: int = 10, seed: int = 0) -> pl.DataFrame:
    """Return profiles of which the first three compounds are strong, and the next faint."""
    rng = np.random.default_rng(seed)
    names = [f"c{i:02d}" for i in range(n_compounds)] + ["DMSO"] * n_controls
    effects = np.r_[[2.0, 2.0, 2.0, 0.5], np.zeros(n_compounds - 4)]
    shifts = np.vstack([effects[:, None] * rng.standard_normal((n_compounds, 8)), np.zeros((n_controls, 8))])
    values = rng.standard_normal((n_plates, len(names), 8)) + shifts
    return pl.DataFrame(
        {
            "Metadata_Plate": [f"P{plate}" for plate in range(n_plates) for _ in names],
            "Metadata_Well": [f"{'ABCDEFGH'[i // 12]}{i % 12 + 1:02d}" for i in range(len(names))] * n_plates,
            "Metadata_compound": names * n_plates,
            "Metadata_type": ["negcon" if name == "DMSO" else "trt" for name in names] * n_plates,
        }
        | {f"F{i}": values.reshape(-1, 8)[:, i] for i in range(8)}
    )


def written(table: pl.DataFrame, folder: Path, name: str = "profiles.parquet") -> Path:
    table.write_parquet(folder / name)
    return folder / name


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return written(make_table(), tmp_path)


def test_strong_compounds_are_hits_and_the_columns_are_those_of_the_contract(source: Path) -> None:
    ended = score(source)

    calls = ended.table
    assert calls.columns[:2] == ["perturbation", "control_type"]
    assert {
        "n_replicates", "n_controls", "mean_average_precision", "p_value", "smallest_possible_p", "q_value", "is_hit",
        "call", "effect", "p_position", "smallest_possible_p_position", "n_other_positions",
    } <= set(calls.columns)  # fmt: skip
    assert not {"cell_count_ratio", "explained_by_count", "channel", "batch_verdict", "n_flagged"} & set(calls.columns)
    assert calls.filter("is_hit")["perturbation"].to_list()[:3] == ["c00", "c01", "c02"]
    assert set(calls["n_controls"]) == {50}
    assert "smallest p" in ended.err


def test_unrelated_plates_the_order_of_rows_and_names_of_plates_leave_every_p_as_it_is(
    source: Path, tmp_path: Path
) -> None:
    table = make_table()
    unrelated = make_table(n_plates=3, n_compounds=7, n_controls=9, seed=9).with_columns(
        pl.format("other {}", "Metadata_Plate").alias("Metadata_Plate"),
        pl.when(pl.col("Metadata_type") == "trt")
        .then(pl.format("other {}", "Metadata_compound"))
        .otherwise("Metadata_compound")
        .alias("Metadata_compound"),
    )
    changed = {
        "more": pl.concat([unrelated, table]),
        "shuffled": table[np.random.default_rng(1).permutation(table.height)],
        "renamed": table.with_columns(
            pl.col("Metadata_Plate").replace({"P0": "z", "P1": "y", "P2": "a", "P3": "m", "P4": "b"})
        ),
    }
    for null in ("joint", "copairs"):
        expected = score(source, "--null", null).table.select("perturbation", "p_value", "mean_average_precision")
        for name, other in changed.items():
            found = score(written(other, tmp_path, f"{name}.parquet"), "--null", null).table
            mine = found.filter(pl.col("perturbation").str.starts_with("c"))
            assert_frame_equal(mine.select(expected.columns), expected, check_exact=True)


def test_another_seed_gives_other_p_values_and_nineteen_of_twenty_hits_are_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    names = [f"c{i:02d}" for i in range(80)] + ["DMSO"] * 16
    shifts = np.r_[np.linspace(0.4, 2.0, 40), np.zeros(56)][:, None] * rng.standard_normal((len(names), 12))
    table = pl.DataFrame(
        {
            "Metadata_Plate": [f"P{plate}" for plate in range(4) for _ in names],
            "Metadata_Well": [f"{'ABCDEFGH'[i // 12]}{i % 12 + 1:02d}" for _ in range(4) for i in rng.permutation(96)],
            "Metadata_compound": names * 4,
            "Metadata_type": ["negcon" if name == "DMSO" else "trt" for name in names] * 4,
        }
        | {f"F{i}": column for i, column in enumerate((np.tile(shifts, (4, 1)) + rng.standard_normal((384, 12))).T)}
    )
    source = written(table, tmp_path)

    calls = [score(source, "--seed", seed).table for seed in range(3)]

    assert calls[0]["p_value"].to_list() != calls[1]["p_value"].to_list()
    hits = [set(one.filter("is_hit")["perturbation"]) for one in calls]
    assert 25 <= len(hits[0]) < 40  # some lie at the threshold
    assert min(len(hits[0] & other) / len(hits[0] | other) for other in hits[1:]) >= 0.95


def test_text_tables_give_the_calls_of_parquet(source: Path, tmp_path: Path) -> None:
    pl.read_parquet(source).write_csv(tmp_path / "profiles.csv")

    assert score(tmp_path / "profiles.csv").out == score(source).out


def test_plates_and_wells_may_be_called_otherwise(source: Path, tmp_path: Path) -> None:
    other = make_table().rename({"Metadata_Plate": "Metadata_plate", "Metadata_Well": "Metadata_place"})
    path = written(other, tmp_path, "other.parquet")
    named = ("--plate", "Metadata_plate", "--well", "Metadata_place")

    assert score(path, *named).table.equals(score(source).table)
    with pytest.raises(UsageError, match=r"column Metadata_plac is expected.*as by --plate"):
        _ = score(path, *named[:3], "Metadata_plac").table


def test_doses_are_called_within_their_compound(tmp_path: Path) -> None:
    number = pl.col("Metadata_compound").str.slice(1).cast(pl.Int64, strict=False)
    table = make_table().with_columns(
        Metadata_compound=pl.when(pl.col("Metadata_type") == "trt")
        .then(pl.format("d{}", number // 3))
        .otherwise("Metadata_compound"),
        Metadata_dose=number % 3 + 0.5,
    )

    calls = score(written(table, tmp_path), "--concentration", "Metadata_dose").table

    assert calls["concentration"].to_list() == [0.5, 1.5, 2.5] * 4
    assert calls.filter("is_hit")["perturbation"].to_list()[:3] == ["d0"] * 3


def test_controls_that_were_fitted_on_are_no_negatives(tmp_path: Path) -> None:
    half = pl.int_range(pl.len()) % 2 == 0
    table = make_table().with_columns(Metadata_half=pl.when(half).then(pl.lit("fit")).otherwise(pl.lit("score")))
    source = written(table, tmp_path)

    whole, halved = score(source).table, score(source, "--fitted", "Metadata_half == 'fit'").table

    assert (set(whole["n_controls"]), set(halved["n_controls"])) == ({50}, {25})
    assert halved["smallest_possible_p"][0] == pytest.approx(1 / 6**5)
    assert whole["smallest_possible_p"][0] == pytest.approx(1 / 11**5)


def test_positive_controls_are_a_family_of_their_own(source: Path) -> None:
    calls = score(source, "--positives", "Metadata_compound in ['c00', 'c11']").table

    assert calls["control_type"].to_list() == ["treatment"] * 10 + ["poscon"] * 2
    assert calls.filter(pl.col("perturbation") == "c00")["q_value"][0] == pytest.approx(
        2 * calls.filter(pl.col("perturbation") == "c00")["p_position"][0]
    )


def test_controls_of_all_plates_are_for_copairs_alone(source: Path) -> None:
    calls = score(source, "--null", "copairs", "--any-plate").table

    assert set(calls["n_controls"]) == {50}
    assert calls["smallest_possible_p"][0] == pytest.approx(1 / 10_001)
    with pytest.raises(HcsError, match="--null copairs"):
        _ = score(source, "--any-plate").table


def test_compounds_of_which_one_well_lies_beside_controls_are_called_by_its_distance(tmp_path: Path) -> None:
    table = make_table().filter((pl.col("Metadata_type") == "trt") | (pl.col("Metadata_Plate") == "P0"))

    ended = score(written(table, tmp_path))

    assert ended.table["reason"].unique().to_list() == [
        "one replicate: p is of its distance from controls, beside those of 5 held out for it; left out: 4 on plates "
        "without a negative control"
    ]
    assert set(ended.table["call"]) == {"underpowered"}
    assert ended.table["p_value"].min() == pytest.approx(1 / 6)


def test_compounds_with_one_query_are_of_the_family_of_all_others_in_copairs_way(tmp_path: Path) -> None:
    lost = (pl.col("Metadata_Plate") == "P1") & (pl.col("Metadata_type") == "negcon")
    elsewhere = (pl.col("Metadata_compound") == "c00") & ~pl.col("Metadata_Plate").is_in(["P0", "P1"])

    calls = score(written(make_table().filter(~lost & ~elsewhere), tmp_path), "--null", "copairs").table

    half = calls.row(by_predicate=pl.col("perturbation") == "c00", named=True)
    assert half["n_replicates"] == 1
    ordered = calls.sort("p_value")
    expected = (ordered["p_value"] * calls.height / pl.Series(range(1, calls.height + 1))).to_numpy()
    q = dict(zip(ordered["perturbation"], np.minimum.accumulate(expected[::-1])[::-1], strict=True))
    assert half["q_value"] == pytest.approx(q["c00"])


def test_compounds_on_plates_without_controls_are_told_and_not_scored(tmp_path: Path) -> None:
    apart = pl.col("Metadata_Plate") == "P0"
    table = make_table().filter((pl.col("Metadata_type") == "trt") != apart)

    ended = score(written(table, tmp_path))

    assert ended.table["p_value"].null_count() == 12
    assert "no negative control on the plates of its 4 replicates" in ended.table["reason"][0]
    assert "nothing could be tested" in ended.err


def test_two_rows_of_one_well_are_no_two_replicates(tmp_path: Path) -> None:
    table = make_table()

    with pytest.raises(HcsError, match="comes more than once"):
        _ = score(written(pl.concat([table, table[:3]]), tmp_path)).table


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (pl.col("F1").replace_strict({}, default=None).alias("F1"), (), "finite"),
        (pl.lit(None, dtype=pl.String).alias("Metadata_Plate"), (), "every row needs its plate"),
        (pl.lit("much").alias("Metadata_dose"), ("--concentration", "Metadata_dose"), "'much'"),
        (pl.lit(1).alias("F9"), ("--cells", "Metadata_count"), "Metadata_count"),
    ],
)
def test_a_table_that_cannot_be_called_is_refused_with_the_reason(
    tmp_path: Path, change: pl.Expr, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(HcsError, match=message):
        _ = score(written(make_table().with_columns(change), tmp_path), *arguments).table


def test_where_nearly_all_are_active_the_middle_of_the_plate_is_given_too(tmp_path: Path) -> None:
    table = make_table(n_compounds=30)
    away = pl.when(pl.col("Metadata_type") == "trt").then(3.0).otherwise(0.0)  # controls are unlike all other wells

    ended = score(written(table.with_columns(pl.col("^F.$") + away), tmp_path))

    assert "warning: only" in ended.err
    assert (ended.table["effect_from_plate_centre"][5:] < ended.table["effect"][5:]).all()
    assert "effect_from_plate_centre" not in score(written(table, tmp_path)).table.columns


def told_table() -> pl.DataFrame:
    """Return profiles whose features name two channels; c00 shows in ER alone, on flagged wells, in two batches."""
    table = make_table(n_plates=6, n_controls=16)
    names = {f"F{i}": f"Cells_Texture_{'DNA' if i < 4 else 'ER'}_{i}" for i in range(8)}
    is_first = pl.col("Metadata_compound") == "c00"
    rng = np.random.default_rng(8)
    quiet = [pl.when(is_first).then(pl.Series(rng.standard_normal(table.height))).otherwise(f"F{i}").alias(f"F{i}")
             for i in range(4)]  # fmt: skip
    return table.with_columns(
        *quiet,
        Metadata_Batch=pl.when(pl.col("Metadata_Plate") < "P3").then(pl.lit("a")).otherwise(pl.lit("b")),
        Metadata_bad=pl.when(is_first).then(pl.lit("yes")).otherwise(pl.lit("no")),
    ).rename(names)


def test_what_else_could_explain_a_hit_is_said_as_far_as_the_table_tells(tmp_path: Path) -> None:
    source = written(told_table(), tmp_path)

    ended = score(source, "--channels", "DNA, ER", "--flagged", "Metadata_bad == 'yes'")

    first = ended.table.filter(perturbation="c00").row(0, named=True)
    assert (first["channel_verdict"], first["channel"]) == ("one_channel", "ER")
    assert first["quality_verdict"] == "flagged_more"
    assert first["batch_verdict"] == "every_batch"
    assert ended.table.filter(perturbation="c01")["quality_verdict"][0] == "as_controls"
    assert "of 16 positions that hold controls on several plates" in ended.err
    alone = score(source).table
    assert {"channel_verdict", "channel", "quality_verdict"}.isdisjoint(alone.columns)
    assert alone["p_position"].to_list() == ended.table["p_position"].to_list()
    assert "batch_verdict" not in score(written(make_table(), tmp_path, "plain.parquet")).table.columns


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--channels", "DNA"), "two names or more"),
        (("--channels", "DNA,Mito"), "Mito is in no feature"),
        (("--batch", "Metadata_week"), "Metadata_week"),
    ],
)
def test_columns_and_channels_that_there_are_not_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        _ = score(written(told_table(), tmp_path), *arguments).table


def test_where_controls_lie_at_the_edge_alone_the_middle_of_the_plate_is_given_too(tmp_path: Path) -> None:
    is_control = pl.col("Metadata_type") == "negcon"
    names = [f"{row}{column:02d}" for column in range(2, 12) for row in "BCDEFG"][:30]
    at_edge = [f"{row}01" for row in "ABCDEFGH"] + ["A12", "H12"]
    table = make_table(n_compounds=30).with_columns(Metadata_Well=pl.Series((names + at_edge) * 5))
    # What the edge does, controls alone have; treatments seem to be away from them.
    dried = table.with_columns(pl.col("^F.$") + pl.when(is_control).then(1.0).otherwise(0.0))

    ended = score(written(dried, tmp_path))

    assert (
        "warning: treatments inside 5 plates (P0, P1, P2, P3, P4) have negative controls in the outermost" in ended.err
    )
    nothing = ended.table.filter(~pl.col("perturbation").is_in(["c00", "c01", "c02", "c03"]))
    assert nothing["effect"].median() > 2 > nothing["effect_from_plate_centre"].median()
    one_inside = dried.with_columns(
        Metadata_Well=pl.when(pl.col("Metadata_Well") == "C01").then(pl.lit("C11")).otherwise("Metadata_Well")
    )
    assert "outermost" not in score(written(one_inside, tmp_path)).err


def test_with_cell_counts_it_is_said_of_hits_whether_the_count_explains_them(tmp_path: Path) -> None:
    table = make_table(n_compounds=24, n_controls=16)
    number = pl.col("Metadata_compound").str.slice(1).cast(pl.Int64, strict=False)
    is_killer = number.is_between(4, 11).fill_null(value=False)
    # Killers look alike, as wells with so few cells do; the first four compounds do something and kill nothing.
    looks = pl.col("^F.$") + pl.when(is_killer).then(2.0).otherwise(0.0)
    spread = pl.Series(np.random.default_rng(0).poisson(100, table.height))
    counts = pl.when(is_killer).then(spread * 0.4).otherwise(spread)

    source = written(table.with_columns(looks, Metadata_count=counts), tmp_path)

    calls = score(source, "--cells", "Metadata_count").table
    hits = calls.filter("is_hit")
    killers = hits.filter(hits["perturbation"].is_in([f"c{i:02d}" for i in range(4, 12)]))
    others = hits.filter(hits["perturbation"].is_in(["c00", "c01", "c02"]))
    assert killers.height >= 6
    assert killers["cell_count_ratio"].max() < 0.6 < others["cell_count_ratio"].min()
    assert (killers["explained_by_count"] == "explained").mean() >= 0.7
    assert others["explained_by_count"].to_list() == ["not_explained"] * 3


def test_without_a_column_of_wells_nobody_knows_what_places_do(tmp_path: Path) -> None:
    table = make_table()

    ended = score(written(table.drop("Metadata_Well"), tmp_path))

    assert set(ended.table["position_verdict"]) == {"not_testable"}
    assert ended.table["p_position"].equals(ended.table["p_value"])
    assert "no column Metadata_Well: which wells share a place is not known" in ended.err
    assert "other positions" not in ended.err
    unused = table[:1].with_columns(Metadata_compound=pl.lit(None, dtype=pl.String), Metadata_type=pl.lit("none"))
    with_empty = score(written(pl.concat([table, unused]).drop("Metadata_Well"), tmp_path))
    assert_frame_equal(with_empty.table, ended.table)
    named = score(written(table.rename({"Metadata_Well": "Metadata_place"}), tmp_path), "--well", "Metadata_place")
    assert_frame_equal(named.table, score(written(table, tmp_path)).table)
    assert set(named.table["position_verdict"]) == {"corrected"}


def test_where_few_treatments_share_places_it_is_said_of_them_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    table = make_table(n_plates=4, n_compounds=20, n_controls=12)
    places = 3.0 * rng.standard_normal((32, 8))
    values = table.select("^F.$").to_numpy() + np.tile(places, (4, 1))
    moved = table.with_columns(pl.DataFrame(values, schema=[f"F{i}" for i in range(8)]))
    # All compounds but the last two change places from plate to plate.
    shuffled = [
        part.with_columns(Metadata_compound=pl.concat([names[plate:18], names[:plate], names[18:]]))
        for plate, part in enumerate(moved.partition_by("Metadata_Plate", maintain_order=True))
        for names in [part["Metadata_compound"]]
    ]

    ended = score(written(pl.concat(shuffled), tmp_path))

    assert dict(ended.table["position_verdict"].value_counts().iter_rows()) == {"not_shared": 18, "corrected": 2}
    assert "none of the 2 of 20 perturbations whose wells share positions can be called" in ended.err


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        pytest.param(pl.col("F1") * 0 + 1e300, (), "F1 has larger ones", id="huge"),
        pytest.param(pl.col("^F.$") * 0, (), "all 110 rows hold the same in each of 8 features", id="alike"),
        pytest.param(pl.lit("").alias("Metadata_x"), ("--positives", "Metadata_type == 'negcon'"), "50 rows are both",
                     id="both kinds"),
        pytest.param(pl.col("Metadata_Well").replace_strict({"A01": None}, default="A02"), (),
                     "Metadata_Well is empty in 5 of 110 rows", id="half named"),
    ],
)  # fmt: skip
def test_what_no_table_of_profiles_holds_is_refused_and_named(
    tmp_path: Path, change: pl.Expr, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(HcsError, match=message):
        _ = score(written(make_table().with_columns(change), tmp_path), *arguments).table


def test_what_was_read_is_said_and_so_are_copies_and_names_that_are_nearly_one(tmp_path: Path) -> None:
    table = make_table()
    renamed = pl.when(pl.col("Metadata_Plate") == "P0").then(pl.col("Metadata_compound").str.to_uppercase() + " ")
    copy = table.filter(pl.col("Metadata_Plate") == "P1").with_columns(Metadata_Plate=pl.lit("P9"))

    plain = score(written(table, tmp_path)).err
    spelled = score(written(table.with_columns(renamed.otherwise("Metadata_compound")), tmp_path)).err
    copied = score(written(pl.concat([table, copy]), tmp_path)).err

    assert plain.startswith("110 profiles of 8 features, F0 to F7")
    assert "warning" not in plain
    assert "warning: 'C00 ' and 'c00' of Metadata_compound differ in case or spaces alone" in spelled
    assert "(12 names like this)" in spelled
    assert "warning: 22 rows with exactly the features of an earlier one, first row 111" in copied


def test_several_wells_of_a_plate_beside_few_controls_get_the_p_of_raw_features_from_scaled_ones(
    tmp_path: Path,
) -> None:
    pairs = pl.col("Metadata_compound").replace({f"c{2 * i + 1:02d}": f"c{2 * i:02d}" for i in range(6)})
    raw = make_table(n_controls=14).with_columns(pairs)
    features = [f"F{i}" for i in range(8)]
    controls = [pl.col(name).filter(pl.col("Metadata_type") == "negcon") for name in features]
    scaled = raw.with_columns(
        ((pl.col(name) - own.median()) / own.std()).over("Metadata_Plate").alias(name)
        for name, own in zip(features, controls, strict=True)
    )
    columns = ["perturbation", "p_value", "smallest_possible_p"]

    found, expected = (
        score(written(table, tmp_path, f"{name}.parquet")).table.sort("perturbation")
        for name, table in (("scaled", scaled), ("raw", raw))
    )

    assert_frame_equal(found.select(columns), expected.select(columns), check_exact=True)
    assert not found["effect"].equals(expected["effect"])


def test_what_was_asked_has_its_columns_in_files_and_on_a_terminal_there_is_room_for_fewer(tmp_path: Path) -> None:
    table = make_table().with_columns(Metadata_Batch=pl.col("Metadata_Plate").str.slice(0, 1), Metadata_bad=False)
    source = written(table.with_columns(Metadata_bad=pl.col("Metadata_Well") == "A05"), tmp_path)
    further = {"n_batches_testable", "n_batches_holding", "n_judged", "n_flagged", "flagged_share_of_controls"}
    given = ["--perturbation", "Metadata_compound", "--controls", CONTROLS]

    shown = CliRunner().invoke(app, ["score", "activity", str(source), *given], env={"COLUMNS": "400"})

    assert further <= set(score(source, "--flagged", "Metadata_bad == true").table.columns)
    assert "n batches holding" not in shown.stdout
    assert "batch verdict" in shown.stdout


def test_a_column_of_batches_that_differs_by_case_is_named(tmp_path: Path) -> None:
    table = make_table().with_columns(Metadata_batch=pl.lit("b1"))

    said = score(written(table, tmp_path)).err

    assert "no column Metadata_Batch: all wells count as one batch; --batch Metadata_batch names one" in said
    assert "no column Metadata_Batch" not in score(written(make_table(), tmp_path, "none.parquet")).err


def test_numbers_of_rows_that_pandas_keeps_are_no_feature(tmp_path: Path) -> None:
    table = make_table()
    rows = pl.int_range(pl.len(), dtype=pl.Int64)
    indexed = table.with_columns(rows.alias("__index_level_0__"), rows.alias("Unnamed: 0"))

    found, expected = (
        score(written(one, tmp_path, name)) for one, name in ((indexed, "a.parquet"), (table, "b.parquet"))
    )

    assert "110 profiles of 8 features, F0 to F7" in found.err
    assert_frame_equal(found.table, expected.table)


def test_controls_that_were_all_fitted_on_are_refused(source: Path) -> None:
    with pytest.raises(HcsError, match="all 50 of them are said to be fitted on; leave some of each plate"):
        _ = score(source, "--fitted", CONTROLS).table


def test_a_row_without_any_value_is_named_and_a_name_with_blanks_gets_advice(source: Path) -> None:
    empty = [pl.when(pl.int_range(pl.len()) != 6).then(name).alias(name) for name in (f"F{i}" for i in range(8))]
    with pytest.raises(HcsError, match=r"1 row of 110 hold none, the first is row 7: .* take them out of the table"):
        _ = score(written(make_table().with_columns(empty), source.parent, "empty.parquet")).table
    with pytest.raises(HcsError, match=r"a name with blanks stands between backticks: `Metadata_Common ...`"):
        _ = score(source, controls="Metadata_Common Name == 'x'").table
