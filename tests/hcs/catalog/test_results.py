from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hcs.catalog import (
    EVERY_CALL,
    HitLimits,
    complete,
    find_hits,
    known_mechanisms,
    lease,
    neighbours_of,
    plan,
    publish,
    show_perturbation,
    wells_of,
)
from hcs.errors import NotFoundError, UsageError
from schemas.results import PublishedCalls
from schemas.work import RunState

EXPLAINED = {"explained_by_count": "explained", "channel_verdict": "one_channel", "quality_verdict": "flagged_more"}
UNTOLD = {
    **dict.fromkeys(("explained_by_count", "channel_verdict", "batch_verdict", "quality_verdict"), "cannot_tell"),
    "channel": None, "n_batches_holding": 1, "n_batches_testable": 1,
}  # fmt: skip
OLD = dict.fromkeys(
    ("explained_by_count", "channel_verdict", "channel", "batch_verdict", "n_batches_holding", "n_batches_testable",
     "quality_verdict", "position_verdict", "p_position", "smallest_possible_p_position", "n_other_positions",
     "other_positions_precision", "n_judged", "n_flagged", "flagged_share_of_controls")
)  # fmt: skip
"""What a run of an earlier version says of it: nothing."""

ROWS = [
    {"perturbation": "A", "mechanism": "Aurora kinase inhibitor|JAK inhibitor", "mechanism_source": "annotated"},
    {"perturbation": "B", "mechanism": "jak Inhibitor", "mechanism_source": "predicted", "q_value": 0.05},
    {"perturbation": "C", "mechanism": "JAK inhibitor antagonist", "mechanism_source": "annotated"},
    {"perturbation": "D", "q_value": 0.06, "cell_count_ratio": 0.5, "n_batches_holding": 1, **EXPLAINED},
    {"perturbation": "E", "q_value": None, "call": "not_callable", "is_hit": False, "cell_count_ratio": None, **OLD},
    {"perturbation": "F", "cell_count_ratio": 0.49, "n_batches_holding": 3, "channel_verdict": "one_channel"},
    {"perturbation": "G", "control_type": "poscon", "n_batches_holding": 3, "quality_verdict": "flagged_more"},
    {"perturbation": "A", "profile": "named"},
    {"perturbation": "A", "concentration_micromolar": 10.0, "q_value": 0.9, **UNTOLD},
    {"perturbation": "A", "concentration_micromolar": 9.0, "q_value": 0.9},
]


@pytest.fixture
def published(catalog, make):
    """A finished run of the rows above."""
    run_id = make.run(catalog).id
    publish(
        catalog,
        run_id,
        calls=make.calls(ROWS),
        neighbours=make.neighbours([]),
        profiles=[],
        state=RunState.COMPLETE,
    )
    return catalog


def names(frame: pl.DataFrame) -> str:
    return "".join(frame["perturbation"])


def test_hits_are_the_calls_of_the_declared_profile_up_to_the_q_threshold(published):
    assert names(find_hits(published)) == "ABCFG"
    assert names(find_hits(published, HitLimits(q_max=0.01))) == "ACFG"
    assert names(find_hits(published, HitLimits(q_max=0.06))) == "ABCDFG"
    assert names(find_hits(published, profile="named")) == "A"


def test_a_threshold_of_one_keeps_rows_without_a_q(published):
    assert names(find_hits(published, EVERY_CALL)) == "AAABCDEFG"
    assert names(find_hits(published, HitLimits(q_max=0.999))) == "AAABCDFG"


def test_doses_stand_in_their_order_as_numbers(published):
    hits = find_hits(published, EVERY_CALL).filter(perturbation="A")

    assert hits["concentration_micromolar"].to_list() == [1.0, 9.0, 10.0]
    assert hits["treatment"].to_list() == ["A@1", "A@9", "A@10"]


@pytest.mark.parametrize(
    ("mechanism", "found"),
    [
        ("JAK inhibitor", "AB"),
        (" jak INHIBITOR ", "AB"),
        ("aurora kinase inhibitor", "A"),
        ("inhibitor", ""),
        ("Aurora kinase inhibitor|JAK inhibitor", ""),
        ("%", ""),
        ("' OR 1=1 --", ""),
        ("", ""),
    ],
)
def test_a_mechanism_is_one_whole_label_in_any_case(published, mechanism, found):
    assert names(find_hits(published, HitLimits(mechanism=mechanism))) == found


def test_predicted_mechanisms_are_found_and_say_so(published):
    hits = find_hits(published, HitLimits(mechanism="JAK inhibitor"))

    assert hits["mechanism_source"].to_list() == ["annotated", "predicted"]


def test_a_label_beyond_ascii_is_found_in_any_case(catalog, make):
    run_id = make.run(catalog).id
    calls = make.calls([{"perturbation": "A", "mechanism": "Ödem|Straße", "mechanism_source": "annotated"}])
    publish(catalog, run_id, calls=calls, neighbours=make.neighbours([]), profiles=[], state=RunState.COMPLETE)

    assert (
        find_hits(catalog, HitLimits(mechanism="ÖDEM")).height
        == find_hits(catalog, HitLimits(mechanism="STRASSE")).height
        == 1
    )


