"""What the page of runs says and draws, without a page."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.components.plate_map import place_of, row_name
from dashboards.views.runs_map import standing_chart, standing_rows, standing_said
from dashboards.views.runs_screen import field_at, is_absolute, read_screen, relative_places
from dashboards.views.runs_watch import plate_rows
from dashboards.views.runs_words import happening, lasting, pace, share_done
from schemas.api import PlateProgress, Progress, Run, RunDispatch
from schemas.api_plates import WellProgress, WellStanding
from schemas.work import DispatchState, RunState, WellState

WORD = st.text("abcXYZ019_", min_size=1, max_size=8)
PATH = st.lists(WORD, min_size=1, max_size=4).map("/".join)


def progress(**changes: object) -> Progress:
    plain = {
        "units": {"ready": 2, "leased": 1, "done": 3}, "sites": 192, "sites_done": 41, "sites_failed": 0,
        "sites_per_second": 2.31, "eta_seconds": 65.0, "drivers": 1, "plates": (),
    }  # fmt: skip
    return Progress.model_validate(plain | changes)


def standing(rows: int, columns: int, state: WellState = WellState.WAITING) -> WellProgress:
    wells = tuple(
        WellStanding(well=f"{row_name(row)}{column:02d}", state=state, sites=1, sites_failed=0)
        for row in range(1, rows + 1)
        for column in range(1, columns + 1)
    )
    return WellProgress(run="run-1", plate="P", rows=rows, columns=columns, wells=wells)


@given(folder=PATH, uri=PATH, platemap=PATH, absolute=PATH)
def test_relative_places_start_at_the_folder_and_absolute_ones_stay(
    folder: str, uri: str, platemap: str, absolute: str
) -> None:
    text = f'screen: s\nplates: [{{uri: "{uri}"}}, {{uri: "/{absolute}"}}]\nplatemaps: "{platemap}"\n'

    without = read_screen(text, name="t")
    within = read_screen(text, name="t", folder=f"/{folder}")
    stored = read_screen(text, name="t", folder=f"s3://{folder}")

    assert without.config is None
    assert without.is_relative
    assert within.config is not None
    assert [plate.uri for plate in within.config.plates] == [posixpath.join("/", folder, uri), f"/{absolute}"]
    assert within.config.platemaps == posixpath.join("/", folder, platemap)
    assert stored.config is not None
    assert stored.config.plates[0].uri == f"s3://{folder}/{uri}"
    assert not relative_places(within.config)
    assert not relative_places(stored.config)


@pytest.mark.parametrize(
    ("pointer", "field"),
    [
        ("#/plates/0/uri", "plates 1: uri"),
        ("#/screen", "screen"),
        ("#/platemaps/a~1b", "platemaps: a/b"),
        ("#", ""),
        (None, ""),
    ],
)
def test_a_pointer_is_a_field_as_one_finds_it_in_the_file(pointer: str | None, field: str) -> None:
    assert field_at(pointer) == field


@pytest.mark.parametrize(("place", "expected"), [("/a", True), ("s3://b/a", True), ("a", False), ("./a", False)])
def test_absolute_is_what_has_no_folder_before_it(place: str, expected: bool) -> None:
    assert is_absolute(place) is expected


def test_the_pace_has_units_and_leaves_out_what_nobody_knows() -> None:
    assert pace(progress()) == "41 of 192 sites, 2.3 sites/s, about 65 s left"
    unknown = progress(sites_per_second=None, eta_seconds=None, sites_failed=2)
    assert pace(unknown) == "41 of 192 sites, 2 failed"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "-"), (0, "0 s"), (119, "119 s"), (125, "2 min"), (7199, "120 min"), (12_000, "3 h 20 min")],
)
def test_a_time_is_said_as_people_do(seconds: float | None, words: str) -> None:
    assert lasting(seconds) == words


@given(done=st.integers(0, 10_000), failed=st.integers(0, 10_000), sites=st.integers(0, 10_000))
def test_the_share_of_sites_stays_between_nothing_and_all(done: int, failed: int, sites: int) -> None:
    assert 0 <= share_done(progress(sites=sites, sites_done=done, sites_failed=failed)) <= 1


def test_a_run_says_what_it_is_doing() -> None:
    def of(state: RunState, **changes: object) -> str:
        return happening(Run.model_construct(state=state, progress=progress(**changes)))

    assert "waits for a dispatcher" in of(RunState.SUBMITTED)
    assert "looked at" in of(RunState.RUNNING, units={})
    assert "No dispatcher" in of(RunState.RUNNING, drivers=0)
    assert "surveyed" in of(RunState.RUNNING, sites_done=0)
    assert "embedded" in of(RunState.RUNNING)
    assert "calls are being made" in of(RunState.RUNNING, units={"done": 6})


@pytest.mark.parametrize(("rows", "columns"), [(8, 12), (16, 24), (32, 48)])
def test_the_map_has_every_well_where_it_is_and_no_size_beyond_the_page(rows: int, columns: int) -> None:
    of = standing(rows, columns)
    frame, chart = standing_rows(of), standing_chart(of)

    assert frame.height == rows * columns
    assert [(place_of(well)) for well in frame["well"]] == [
        (row, column) for row in range(1, rows + 1) for column in range(1, columns + 1)
    ]
    assert chart["width"] <= 620
    assert chart["height"] / chart["width"] == pytest.approx(rows / columns)


def test_a_state_has_its_word_its_colour_and_its_mark_whichever_others_there_are() -> None:
    charts = [standing_chart(standing(8, 12, state)) for state in WellState]
    scales = [chart["layer"][0]["encoding"]["color"]["scale"] for chart in charts]
    marks = {state: standing_rows(standing(1, 1, state))["mark"][0] for state in WellState}

    assert all(scale == scales[0] for scale in scales)
    assert len(set(scales[0]["range"])) == len(set(scales[0]["domain"])) == len(set(marks.values())) == len(WellState)


def test_the_map_is_said_in_words_and_one_without_wells_too() -> None:
    assert standing_said(standing(8, 12, WellState.DONE)) == "96 wells: 96 done"
    empty = WellProgress(run="run-1", plate="P", rows=8, columns=12, wells=())
    assert standing_said(empty) == "0 wells: none is known yet"
    assert standing_rows(empty).height == 0


def test_what_plates_have_done_is_a_share_of_their_sites() -> None:
    plates = tuple(
        PlateProgress(
            barcode=name, units=2, units_done=1, units_failed=0, sites=sites, sites_done=sites // 4, sites_failed=1
        )
        for name, sites in (("P1", 96), ("P2", 0))
    )
    assert plate_rows(plates)["done"].to_list() == [25.0, 0.0]


@pytest.mark.parametrize(
    ("state", "dispatched", "words"),
    [
        (RunState.SUBMITTED, DispatchState.WAITING, "On Kubernetes it waits: RayJob hcs-0-run-7-1: "),
        (RunState.SUBMITTED, DispatchState.ASKED, "On Kubernetes it waits: RayJob hcs-0-run-7-1 is asked for: "),
        (RunState.SUBMITTED, DispatchState.WORKING, "On Kubernetes it works: RayJob hcs-0-run-7-1: "),
        (RunState.RUNNING, DispatchState.ENDED, "On Kubernetes it waits again: RayJob hcs-0-run-7-1 ended: "),
    ],
)
def test_a_run_on_kubernetes_says_what_it_waits_for(state: RunState, dispatched: DispatchState, words: str) -> None:
    message = "image registry.example/x does not exist (ImagePullBackOff)"
    named = RunDispatch.model_construct(name="hcs-0-run-7-1", state=dispatched, message=message)
    run = Run.model_construct(state=state, progress=progress(), dispatch=named)

    assert happening(run).replace("\\", "") == f"{words}{message}"


def test_a_run_that_is_performed_on_kubernetes_says_what_is_done() -> None:
    works = RunDispatch.model_construct(name="x", state=DispatchState.WORKING, message="the driver works")

    assert "embedded" in happening(Run.model_construct(state=RunState.RUNNING, progress=progress(), dispatch=works))
