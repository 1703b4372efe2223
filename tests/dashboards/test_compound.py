"""The page of a compound: why it is a hit, its cells beside the controls', and what else is known of it."""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl
import pytest
from apps import Opened, texts
from calls import made
from hypothesis import given
from hypothesis import strategies as st
from served import BROKEN, FORMULA, SCRIPT, SLASH
from streamlit.testing.v1 import AppTest

from dashboards.views.compound import best_first, offered_as
from dashboards.views.compound_parts import dose_chart, dose_frame
from dashboards.views.compound_pictures import typical, typical_of_plates
from dashboards.views.compound_words import explanations, headline, neighbours_in_words, quality_in_words, reasons
from hcs.client import Client
from schemas.api import Neighbour, Perturbation, PerturbationWell

TIMES = "\N{MULTIPLICATION SIGN}"


def of_the_api(perturbation: str) -> Perturbation:
    with Client() as client:
        return client.perturbation(perturbation)


def frames(app: AppTest) -> list[Any]:
    return [element.value for element in app.dataframe]


def plainly(lines: list[str]) -> list[str]:
    """Lines of Markdown as they are read."""
    return [re.sub(r"\\(.)", r"\1", line) for line in lines]


def well(name: str = "A01", *, plate: str = "P1", **changes: Any) -> PerturbationWell:
    plain: dict[str, Any] = {
        "plate": plate, "well": name, "treatment": "C@1", "concentration_micromolar": 1.0, "dose_step": None,
        "control_type": "treatment", "excluded_reason": None, "sites": 2, "sites_failed": 0, "cell_count": 50.0,
        "image": "/v1/x",
    }  # fmt: skip
    return PerturbationWell(**{**plain, **changes})


def neighbour(rank: int, mechanism: str | None) -> Neighbour:
    return Neighbour(
        profile="combined", treatment="C@1", rank=rank, neighbour=f"N{rank}@1", similarity=1 / rank,
        perturbation=f"N{rank}", concentration_micromolar=1.0, dose_step=None, control_type="treatment", name=None,
        mechanism=mechanism, mechanism_source=None, q_value=None, call=None,
    )  # fmt: skip


def test_a_compound_is_found_by_its_key_and_told_in_words_that_are_the_numbers_of_the_api(opened: Opened) -> None:
    app = opened("compound", perturbation="CPD4")

    whole = of_the_api("CPD4")
    first = best_first([hit for hit in whole.calls if hit.profile == "combined"])[0]
    said = texts(app)
    assert headline(first) in said
    assert all(f"- {reason}" in said for reason in reasons(first, names={}))
    assert f"{whole.n_wells} wells in run" in said
    assert app.header[0].value == "CPD4"


def test_what_else_could_explain_a_hit_is_listed_as_the_api_says_it(judged: Opened) -> None:
    seen = set()
    for dose in of_the_api("CPD4").calls + of_the_api(SCRIPT).calls:
        if dose.profile != "combined":
            continue
        app = judged("compound", perturbation=dose.perturbation, treatment=dose.treatment)
        (listed,) = [element.value for element in app.markdown if "What else could explain it" in element.value]
        assert plainly(listed.splitlines()[2:]) == [f"- {text[0].upper()}{text[1:]}." for text in dose.explanations]
        assert "<b>" not in listed
        seen.update(dose.explanations)
    assert len(seen) > 12


def test_a_hit_of_a_run_of_an_earlier_version_says_that_nothing_was_tested(judged: Opened) -> None:
    with Client() as client:
        (old,) = [hit for hit in client.hits() if hit.batch_verdict is None]

    app = judged("compound", perturbation=old.perturbation, treatment=old.treatment)

    assert "- Not tested: the places of its wells, the number of cells, channels" in plainly([texts(app)])[0]


def test_another_dose_of_the_address_is_the_one_that_is_told(opened: Opened) -> None:
    whole = of_the_api("CPD4")
    last = best_first([hit for hit in whole.calls if hit.profile == "combined"])[-1]

    app = opened("compound", perturbation="CPD4", treatment=last.treatment)

    assert app.selectbox(key="treatment").value == last.treatment
    assert headline(last) in texts(app)


def test_wells_stand_beside_negative_controls_of_the_same_plates(opened: Opened) -> None:
    app = opened("compound", perturbation=SLASH)

    with Client() as client:
        kinds = {(p, w.well): w.control_type for p in ("P1", "P2") for w in client.wells(p)}
    captions = [caption for image in app.image for caption in image.captions]
    assert len(captions) == 4  # two plates, on each a well and a control
    treated, controls = captions[0::2], captions[1::2]
    assert all("This compound" in told for told in treated)
    assert all("DMSO, negative control" in told for told in controls)
    assert all(kinds["P1", told.split(": ")[1].split(",")[0].replace("\\", "")] == "negcon" for told in controls)


