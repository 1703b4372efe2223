"""Hits: the answer of `hcs hits`, page by page and as a table."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from hcs.catalog import EVERY_CALL, find_hits, open_catalog
from hcs.catalog.hits import CALLS
from hcs.hits.explain import doubts_of_call, sentences_of_call
from schemas.api import Hit

EXPLAINING = (
    "position_verdict", "explained_by_count", "channel_verdict", "batch_verdict", "quality_verdict",
    "n_other_positions",
)  # fmt: skip
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def calls(finished) -> pl.DataFrame:
    with open_catalog(str(finished.catalog)) as catalog:
        return find_hits(catalog, EVERY_CALL)


def pages_of(client, **query):
    """Every page of a query, as a client that follows cursors sees them."""
    pages = [client.get("/v1/hits", params=query)]
    while cursor := pages[-1].json()["next_cursor"]:
        pages.append(client.get("/v1/hits", params={**query, "cursor": cursor}))
    return pages


def test_an_item_has_exactly_the_columns_of_hcs_hits(reader):
    (item, *_) = reader.get("/v1/hits", params={"q_max": 1}).json()["items"]

    assert list(item) == [*CALLS, "doubts", "explanations"] == list(Hit.model_fields)


def test_a_column_may_be_null_where_its_contract_says_so():
    from schemas.results import PublishedCalls

    for name, column in PublishedCalls.columns().items():
        may_be_null = type(None) in getattr(Hit.model_fields[name].annotation, "__args__", ())
        assert may_be_null is column.nullable, name


def test_the_defaults_are_those_of_the_command(reader, finished):
    with open_catalog(str(finished.catalog)) as catalog:
        expected = find_hits(catalog)

    page = reader.get("/v1/hits").json()

    assert page["run"] == "run-1"
    assert {item["treatment"] for item in page["items"]} == set(expected["treatment"])
    assert all(item["q_value"] <= 0.05 for item in page["items"])


@pytest.mark.parametrize("limit", [1, 3, 5000])
def test_pages_hold_every_row_once_strongest_first(reader, calls, limit):
    pages = pages_of(reader, q_max=1, limit=limit)
    items = [item for page in pages for item in page.json()["items"]]

    assert len(items) == calls.height > 3
    assert {(item["treatment"], item["control_type"]) for item in items} == set(
        calls.select("treatment", pl.col("control_type").cast(pl.String)).iter_rows()
    )
    keys = [(i["q_value"] is None, i["q_value"] or 0, i["effect"] is None, -(i["effect"] or 0)) for i in items]
    assert keys == sorted(keys)
    assert [len(page.json()["items"]) for page in pages[:-1]] == [limit] * (len(pages) - 1)


def test_the_next_page_is_told_in_a_header_too(reader):
    first = reader.get("/v1/hits", params={"q_max": 1, "limit": 2})
    (target,) = re.fullmatch(r'<([^>]+)>; rel="next"', first.headers["Link"]).groups()

    following = reader.get(target).json()

    assert (
        following
        == reader.get("/v1/hits", params={"q_max": 1, "limit": 2, "cursor": first.json()["next_cursor"]}).json()
    )
    assert "Link" not in reader.get("/v1/hits", params={"q_max": 1, "limit": 500}).headers


@pytest.mark.parametrize(
    ("query", "keeps"),
    [
        ({"mechanism": "KINASE inhibitor"}, lambda c: pl.col("mechanism").str.contains("kinase inhibitor")),
        ({"mechanism": "nothing like it"}, lambda c: pl.lit(False)),
        ({"not_toxic": "true"}, lambda c: pl.col("cell_count_ratio") >= 0.5),
        ({"min_batches": 3}, lambda c: pl.lit(False)),
        ({"control_type": "poscon"}, lambda c: pl.col("control_type").cast(pl.String) == "poscon"),
        ({"profile": "named"}, None),
    ],
)
def test_filters_keep_what_they_say(reader, finished, calls, query, keeps):
    if keeps is None:
        with open_catalog(str(finished.catalog)) as catalog:
            expected = find_hits(catalog, EVERY_CALL, profile="named")
    else:
        expected = calls.filter(keeps(calls))

    items = reader.get("/v1/hits", params={"q_max": 1, **query}).json()["items"]

    assert {item["treatment"] for item in items} == set(expected["treatment"])


@pytest.fixture(scope="module")
def judged(finished, tmp_path_factory):
    """The API on a copy of the run in which every verdict is said of some hit, and nothing was tested of the last."""
    from served import judge_calls
    from serving import serving

    catalog = Path(shutil.copy(finished.catalog, tmp_path_factory.mktemp("judged")))
    judge_calls(catalog)
    with serving(catalog) as server, server.client(finished.keys.read) as client:
        yield client, catalog


def test_a_hit_says_what_else_could_explain_it_as_the_command_does(judged):
    client, catalog = judged
    with open_catalog(str(catalog)) as opened:
        rows = {row["treatment"]: row for row in find_hits(opened).iter_rows(named=True)}

    items = client.get("/v1/hits").json()["items"]
    (first, *_) = items
    whole = client.get(f"/v1/perturbations/{first['perturbation']}").json()["calls"]

    assert len(items) == len(rows) == 8
    for item in items:
        row = rows[item["treatment"]]
        assert item["explanations"] == list(sentences_of_call(row))
        assert item["doubts"] == list(doubts_of_call(row))
        assert {name: item[name] for name in EXPLAINING} == {name: row[name] for name in EXPLAINING}
    assert [sum(item[name] is None for item in items) for name in EXPLAINING] == [1, 1, 1, 1, 1, 1]
    assert first in whole


@pytest.mark.parametrize(
    ("query", "column", "is_kept"),
    [
        ({"not_by_count": "true"}, "explained_by_count", lambda verdict: verdict != "explained"),
        ({"not_one_channel": "true"}, "channel_verdict", lambda verdict: verdict != "one_channel"),
        ({"not_flagged": "true"}, "quality_verdict", lambda verdict: verdict != "flagged_more"),
        ({"min_batches": 1}, "n_batches_holding", lambda n: (n or 0) >= 1),
        ({"min_batches": 2}, "n_batches_holding", lambda n: (n or 0) >= 2),
    ],
    ids=["not_by_count", "not_one_channel", "not_flagged", "in_one_batch", "in_two_batches"],
)
def test_what_else_explains_a_hit_can_be_left_out(judged, query, column, is_kept):
    everything = judged[0].get("/v1/hits").json()["items"]

    kept = judged[0].get("/v1/hits", params=query).json()["items"]

    assert kept == [item for item in everything if is_kept(item[column])]
    assert 0 < len(kept) < len(everything)


def test_wells_say_the_doubts_of_their_treatment(judged):
    client, _ = judged
    doubts = {item["treatment"]: item["doubts"] for item in client.get("/v1/hits").json()["items"]}

    called = [well for well in client.get("/v1/plates/P1/wells").json()["items"] if well["call"]]

    assert {well["treatment"]: well["call"]["doubts"] for well in called} == doubts
    assert any(doubts.values())


def test_hostile_names_are_verbatim_in_json_and_harmless_in_csv(reader, finished):
    answer = reader.get("/v1/hits", params={"q_max": 1})
    table = reader.get("/v1/hits", params={"q_max": 1}, headers={"Accept": "text/csv"})

    names = {item["perturbation"] for item in answer.json()["items"]}
    formula = next(name for name in names if name.startswith("=cmd"))
    assert SCRIPT in names
    assert table.headers["Content-Type"].startswith("text/csv")
    assert table.headers["X-Content-Type-Options"] == "nosniff"
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert list(rows[0]) == list(CALLS)
    assert {row["perturbation"] for row in rows} == names - {formula} | {f"'{formula}"}


def test_a_table_holds_all_rows_unless_a_page_is_asked_for(reader, calls):
    accept = {"Accept": "text/csv"}
    whole = reader.get("/v1/hits", params={"q_max": 1}, headers=accept)
    page = reader.get("/v1/hits", params={"q_max": 1, "limit": 2}, headers=accept)

    assert len(whole.text.splitlines()) == 1 + calls.height
    assert len(page.text.splitlines()) == 3
    assert page.headers["Link"].endswith('; rel="next"')
    assert whole.text.startswith(page.text)


def test_a_cursor_is_of_its_query_alone(reader):
    cursor = reader.get("/v1/hits", params={"q_max": 1, "limit": 1}).json()["next_cursor"]

    for other in ({"q_max": 0.9}, {"q_max": 1, "not_toxic": "true"}, {"q_max": 1, "run": "run-1"}):
        assert reader.get("/v1/hits", params={**other, "limit": 1, "cursor": cursor}).status_code == 404
    assert reader.get("/v1/hits", params={"q_max": 1, "limit": 7, "cursor": cursor}).status_code == 200
    assert reader.get("/v1/runs", params={"cursor": cursor}).status_code == 404
    assert reader.get("/v1/hits", params={"q_max": 1, "cursor": cursor[:-2] + "AA"}).status_code == 404


def test_a_cursor_ends_with_the_results_that_it_leads_into(copied):
    from serving import serving
    from sqlalchemy import create_engine, text

    with serving(copied.catalog) as server, server.client(copied.keys.read) as client:
        cursor = client.get("/v1/hits", params={"q_max": 1, "limit": 1}).json()["next_cursor"]
        engine = create_engine(f"sqlite:///{copied.catalog}")
        with engine.begin() as connection:  # as a run that was taken up again and published something else
            connection.execute(text("UPDATE runs SET results_sha256 = :other"), {"other": "f" * 64})
        engine.dispose()

        assert client.get("/v1/hits", params={"q_max": 1, "limit": 1, "cursor": cursor}).status_code == 404


def test_a_run_that_is_deleted_while_its_pages_are_read_is_not_found_any_more(copied):
    from serving import serving

    with serving(copied.catalog) as server, server.client(copied.keys.admin) as client:
        cursor = client.get("/v1/hits", params={"q_max": 1, "limit": 1}).json()["next_cursor"]
        for path in ("/v1/plates/P1/wells/A01/image.webp", "/v1/plates/P1/wells"):
            assert client.get(path).status_code == 200
        assert client.delete("/v1/runs/run-1").status_code == 204

        for path in ("/v1/hits", "/v1/runs/run-1", "/v1/plates/P1/wells", "/v1/plates/P1/wells/A01/image.webp"):
            assert client.get(path).status_code == 404
        assert client.get("/v1/hits", params={"q_max": 1, "limit": 1, "cursor": cursor}).status_code == 404
        assert client.delete("/v1/runs/run-1").status_code == 404
    assert not list((copied.folder / "parts").rglob("*.parquet"))


def test_an_unknown_parameter_is_refused_with_the_nearest_name(reader):
    for path, wrong, right in (
        ("hits", "qmax", "q_max"),
        ("hits", "mechanisms", "mechanism"),
        ("runs", "limits", "limit"),
    ):
        problem = reader.get(f"/v1/{path}", params={wrong: "1"})
        assert problem.status_code == 422
        (error,) = problem.json()["errors"]
        assert error["parameter"] == wrong
        assert right in error["detail"]


@pytest.mark.parametrize(
    "query",
    [
        {"q_max": "nan"}, {"q_max": "inf"}, {"q_max": "0"}, {"q_max": "1.1"}, {"q_max": " 1"}, {"q_max": "1_0"},
        {"q_max": ""}, {"limit": "0"}, {"limit": "5001"}, {"limit": "1.0"}, {"limit": "+1"}, {"limit": "9" * 30},
        {"not_toxic": "1"}, {"not_toxic": "True"},
        {"not_flagged": "1"}, {"not_one_channel": "yes"}, {"not_by_count": ""},
        {"min_batches": "0"}, {"min_batches": "-1"},
        {"control_type": "negcon"}, {"run": "x" * 41},
    ],
    ids=str,
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_and_named(reader, query):
    answer = reader.get("/v1/hits", params=query)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == next(iter(query))


@pytest.mark.parametrize(
    "query", [{"run": "run-99"}, {"run": "\0"}, {"run": "0"}, {"profile": "x"}, {"cursor": "x"}], ids=str
)
def test_what_is_not_there_is_not_found(reader, query):
    assert reader.get("/v1/hits", params=query).status_code == 404


def test_a_parameter_given_twice_is_refused(reader):
    assert reader.get("/v1/hits?q_max=1&q_max=1").status_code == 422


@pytest.mark.parametrize(
    "path", ["hits?q_max=1", "mechanisms", "plates/P1/wells", "plates/P1", "runs/run-1", "perturbations/CPD4"]
)
def test_no_answer_holds_nan(reader, path):
    def refuse(word):
        pytest.fail(f"{word} is no JSON")

    assert json.loads(reader.get(f"/v1/{path}").text, parse_constant=refuse)


def test_of_very_many_parameters_that_no_path_has_the_first_are_told(reader):
    answer = reader.get("/v1/hits?" + "&".join(f"k{number}" for number in range(8000)))

    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == [f"k{number}" for number in range(20)]