def test_not_toxic_needs_half_of_the_cells_and_a_count(published):
    assert names(find_hits(published, HitLimits(not_toxic=True, q_max=1))) == "AAABCDG"


def test_hits_can_be_asked_to_hold_in_several_batches(published):
    assert names(find_hits(published, HitLimits(min_batches=3))) == "FG"
    assert names(find_hits(published, HitLimits(min_batches=2, q_max=1))) == "AABCFG"
    assert names(find_hits(published, HitLimits(min_batches=1, q_max=1))) == "AAABCDFG"  # of E nobody knows


def test_what_is_not_known_to_be_explained_otherwise_is_kept(published):
    assert names(find_hits(published, HitLimits(q_max=1, not_by_count=True))) == "AAABCEFG"
    assert names(find_hits(published, HitLimits(q_max=1, not_one_channel=True))) == "AAABCEG"
    assert names(find_hits(published, HitLimits(q_max=1, not_flagged=True))) == "AAABCEF"


def test_hits_of_one_kind_can_be_asked_for(published):
    assert names(find_hits(published, HitLimits(control_types=["poscon"]))) == "G"
    assert names(find_hits(published, HitLimits(control_types=["treatment"]))) == "ABCF"


questions = st.fixed_dictionaries(
    {
        "q_max": st.sampled_from([0.01, 0.05, 0.06, 1]),
        **dict.fromkeys(("not_toxic", "not_by_count", "not_one_channel", "not_flagged"), st.booleans()),
        "min_batches": st.sampled_from([None, 1, 2, 3]),
        "mechanism": st.sampled_from([None, "jak inhibitor", "Aurora kinase inhibitor", "none of them"]),
        "control_types": st.sampled_from([["treatment"], ["poscon"], ["treatment", "poscon"]]),
    }
)


LEFT_OUT = {
    "not_by_count": ("explained_by_count", "explained"),
    "not_one_channel": ("channel_verdict", "one_channel"),
    "not_flagged": ("quality_verdict", "flagged_more"),
}


def passes(row, *, q_max, not_toxic, min_batches, mechanism, control_types, **not_said):
    labels = [label.strip().lower() for label in (row["mechanism"] or "").split("|")]
    said = {column: verdict for name, (column, verdict) in LEFT_OUT.items() if not_said[name]}
    return (
        (q_max == 1 or (row["q_value"] is not None and row["q_value"] <= q_max))
        and (not not_toxic or (row["cell_count_ratio"] is not None and row["cell_count_ratio"] >= 0.5))
        and (min_batches is None or (row["n_batches_holding"] is not None and row["n_batches_holding"] >= min_batches))
        and all(row[column] != verdict for column, verdict in said.items())
        and (mechanism is None or mechanism.lower() in labels)
        and row["control_type"] in control_types
    )


@given(question=questions)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_conditions_together_are_the_loop_over_all_rows(published, question):
    everything = find_hits(published, EVERY_CALL).rows(named=True)

    found = find_hits(published, HitLimits(**question))

    assert found.rows(named=True) == [row for row in everything if passes(row, **question)]
    assert found.columns == ["treatment", *PublishedCalls.columns()]
    PublishedCalls.validate(found.drop("treatment"))


@pytest.mark.parametrize(
    "limits",
    [
        {"q_max": 0},
        {"q_max": 1.1},
        {"q_max": float("nan")},
        {"min_batches": 0},
        {"min_batches": 10**20},
        {"control_types": ["negcon"]},
    ],
)
def test_limits_that_make_no_sense_are_refused(limits):
    with pytest.raises(UsageError):
        HitLimits(**limits)


def test_an_unknown_profile_is_answered_with_those_there_are(published):
    with pytest.raises(NotFoundError, match="it has combined, named"):
        find_hits(published, profile="swin")


def test_a_run_that_has_not_finished_has_no_hits_yet(published, make):
    run_id = make.run(published).id

    assert find_hits(published).height == 5  # the finished one
    with pytest.raises(NotFoundError, match=f"run-{run_id} is running"):
        find_hits(published, run=run_id)


def test_known_mechanisms_are_single_labels_in_one_spelling(published):
    assert known_mechanisms(published) == [
        "Aurora kinase inhibitor",
        "jak Inhibitor",
        "JAK inhibitor antagonist",
    ]
    assert known_mechanisms(published, profile="named") == []