def test_names_that_are_markup_stay_text(opened: Opened) -> None:
    app = opened("compound", perturbation=SCRIPT)

    shown = [app.header[0].value, *(element.value for element in app.markdown)]
    assert "script" in shown[0]
    assert not any("<script>" in text for text in shown)


def test_a_compound_that_is_not_there_is_said_and_the_choice_stays(opened: Opened) -> None:
    app = opened("compound", perturbation="no such compound" * 20)

    assert app.warning
    assert app.selectbox(key="perturbation").options


def test_the_negative_control_has_no_call_and_its_wells_are_shown(opened: Opened) -> None:
    app = opened("compound", perturbation="dmso")

    assert "It is the negative control" in texts(app)
    assert app.image


def test_without_a_compound_the_choice_is_explained(opened: Opened) -> None:
    assert "is found by its name or key" in texts(opened("compound")) or "Choose a compound" in texts(
        opened("compound")
    )


def test_quality_lists_every_well_and_counts_those_that_could_not_be_read(opened: Opened) -> None:
    broken = of_the_api(FORMULA)
    key = next(w.treatment for w in broken.wells if w.well == BROKEN)
    assert key is not None

    app = opened("compound", perturbation=broken.perturbation, treatment=key, part="Quality")

    wells = [w for w in broken.wells if w.treatment == key]
    shown = frames(app)[-1]
    assert shown["Well"].to_list() == [w.well for w in wells]
    assert shown["Sites failed"].sum() == sum(w.sites_failed for w in wells) > 0
    assert "could not be read" in texts(app)


def test_provenance_reaches_the_hashes_of_weights_and_images(opened: Opened) -> None:
    app = opened("compound", perturbation=SLASH, part="Provenance")

    place = app.selectbox(key="origin").value.split(":")
    with Client() as client:
        origin = client.provenance(*place)
    run, encoders, images = frames(app)[-3:]
    assert run["Value"].to_list()[0] == origin.config_sha256
    assert encoders["Weights, SHA-256"].to_list() == [item.weights_sha256 for item in origin.encoders]
    assert images["SHA-256"].to_list() == [item.sha256 for item in origin.images]
    assert len(images) > 0


def test_neighbours_are_those_of_the_api_with_links(opened: Opened) -> None:
    app = opened("compound", perturbation="CPD4", part="Neighbours")

    whole = of_the_api("CPD4")
    first = best_first([hit for hit in whole.calls if hit.profile == "combined"])[0]
    near = [n for n in whole.neighbours if (n.profile, n.treatment) == ("combined", first.treatment)]
    if near:
        assert frames(app)[-1]["perturbation"].to_list() == [n.perturbation for n in near[:20]]
    else:
        assert "No similar treatment is known" in texts(app)


# Words, without a server


def test_a_hit_is_told_with_chance_effect_count_and_evidence() -> None:
    evidence = {"agreement": 0.5, "neighbours": [
        {"treatment": "A@1", "mechanism": "HDAC inhibitor", "similarity": 0.81},
        {"treatment": "B@1", "mechanism": "other", "similarity": 0.2},
    ]}  # fmt: skip
    hit = made(q_value=0.02, p_value=0.0001, explained_by_count="explained", cell_count_ratio=0.3, mechanism=None,
               mechanism_source="none", predicted_mechanism="HDAC inhibitor",
               mechanism_evidence=json.dumps(evidence))  # fmt: skip

    said = "\n".join([headline(hit), *reasons(hit, names={"A@1": "vorinostat"})])

    assert "is a hit**: q 0.02" in said
    assert "Of treatments that are at least as sure, about 1 in 50 is expected to be false." in said
    assert "4 wells on 2 plates in 2 batches" in said
    assert "p 0.0001, the smallest that this layout can give" in said
    assert f"2.5 {TIMES} control" in said
    assert "0.3 \N{MULTIPLICATION SIGN} the cells" in said
    assert "it is toxic" in said
    assert "Explained by the number of cells: its wells hold 30 % of the controls' cells" in "\n".join(
        plainly(explanations(hit))
    )
    assert "predicted HDAC inhibitor, since the most similar annotated hit is vorinostat (similarity 0.81)" in said
    assert "1 of the 2 nearest agree" in said


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"call": "underpowered", "q_value": 0.3, "smallest_possible_p_position": 0.1}, "no p below 0.1"),
        (
            {"call": "underpowered", "smallest_possible_p": 0.2, "smallest_possible_p_position": None},
            "no p below 0.2",
        ),
        ({"call": "not_callable", "q_value": None, "reason": "one replicate"}, "could not be called**: one replicate"),
        ({"call": "inactive", "q_value": 0.7}, "is no hit**: q 0.7"),
    ],
)
def test_what_is_no_hit_says_why(changes: dict[str, Any], expected: str) -> None:
    assert expected in headline(made(is_hit=False, **changes))


