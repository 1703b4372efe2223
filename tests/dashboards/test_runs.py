"""The page of runs: a screen is submitted with its report, watched, cancelled, and compared with another."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from apps import Opened, hang_up, open_page
from commands import hcs
from served import BROKEN, PLATES, Finished
from serving import Server, serving
from streamlit.testing.v1 import AppTest

from dashboards.connection import forget_answers
from hcs.catalog import begin_dispatch, note_dispatch, open_catalog
from hcs.client import Client
from schemas.work import DispatchState

TEXT, FOLDER = "screen_text", "screen_folder"


@pytest.fixture(scope="module")
def own_server(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a catalog that these tests may change."""
    folder = tmp_path_factory.mktemp("own")
    for item in finished.folder.glob("catalog.sqlite*"):
        shutil.copy(item, folder)
    shutil.copytree(finished.folder / "parts", folder / "parts")
    with serving(folder / "catalog.sqlite", "--root", finished.folder) as server:
        server.catalog = folder / "catalog.sqlite"  # type: ignore[attr-defined]
        yield server


@pytest.fixture
def changing(own_server: Server, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    monkeypatch.setenv("HCS_API_URL", own_server.url)
    monkeypatch.setenv("HCS_API_KEY", finished.keys.submit)
    forget_answers()
    yield open_page
    hang_up()


def typed(app: AppTest, text: str, *, folder: Path | None = None) -> AppTest:
    app.text_area(key=TEXT).set_value(text).run()
    if folder is not None:
        app.text_input(key=FOLDER).set_value(str(folder)).run()
    return app


def screen_text(finished: Finished, name: str) -> str:
    text = (finished.folder / "SCREEN.yaml").read_text(encoding="utf-8")
    return text.replace("screen: hostile names", f"screen: {name}")


def said(app: AppTest) -> str:
    """Everything that stands on the page as text."""
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error, app.success, app.header)
    return "\n".join(element.value for kind in kinds for element in kind).replace("\\", "")


def test_the_list_and_the_run_say_what_the_api_says(opened: Opened) -> None:
    app = opened("runs")

    with Client() as client:
        run = client.run("run-1")
    shown = {metric.label: metric.value for metric in app.metric}
    assert app.dataframe[0].value["run"].to_list() == ["run-1"]
    assert app.dataframe[0].value["screen"].to_list() == ["hostile names"]
    assert shown["State"] == "Complete, with holes"
    assert shown["Sites failed"] == str(run.progress.sites_failed) == str(len(PLATES))
    for note in run.notes:
        assert note in said(app)


def test_failures_have_their_place_and_reason_and_no_retry_where_none_would_help(opened: Opened) -> None:
    app = opened("runs")

    (failures,) = (table.value for table in app.dataframe if "reason" in table.value)
    assert failures["well"].to_list() == [BROKEN] * len(PLATES)
    assert failures["plate"].to_list() == list(PLATES)
    assert "Mend the files" in said(app)
    assert not [button for button in app.button if button.key in {"retry", "resume", "cancel"}]


def test_wells_of_the_plate_in_the_address_are_shown(opened: Opened) -> None:
    app = opened("runs", plate="P2", run_wells="true")

    (wells,) = (table.value for table in app.dataframe if "state" in table.value and "well" in table.value)
    states = dict(zip(wells["well"], wells["state"], strict=True))
    assert states.pop(BROKEN) == "failed"
    assert set(states.values()) == {"done"}
    assert app.selectbox(key="plate").value == "P2"


def test_a_run_that_is_not_there_is_said_and_another_shown(opened: Opened) -> None:
    app = opened("runs", run="run-99")

    assert "run-99" in app.warning[0].value
    assert app.header[0].value.startswith("run-1")


