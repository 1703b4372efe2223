"""The page of hits: what is asked, what is answered, and one selection in charts, table and list."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from apps import Opened, texts
from calls import UNTESTED, made
from hypothesis import given
from hypothesis import strategies as st
from served import FORMULA, SCRIPT

from dashboards.components.tables import ROWS_SHOWN, csv_of
from dashboards.views.hits import VERDICTS, table_of
from dashboards.views.hits_charts import EFFECT, MARKS, OTHER, points, precision, states_in, volcano
from dashboards.views.hits_choices import Question
from dashboards.views.hits_words import answer, in_short, why_none
from hcs.client import Client
from schemas.api import Hit

AT_MOST = "\N{LESS-THAN OR EQUAL TO}"


def of_the_api(**asked: Any) -> list[Hit]:
    with Client() as client:
        return list(client.hits(**asked))


def test_the_answer_is_what_the_api_says(opened: Opened) -> None:
    everything = of_the_api(q_max=1, control_type="treatment")

    app = opened("hits", q="1.0")

    assert f"**{len(everything)} treatments" in texts(app)
    shown = app.dataframe[0].value
    assert shown["Key" if "Key" in shown else "perturbation"].to_list() == [hit.perturbation for hit in everything]
    assert shown["q_value"].dropna().to_list() == [hit.q_value for hit in everything if hit.q_value is not None]


@pytest.mark.parametrize("mechanism", ["tubulin inhibitor", "kinase inhibitor"])
def test_a_mechanism_of_the_address_is_asked_for(opened: Opened, mechanism: str) -> None:
    app = opened("hits", q="1.0", mechanism=mechanism)

    expected = of_the_api(q_max=1, control_type="treatment", mechanism=mechanism)
    assert app.selectbox(key="mechanism").value == mechanism
    assert app.dataframe[0].value["perturbation"].to_list() == [hit.perturbation for hit in expected]
    assert f"with mechanism {mechanism}" in texts(app)


def test_a_mechanism_that_is_not_there_is_not_asked_for(opened: Opened) -> None:
    app = opened("hits", q="1.0", mechanism="<img src=x>", treatment="no such thing")

    assert app.selectbox(key="mechanism").value is None
    assert app.selectbox(key="treatment").value is None
    assert "not among those" in texts(app)


def test_nothing_found_is_explained_with_what_to_loosen(opened: Opened) -> None:
    least = min(hit.q_value for hit in of_the_api(q_max=1) if hit.q_value is not None)

    app = opened("hits", effect="1000.0", q=f"{min(1.0, max(least, 0.2)):.4f}")

    found = len(of_the_api(q_max=float(app.number_input(key="q").value), control_type="treatment"))
    assert "**No treatment** is a hit with an effect of at least 1000" in texts(app)
    assert f"{found} treatments of any effect" in texts(app)
    assert "Some have such a q" in texts(app)
    assert not app.dataframe


def test_a_selected_treatment_has_a_card_whose_links_lead_to_compound_and_plate(opened: Opened) -> None:
    hit = next(hit for hit in of_the_api(q_max=1) if hit.perturbation == SCRIPT)

    app = opened("hits", q="1.0", treatment=hit.treatment)

    assert app.selectbox(key="treatment").value == hit.treatment
    assert "script" in texts(app)
    assert "<script>" not in texts(app)  # every sign of Markdown and HTML is escaped
    ringed = [chart.proto.spec for chart in app.get("vega_lite_chart") or app.get("arrow_vega_lite_chart")]
    assert len(ringed) == 2
    frame = points([hit], [])
    rings = (volcano(frame, q_max=1.0, selected=hit), precision(frame, selected=hit))
    assert all(ring["layer"][-1]["data"]["values"][0] for ring in rings)


def test_choosing_in_the_list_goes_into_the_address_and_nothing_chosen_leaves_it(opened: Opened) -> None:
    app = opened("hits", q="1.0")

    app.selectbox(key="treatment").select_index(1).run()
    chosen = app.query_params["treatment"]
    app.selectbox(key="treatment").set_value(None).run()

    assert (chosen if isinstance(chosen, str) else chosen[0]) in {hit.treatment for hit in of_the_api(q_max=1)}
    assert "treatment" not in app.query_params


def test_what_is_downloaded_is_what_is_shown_and_no_cell_is_a_formula(opened: Opened) -> None:
    shown = of_the_api(q_max=1, control_type="treatment", mechanism="tubulin inhibitor")
    rows = list(csv.DictReader(io.StringIO(csv_of(table_of(shown)).decode())))

    assert [row["perturbation"] for row in rows] == ["'" + h.perturbation if h.perturbation == FORMULA else
                                                      h.perturbation for h in shown]  # fmt: skip
    assert len(rows) == len(shown)


def test_every_filter_of_the_address_is_asked_for_and_said(judged: Opened) -> None:
    everything = of_the_api()
    keeps = {
        "not_by_count": [hit for hit in everything if hit.explained_by_count != "explained"],
        "not_one_channel": [hit for hit in everything if hit.channel_verdict != "one_channel"],
        "not_flagged": [hit for hit in everything if hit.quality_verdict != "flagged_more"],
    }
    assert all(0 < len(kept) < len(everything) for kept in keeps.values())
    for name, kept in keeps.items():
        app = judged("hits", **{name: "true"})
        assert app.checkbox(key=name).value
        assert app.dataframe[0].value["q_value"].size == len(kept)
        assert f"**{len(kept)} treatments" in texts(app)
    app = judged("hits", batches="2")
    shown = app.dataframe[0].value
    assert set(shown["n_batches_holding"]) == {2}
    assert "2 batches in which they hold" in texts(app)


def test_every_verdict_stands_in_the_table_of_the_page(judged: Opened) -> None:
    app = judged("hits")

    shown = app.dataframe[0].value
    assert set(shown["batch_verdict"]) == {*VERDICTS["batch_verdict"].values(), "cannot tell", "not tested"}
    assert set(shown["channel_verdict"]) == {"<b>DNA</b> alone", "several channels", "cannot tell", "not tested"}
    assert set(shown["quality_verdict"]) == {"yes", "no", "cannot tell", "not tested"}
    assert "may be explained otherwise" in texts(app)
    assert "<b>" not in texts(app)


# Words and charts, without a server


def test_the_answer_tells_compounds_mechanism_and_doubt() -> None:
    hits = [made(number // 2, treatment=f"C{number // 2}@{number}") for number in range(4)]
    hits += [made(9, explained_by_count="cannot_tell"), made(10, explained_by_count="explained")]
    hits += [made(11, channel_verdict="one_channel", channel="ER", quality_verdict="flagged_more")]

    said = answer(hits, Question(mechanism="tubulin inhibitor"))

    assert said == (
        "**7 treatments of 5 compounds** are hits with mechanism tubulin inhibitor at q "
        f"{AT_MOST} 0.05; 3 of them may be explained otherwise (1 ER alone, 1 cell count, 1 flagged images, "
        "1 maybe cell count)."
    )


def test_every_condition_stands_in_the_answer() -> None:
    question = Question(
        effect_min=2, batches_min=2, not_toxic=True, not_by_count=True, not_one_channel=True, not_flagged=True,
        kind="controls", q_max=0.01,
    )  # fmt: skip

    said = answer([made()], question)

    assert said == (
        "**1 positive control** is a hit with an effect of at least 2 \N{MULTIPLICATION SIGN} control, at least "
        "2 batches in which they hold, at least half of the controls' cells, no explanation by cell count, more than "
        f"one channel and no more flagged images than controls at q {AT_MOST} 0.01; nothing else is known to explain "
        "any of them."
    )


@given(st.lists(st.none() | st.floats(0, 9)), st.floats(0, 9))
def test_a_looser_question_keeps_what_the_stricter_one_keeps(sizes: list[float | None], effect: float) -> None:
    hits = [made(i, effect=size) for i, size in enumerate(sizes)]
    question = Question(effect_min=effect)

    kept = question.kept(hits)

    assert kept == [hit for hit in hits if effect == 0 or (hit.effect is not None and hit.effect >= effect)]
    for _, looser in question.looser():
        assert {hit.treatment for hit in kept} <= {hit.treatment for hit in looser.kept(hits)}


def test_why_nothing_is_found_says_underpowered_and_not_callable() -> None:
    weak = [made(i, q_value=0.4, is_hit=False, call="underpowered") for i in range(3)]
    none = made(8, q_value=None, p_value=None, is_hit=False, call="not_callable", reason="one replicate")

    assert "The smallest q of 3 treatments is 0.4." in why_none([*weak, none], Question())
    assert "3 treatments are underpowered" in " ".join(why_none([*weak, none], Question()))
    assert "1 treatment could not be called" in " ".join(why_none([*weak, none], Question()))
    assert why_none([none], Question()) == ["None of 1 treatment could be called: one replicate."]
    assert "no wells of this kind" in why_none([], Question())[0]


def test_a_card_says_the_numbers_with_their_units() -> None:
    said = in_short(made(q_value=0.0021))

    assert "q 0.0021" in said
    assert "effect 2.5 \N{MULTIPLICATION SIGN} control" in said
    assert "4 wells on 2 plates in 2 batches" in said
    assert "in 2 batches, and holds in 2 of 2 batches by itself." in said
    assert said.endswith("It has 0.9 of the controls' cells.")
    doubted = in_short(made(channel_verdict="one_channel", batch_verdict="no_batch", n_batches_holding=0))
    assert "holds in 0 of 2 batches by itself" in doubted
    assert doubted.endswith("It may be explained otherwise: DNA alone, no batch by itself.")
    assert "holds" not in in_short(made(**UNTESTED))


@pytest.mark.parametrize(("n_shown", "n_every"), [(0, 0), (3, 10), (MARKS + 10, MARKS), (10, MARKS)])
def test_no_more_points_are_drawn_than_a_browser_draws_at_once(n_shown: int, n_every: int) -> None:
    every = [made(number) for number in range(max(n_shown, n_every))]

    frame = points(every[:n_shown], every[:n_every])

    assert frame.height == min(MARKS, max(n_shown, n_every))
    assert frame["treatment"].n_unique() == frame.height
    drawn_first = frame["state"].to_list()[: max(0, frame.height - n_shown)]
    assert set(drawn_first) <= {OTHER}
    assert frame.filter(frame["state"] != OTHER).height == min(n_shown, MARKS)


def test_a_question_is_asked_of_the_api_in_its_own_options_and_loosened_one_by_one() -> None:
    question = Question(batches_min=2, not_by_count=True, not_one_channel=True, not_flagged=True)

    asked = question.to_the_api()

    assert (asked["min_batches"], Question().to_the_api()["min_batches"]) == (2, None)
    nots = ("not_by_count", "not_one_channel", "not_flagged")
    assert [asked[name] for name in nots] == [True] * 3
    looser = [other.to_the_api() for _, other in question.looser()]
    for name, value in (*((name, False) for name in nots), ("min_batches", None), ("q_max", 0.2)):
        assert {**asked, name: value} in looser
    assert len(looser) == 5


def test_a_table_says_each_verdict_in_words_and_what_was_not_tested() -> None:
    verdicts = [
        {"explained_by_count": "explained", "channel_verdict": "one_channel", "channel": "ER",
         "batch_verdict": "every_batch", "quality_verdict": "flagged_more"},
        {"explained_by_count": "not_explained", "batch_verdict": "some_batches"},
        dict.fromkeys(("explained_by_count", "channel_verdict", "batch_verdict", "quality_verdict"), "cannot_tell"),
        {"batch_verdict": "no_batch"},
        {"batch_verdict": "one_batch"},
        UNTESTED,
    ]  # fmt: skip

    frame = table_of([made(number, **changes) for number, changes in enumerate(verdicts)])

    alike = ["cannot tell", "no", "no", "not tested"]
    assert frame["explained_by_count"].to_list() == ["maybe", "no", *alike]
    assert frame["channel_verdict"].to_list() == [
        "ER alone", "several channels", "cannot tell", "several channels", "several channels", "not tested",
    ]  # fmt: skip
    assert frame["batch_verdict"].to_list() == [
        "each batch", "some batches", "cannot tell", "no batch", "its only batch", "not tested",
    ]  # fmt: skip
    assert frame["quality_verdict"].to_list() == ["yes", "no", *alike]
    assert frame["doubts"].to_list() == [
        "cell count; ER alone; flagged images",
        "",
        "maybe cell count",
        "no batch by itself",
        "",
        "",
    ]


def test_a_table_of_a_run_of_an_earlier_version_says_that_nothing_was_tested() -> None:
    frame = table_of([made(number, **UNTESTED) for number in range(3)])

    assert {frame[name].unique().item() for name in VERDICTS} == {"not tested"}
    assert not {"p_position", "n_batches_holding"} & set(frame.columns)


def test_a_hit_that_may_be_explained_otherwise_has_its_own_colour_and_shape() -> None:
    frame = points([made(1), made(2, quality_verdict="flagged_more")], [made(3)])
    states = states_in(frame)
    encoding = volcano(frame, q_max=0.05)["layer"][1]["encoding"]

    looks = set(zip(encoding["color"]["scale"]["range"], encoding["shape"]["scale"]["range"], strict=True))
    assert len(states) == len(looks) == 3
    assert states_in(points([made(1)], [])) == states[:1]


def test_what_a_point_tells_is_its_row_with_names_and_units_and_no_more_digits_than_are_read() -> None:
    hit = made(1, name="<b>bold</b>", effect=2.123456, q_value=1.23456e-5, p_value=None)

    (row,) = points([hit], []).to_dicts()

    assert list(row) == ["name", "treatment", "mechanism", EFFECT, "q", "mAP", "p", "state"]
    assert "control" in EFFECT  # effects are lengths of a control's profile
    assert (row["name"].startswith("<b>bold</b>"), row["treatment"]) == (True, hit.treatment)
    assert (row[EFFECT], row["q"], row["p"]) == (2.123, 1.235e-5, None)
    for chart in (volcano(points([hit], []), q_max=1.0), precision(points([hit], []))):
        assert [layer["mark"]["tooltip"] for layer in chart["layer"]] == [{"content": "data"}]


def test_the_threshold_and_the_ring_bring_one_row_of_their_own() -> None:
    frame = points([made()], [])
    layers = volcano(frame, q_max=0.02, selected=made(q_value=0.004))["layer"]

    assert [layer["data"]["values"] for layer in layers if "data" in layer] == [
        [{"q": 0.02}],
        [{EFFECT: 2.5, "q": 0.004}],
    ]
    assert len(precision(frame, selected=made(p_value=None))["layer"]) == 1  # what has no place has no ring


def test_thousands_of_hits_are_a_table_of_a_thousand_and_a_file_of_all() -> None:
    hits = [made(number, name="x" * 400) for number in range(5_000)]

    frame = table_of(hits)

    assert frame.height == 5_000 > ROWS_SHOWN
    assert csv_of(frame).count(b"\n") == 5_001
    assert "call" not in frame.columns  # it is the same of all
