"""Screens, plates and wells over HTTP."""

from __future__ import annotations

from hcs.catalog import acceptance_reports, calls_on_plate, get_run, open_catalog, site_rows
from hcs.hits.explain import doubts_of_call


def test_screens_are_listed_with_what_they_hold(reader):
    found = {item["screen"]: item for item in reader.get("/v1/screens").json()["items"]}

    assert found["hostile names"]["plates"] == 2
    assert found["hostile names"]["newest_run"] == "run-1"


def test_plates_are_listed_page_by_page(reader):
    asked = {"screen": "hostile names", "limit": 1}
    first = reader.get("/v1/plates", params=asked)
    second = reader.get("/v1/plates", params={**asked, "cursor": first.json()["next_cursor"]})

    assert [item["barcode"] for item in first.json()["items"]] == ["P1"]
    assert [item["barcode"] for item in second.json()["items"]] == ["P2"]
    assert second.json()["next_cursor"] is None
    assert first.json()["items"][0]["batch"] == "b0"
    assert 'rel="next"' in first.headers["Link"]
    assert reader.get("/v1/plates", params={"screen": "none"}).status_code == 404


def test_plates_of_a_run_say_where_they_lay(reader, finished):
    items = reader.get("/v1/runs/run-1/plates").json()["items"]

    assert [(item["barcode"], item["uri"]) for item in items] == [
        (name, str(finished.folder / name)) for name in ("P1", "P2")
    ]


def test_a_plate_has_its_acceptance_report_and_what_became_of_it(reader, finished):
    plate = reader.get("/v1/plates/P1").json()
    with open_catalog(str(finished.catalog)) as catalog:
        report = acceptance_reports(catalog, 1)["P1"]

    assert plate["report"] == report.model_dump(mode="json")
    assert plate["verdict"] == report.verdict
    assert plate["runs"][-1]["run"] == plate["run"] == "run-1"
    assert plate["quality"]["wells"] == {"negcon": 8, "treatment": 10}
    assert (plate["quality"]["sites"], plate["quality"]["sites_failed"]) == (18, 1)
    for link in plate["links"].values():
        assert reader.get(link).status_code == 200
    assert reader.get("/v1/plates/P3").status_code == 404
    assert reader.get("/v1/plates/P1", params={"run": "run-99"}).status_code == 404


def test_wells_say_what_was_done_what_became_of_it_and_what_is_said_of_it(reader, finished):
    page = reader.get("/v1/plates/P1/wells").json()
    with open_catalog(str(finished.catalog)) as catalog:
        calls = {row["treatment"]: row for row in calls_on_plate(catalog, 1, "P1").to_dicts()}
        sites = {row["well"]: row for row in site_rows(catalog, 1, plate="P1").to_dicts()}

    assert reader.get("/v1/plates/P1/wells").json() == page  # kept from the time before
    assert reader.get("/v1/plates/P2/wells").json()["plate"] == "P2"
    wells = {item["well"]: item for item in page["items"]}
    assert list(wells) == sorted(wells)
    assert len(wells) == 18
    assert wells["C06"]["sites_failed"] == 1
    for name, well in wells.items():
        expected = sites[name]["cell_count"]
        assert well["cell_count"] == (None if expected is None else float(expected))
        if well["control_type"] == "negcon":
            assert well["call"] is None
        else:
            row = calls[well["treatment"]]
            said = {**row, "doubts": list(doubts_of_call(row))}
            assert well["call"] == {key: said[key] for key in well["call"]}
    assert reader.get(wells["A01"]["image"]).status_code == 200


def test_a_submitted_run_has_no_plates_yet(submitter, finished):
    location = submitter.post("/v1/runs", json=finished.submission("no plates yet")).headers["Location"]
    name = location.rpartition("/")[2]

    assert submitter.get(f"{location}/plates").json()["items"] == []
    assert submitter.get("/v1/plates/P1/wells", params={"run": name}).status_code == 404
    assert submitter.get("/v1/hits", params={"run": name}).status_code == 404
    assert submitter.get("/v1/mechanisms", params={"run": name}).status_code in {200, 404}
    assert submitter.get("/v1/runs/latest").json()["id"] >= name
    assert submitter.get("/v1/hits").json()["run"] == "run-1"


def test_runs_are_listed_newest_first_page_by_page(submitter, finished):
    for number in range(3):
        submitter.post("/v1/runs", json=finished.submission(f"listed {number}"))

    names, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = submitter.get("/v1/runs", params=query).json()
        names += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    numbers = [int(name.removeprefix("run-")) for name in names]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == len(numbers) > 3
    assert numbers[-1] == 1


def test_a_run_says_how_far_it_is_and_what_failed(reader, finished):
    run = reader.get("/v1/runs/run-1").json()
    with open_catalog(str(finished.catalog)) as catalog:
        record = get_run(catalog, 1)

    assert run["state"] == record.state.value
    assert run["is_finished"]
    assert run["progress"]["sites"] == run["progress"]["sites_done"] + run["progress"]["sites_failed"] == 36
    assert [(item["plate"], item["well"]) for item in run["failures"]] == [("P1", "C06"), ("P2", "C06")]
    assert run["n_failures"] == 2
    assert "not a TIFF" in run["failures"][0]["reason"]
    assert run["notes"]
    for link in run["links"].values():
        assert reader.get(link).status_code == 200
    (profile, *_) = reader.get("/v1/runs/run-1/profiles").json()["items"]
    assert profile["n_rows"] > 0