def test_a_screen_is_submitted_after_its_report_once_however_often_the_button_is_pressed(
    changing: Opened, own_server: Server, finished: Finished
) -> None:
    app = typed(changing("runs", part="Submit a screen"), screen_text(finished, "walked"))
    assert "which folder" in app.info[0].value
    assert not app.button

    app = typed(app, screen_text(finished, "walked"), folder=finished.folder)
    assert [button.key for button in app.button] == ["check"]
    app.button(key="check").click().run()
    report = next(table.value for table in app.dataframe if "verdict" in table.value)
    assert report["plate"].to_list() == list(PLATES)
    assert report["wells"].to_list() == ["18 of 18"] * 2
    findings = next(table.value for table in app.dataframe if "finding" in table.value)
    assert "unreadable image" in findings["finding"].to_list()
    with Client() as client:
        before = len(list(client.runs()))

    app.button(key="submit").click().run()
    assert not app.exception
    assert app.header[0].value == "run-2: walked"
    assert "waits for a dispatcher" in said(app)
    app.segmented_control(key="part").set_value("Submit a screen").run()
    app.button(key="submit").click().run()  # the same press again, as a second click that came late
    assert app.header[0].value == "run-2: walked"
    with Client() as client:
        assert len(list(client.runs())) == before + 1

    ended = hcs("work", "--once", "--catalog", own_server.catalog)  # type: ignore[attr-defined]
    assert ended.out == "run-2: complete with holes\n", ended.err
    app.run()
    assert {metric.label: metric.value for metric in app.metric}["State"] == "Complete, with holes"
    assert app.dataframe[0].value["state"].to_list()[0] == "complete, with holes"


def test_a_screen_that_was_submitted_before_leads_to_its_run(changing: Opened, finished: Finished) -> None:
    screen = finished.submission("known")
    with Client() as client:
        run = client.submit(screen)
    app = typed(changing("runs", part="Submit a screen"), yaml.safe_dump(screen))
    app.button(key="check").click().run()

    app.button(key="submit").click().run()

    assert f"was run before, as {run.id}" in said(app)
    assert app.header[0].value == f"{run.id}: known"
    with Client() as client:
        assert sum(one.screen == "known" for one in client.runs()) == 1
        client.cancel(run)


def test_a_run_is_cancelled_after_a_confirmation_and_resumed(changing: Opened, finished: Finished) -> None:
    with Client() as client:
        run = client.submit(finished.submission("to be cancelled"))
    app = changing("runs", run=run.id)

    app.button(key="cancel").click().run()
    assert {metric.label: metric.value for metric in app.metric}["State"] == "Cancelled"
    with Client() as client:
        assert client.run(run).state == "cancelled"
    app.button(key="resume").click().run()
    with Client() as client:
        assert client.run(run).state == "submitted"
        client.cancel(run)


def test_a_run_on_kubernetes_says_why_it_waits_in_letters(
    changing: Opened, own_server: Server, finished: Finished
) -> None:
    with Client() as client:
        run = client.submit(finished.submission("on Kubernetes"))
    number = int(run.id.removeprefix("run-"))
    with open_catalog(str(own_server.catalog)) as catalog:  # type: ignore[attr-defined]
        begin_dispatch(catalog, number, prefix="hcs-0")
        why = "image registry.example/x does not exist (ImagePullBackOff): <script> $x$ `y`"
        note_dispatch(catalog, number, 1, state=DispatchState.WAITING, message=why)

    app = changing("runs", run=run.id)

    assert f"waits: RayJob hcs-0-run-{number}-1: image" in said(app)
    assert "(ImagePullBackOff): <script> $x$ `y`" in said(app)
    with Client() as client:
        client.cancel(run)