@pytest.fixture
def screened(catalog, make):
    """A finished run of one plate with wells, sites, calls and neighbours of three compounds."""
    record = make.run(
        catalog,
        wells=make.wells(
            [
                {"well": "A01", "perturbation": "DMSO", "control_type": "negcon"},
                {"well": "A02", "perturbation": "BRD-1", "concentration_micromolar": 1.0, "name": "Aspirin"},
                {"well": "A03", "perturbation": "BRD-1", "concentration_micromolar": 10.0, "smiles": "CC"},
                {"well": "A04", "perturbation": "BRD-2", "concentration_micromolar": 1.0, "name": "Taxol"},
                {"well": "A05", "perturbation": "brd-3", "concentration_micromolar": 1.0, "name": "taxol"},
                {"well": "A06", "control_type": "empty"},
            ]
        ),
    )
    plan(catalog, record.id, [make.unit(number, n_sites=2) for number in range(5)])
    for unit in lease(catalog, record.id, "somewhere else/1/2/abcd", limit=9, seconds=60):
        complete(catalog, record.id, fence=unit.fence, **make.result(unit.spec, failed=[2]))
    compounds = [
        {"perturbation": "BRD-1"},
        {"perturbation": "BRD-1", "concentration_micromolar": 10.0},
        {"perturbation": "BRD-2", "mechanism": "tubulin", "mechanism_source": "annotated", "name": "Taxol"},
        {"perturbation": "BRD-2", "control_type": "poscon"},
    ]
    calls = make.calls([{**row, "profile": profile} for profile in ("combined", "named") for row in compounds])
    near = [
        ("BRD-1@1", 2, "BRD-1@10", 0.5),
        ("BRD-1@1", 1, "BRD-2@1", 0.9),
        ("BRD-1@10", 1, "BRD-1@1", 0.5),
        ("BRD-2@1", 1, "elsewhere@1", 0.1),
    ]
    neighbours = pl.concat([make.neighbours(near), make.neighbours(near[:1], profile="named")])
    publish(catalog, record.id, calls=calls, neighbours=neighbours, profiles=[], state=RunState.COMPLETE)
    return catalog


def test_a_perturbation_shows_its_wells_sites_calls_and_neighbours(screened):
    view = show_perturbation(screened, "BRD-1")

    assert (view.perturbation, view.name, view.smiles, view.mechanism) == ("BRD-1", "Aspirin", "CC", None)
    assert view.run.name == "run-1"
    assert view.wells["well"].to_list() == ["A02", "A03"]
    assert view.sites.select("well", "site", "status").rows() == [
        ("A02", 1, "ok"),
        ("A02", 2, "failed"),
        ("A03", 1, "ok"),
        ("A03", 2, "failed"),
    ]
    assert view.calls.select("treatment", "profile").rows() == [
        ("BRD-1@1", "combined"),
        ("BRD-1@1", "named"),
        ("BRD-1@10", "combined"),
        ("BRD-1@10", "named"),
    ]
    assert view.neighbours["profile"].to_list() == ["combined"] * 3 + ["named"]


def test_neighbours_stand_nearest_first_beside_what_is_known_of_them(screened):
    near = neighbours_of(screened, "BRD-1")

    columns = ["treatment", "rank", "neighbour", "similarity", "perturbation", "mechanism", "name", "control_type"]
    assert near.select(columns).rows() == [
        ("BRD-1@1", 1, "BRD-2@1", 0.9, "BRD-2", "tubulin", "Taxol", "treatment"),
        ("BRD-1@1", 2, "BRD-1@10", 0.5, "BRD-1", None, None, "treatment"),
        ("BRD-1@10", 1, "BRD-1@1", 0.5, "BRD-1", None, None, "treatment"),
    ]
    assert neighbours_of(screened, "BRD-1", top=1)["rank"].to_list() == [1, 1]
    assert neighbours_of(screened, "BRD-2")["perturbation"].to_list() == [None]
    with pytest.raises(UsageError):
        neighbours_of(screened, "BRD-1", top=0)


@pytest.mark.parametrize(("asked", "found"), [("brd-1", "BRD-1"), ("aspirin", "BRD-1"), ("BRD-3", "brd-3")])
def test_a_perturbation_is_found_by_name_and_in_any_case(screened, asked, found):
    assert show_perturbation(screened, asked).perturbation == found


def test_a_perturbation_without_calls_is_shown_too(screened):
    view = show_perturbation(screened, "DMSO")

    assert (view.wells.height, view.sites.height, view.calls.height, view.neighbours.height) == (1, 2, 0, 0)


def test_a_name_that_several_have_is_answered_with_all_of_them(screened):
    with pytest.raises(NotFoundError, match="several perturbations of run-1: BRD-2, brd-3"):
        show_perturbation(screened, "Taxol")


@pytest.mark.parametrize("asked", ["Asprin", "BRD-11", "'; DROP TABLE calls; --", "", "x" * 100_000])
def test_an_unknown_perturbation_is_answered_with_near_ones(screened, asked):
    with pytest.raises(NotFoundError) as error:
        show_perturbation(screened, asked)

    assert len(str(error.value)) < 300
    if asked == "Asprin":
        assert "did you mean Aspirin" in str(error.value)


def test_wells_keep_their_types_and_order(screened):
    wells = wells_of(screened)

    assert wells["well"].to_list() == [f"A0{number}" for number in range(1, 7)]
    assert wells["treatment"].to_list() == ["DMSO", "BRD-1@1", "BRD-1@10", "BRD-2@1", "brd-3@1", None]
    assert wells.schema["control_type"] == pl.Enum(["treatment", "negcon", "poscon", "empty"])
    assert wells_of(screened, plate="P9").height == 0