@given(st.text(max_size=400))
def test_no_name_becomes_markup(name: str) -> None:
    said = headline(made(name=f"<b>{name}", mechanism=name or None))

    assert "<b>" not in said.replace(r"\<b\>", "")
    assert "\n" not in said


def test_a_hit_of_one_well_is_said_to_be_far_and_not_alike() -> None:
    hit = made(
        n_replicates=1,
        n_plates=1,
        n_batches=1,
        n_controls=12,
        mean_average_precision=None,
        p_value=0.01,
        smallest_possible_p=0.01,
    )

    said = "\n".join(reasons(hit, names={}))

    assert "**Alike**" not in said
    assert "it was in 1 well on 1 plate in 1 batch, with no other well to be like" in said
    assert "12 of them on the same plate" in said
    assert "p 0.01, the smallest that this layout can give" in said


def test_evidence_of_another_kind_is_left_out() -> None:
    hit = made(predicted_mechanism="x", mechanism_evidence=json.dumps({"neighbours": 5, "similarity": 0.6}))

    assert "predicted x" in reasons(hit, names={})[-1]


def test_neighbours_are_summed_up_by_the_most_frequent_mechanism() -> None:
    near = [neighbour(1, "a|b"), neighbour(2, "b"), neighbour(3, None)]

    assert neighbours_in_words(near, "B") == "**2 of the 3 most similar treatments have the mechanism b**, its own."
    assert neighbours_in_words([neighbour(1, None)], None).startswith("None of the 1 nearest treatment")
    assert "No similar treatment" in neighbours_in_words([], None)


def test_quality_tells_what_is_wrong() -> None:
    wells = [well(), well("A02", sites_failed=1), well("A03", excluded_reason="a fibre")]

    said = quality_in_words(wells, 2)

    assert said.startswith("3 wells with 6 sites; **1 site could not be read**; **2 wells out of focus")
    assert "**1 well taken out by a person**" in said


@given(st.lists(st.tuples(st.none() | st.floats(0, 500), st.integers(0, 2), st.booleans()), max_size=12))
def test_the_typical_well_was_read_and_is_nearest_the_median(rows: list[tuple[float | None, int, bool]]) -> None:
    wells = [
        well(f"A{i:02d}", cell_count=count, sites_failed=failed, excluded_reason="x" if out else None)
        for i, (count, failed, out) in enumerate(rows, start=1)
    ]

    found = typical(wells)

    usable = [w for w in wells if w.sites_failed < 2 and w.excluded_reason is None]
    assert (found is None) == (not usable)
    if found is not None and found.cell_count is not None:
        counts = sorted(w.cell_count for w in usable if w.cell_count is not None)
        median = counts[len(counts) // 2]
        assert abs(found.cell_count - median) == min(abs(count - median) for count in counts)


def test_one_well_of_each_plate_is_looked_at() -> None:
    wells = [well(f"A{i:02d}", plate=f"P{i % 5}") for i in range(1, 20)]

    assert [w.plate for w in typical_of_plates(wells)] == ["P0", "P1", "P2"]


def test_doses_are_micromolar_on_a_logarithmic_axis_or_steps_on_a_plain_one() -> None:
    molar, unit = dose_frame([made(1, concentration_micromolar=c) for c in (10.0, 0.1)])
    steps, step = dose_frame([made(1, concentration_micromolar=None, dose_step=s) for s in (2.0, 1.0)])

    assert molar["dose"].to_list() == [0.1, 10.0]
    assert steps["dose"].to_list() == [1.0, 2.0]
    assert dose_chart(molar, "effect", "Effect", unit)["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"
    assert "type" not in dose_chart(steps, "effect", "Effect", step)["layer"][0]["encoding"]["x"]["scale"]
    assert dose_frame([])[0].schema["dose"] == pl.Float64


def test_a_long_name_is_shortened_where_it_is_offered() -> None:
    assert len(offered_as(made(name="x" * 400, perturbation="k" * 400))) < 100


def test_the_surest_dose_comes_first_and_what_has_no_q_last() -> None:
    calls = [made(1, q_value=None), made(2, q_value=0.5), made(3, q_value=0.01), made(4, q_value=0.01, effect=9.0)]

    assert [hit.perturbation for hit in best_first(calls)] == ["C4", "C3", "C2", "C1"]