def test_what_was_given_up_is_tried_again_for_one_reason(changing: Opened, own_server: Server) -> None:
    reason = "the worker was killed, perhaps out of memory"
    with closing(sqlite3.connect(own_server.catalog)) as connection, connection:  # type: ignore[attr-defined]
        connection.execute(
            "UPDATE units SET state = 'quarantined', reason = ? WHERE run_id = 1 AND kind = 'embed' AND plate = 'P1'",
            [reason],
        )
    app = changing("runs", run="run-1")
    (failures,) = (table.value for table in app.dataframe if "reason" in table.value)
    assert failures["reason"].to_list().count(reason) == len(failures) - len(PLATES)

    assert app.selectbox(key="only").options == ["any reason", reason]  # images that cannot be read are not tried
    app.selectbox(key="only").set_value(reason).run()
    app.button(key="retry").click().run()

    assert {metric.label: metric.value for metric in app.metric}["State"] == "Running"
    with Client() as client:
        run = client.run("run-1")
        assert run.progress.units["ready"] == len(failures) - len(PLATES)
        assert not run.progress.units["quarantined"]
        client.cancel(run)


def test_what_the_text_does_not_say_is_told_with_its_place(opened: Opened, finished: Finished) -> None:
    app = opened("runs", part="Submit a screen")

    typed(app, screen_text(finished, "x") + "colour: blue\n")
    assert "colour is not a field" in said(app)
    assert not app.button
    typed(app, "screen: [\n")
    assert "line 2" in said(app)


def test_what_the_api_refuses_is_told_by_field_and_can_be_mended(
    changing: Opened, finished: Finished, tmp_path: Path
) -> None:
    app = typed(changing("runs", part="Submit a screen"), f"screen: x\nplates: [{{uri: {tmp_path}}}]\n")
    app.button(key="check").click().run()

    assert "plates 1: uri" in said(app)
    assert not [button for button in app.button if button.key == "submit"]
    typed(app, screen_text(finished, "x"), folder=finished.folder)
    assert "changed after its check" in said(app)
    assert not [button for button in app.button if button.key == "submit"]


def test_a_key_that_may_only_read_is_told_so_and_the_text_stays(
    changing: Opened, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCS_API_KEY", finished.keys.read)
    app = typed(changing("runs", part="Submit a screen"), screen_text(finished, "x"), folder=finished.folder)

    app.button(key="check").click().run()

    assert "Not allowed with this key" in said(app)
    assert app.text_area(key=TEXT).value == screen_text(finished, "x")


def test_an_api_that_goes_away_while_a_run_is_watched_is_said_and_the_page_stays(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboards.connection.PATIENCE_SECONDS", 0.5)
    with serving(tmp_path / "catalog.sqlite", "--root", finished.folder) as server:
        monkeypatch.setenv("HCS_API_URL", server.url)
        monkeypatch.setenv("HCS_API_KEY", (tmp_path / "api-key").read_text().strip())
        with Client() as client:
            client.submit(finished.submission("watched"))
        app = open_page("runs")
        assert "waits for a dispatcher" in said(app)
        server.end()
        app.run()
        hang_up()

    assert not app.exception
    assert {button.label for button in app.button} == {"Try again"}
    assert "does not answer" in said(app)
    assert app.selectbox(key="run").value == "run-1"


def test_two_profiles_of_a_run_are_held_against_one_another(opened: Opened) -> None:
    app = opened("runs", part="Compare", run="run-1")

    with Client() as client:
        names = [profile.name for profile in client.profiles_of("run-1")]
        other = next(name for name in names if name != "combined")
        found = client.compare("run-1", "run-1", profile="combined", other_profile=other)
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown == {
        "Hits gained": str(found.gained), "Hits lost": str(found.lost), "Hits in both": str(found.both),
    }  # fmt: skip
    app.selectbox(key="other_profile").set_value("combined").run()
    assert "Both sides are the same" in said(app)


def test_without_any_run_the_page_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path / "catalog.sqlite") as server:
        monkeypatch.setenv("HCS_API_URL", server.url)
        monkeypatch.setenv("HCS_API_KEY", (tmp_path / "api-key").read_text().strip())
        app = open_page("runs")
        hang_up()

    assert "Submit a SCREEN.yaml" in said(app)
