"""Maps of runs: made by a process of its own, kept, and a clear answer where they cannot be made."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
import uuid
from pathlib import Path

import pytest
from processes import MARK, marked
from serving import serving

from hcs.catalog import EVERY_CALL, find_grouping, find_hits, get_run, open_catalog, results_digest
from hcs.cli.services import environment_of
from schemas.api_results import MAP_FORM, RunMap
from services.api import maps
from services.api.maps import MapRoom
from services.api.problems import INTERNAL, INVALID, NOT_FOUND, UNAVAILABLE, RequestError

MAP = "/v1/runs/run-1/map"
WHICH = {"profile": "combined", "everything": False}
SOON = 120.0
"""On a machine that is busy with other tests."""


def asked_until_made(client, path=MAP, *, seconds=200.0, **query):
    """The answers to the same question until it is no 202, of which each says when to ask again."""
    answers, give_up = [], time.monotonic() + seconds
    while time.monotonic() < give_up:
        answers.append(client.get(path, params=query))
        if answers[-1].status_code != 202:
            return answers
        assert answers[-1].json() == {"state": "computing"}
        assert int(answers[-1].headers["Retry-After"]) > 0
        time.sleep(0.2)
    raise AssertionError(f"{len(answers)} times 202")


def with_few_hits(catalog, *, hits=("CPD4",)):
    """Change the calls of a catalog so that two are left that are hits: too few for UMAP, and made in a moment."""
    with sqlite3.connect(catalog) as connection:
        marks = ", ".join("?" * len(hits))
        connection.execute(f"UPDATE calls SET is_hit = 0 WHERE perturbation NOT IN ({marks})", hits)  # noqa: S608
    connection.close()


@pytest.mark.slow
def test_a_map_is_made_by_a_process_and_then_kept(copied):
    with sqlite3.connect(copied.catalog) as connection:  # two clusters take six hits
        connection.execute("UPDATE calls SET is_hit = 1 WHERE control_type = 'treatment' AND q_value < 0.2")
    connection.close()
    with open_catalog(str(copied.catalog)) as catalog:
        hits = set(find_hits(catalog, EVERY_CALL).filter("is_hit")["treatment"])
    with serving(copied.catalog) as server, server.client(copied.keys.read) as client:
        *before, made = asked_until_made(client)
        began = time.monotonic()
        again = client.get(MAP)
        assert time.monotonic() - began < 1
        assert before, "the first one was answered at once: nothing was made"
    with serving(copied.catalog) as server, server.client(copied.keys.read) as client:
        kept = client.get(MAP)

    assert made.status_code == again.status_code == kept.status_code == 200
    assert made.content == again.content == kept.content
    found = RunMap.model_validate_json(made.content)
    assert (found.run, found.profile, found.everything, found.notes) == ("run-1", "combined", False, ())
    assert {point.treatment for point in found.items} == hits
    assert all(point.umap_x is not None and point.umap_y is not None for point in found.items)
    assert len({(point.umap_x, point.umap_y) for point in found.items}) == len(hits)
    assert {point.plates for point in found.items} == {("P1", "P2")}
    assert {point.batches for point in found.items} == {("b0", "b1")}
    assert sum(row.size for row in found.clusters) == len(hits)
    assert "<script>alert(1)</script>" in {point.perturbation for point in found.items}


def test_what_can_have_no_map_is_refused_before_anything_is_started(server, reader, submitter, finished):
    waiting = submitter.post("/v1/runs", json=finished.submission("has no map"))
    for path, query in (
        ("/v1/runs/run-999/map", {}),
        (MAP, {"profile": "none such"}),
        (f"{waiting.headers['Location']}/map", {}),
    ):
        answer = reader.get(path, params=query)
        assert answer.status_code == 404, answer.text
        assert answer.json()["detail"]
    assert reader.get(MAP, params={"everything": "1"}).status_code == 422
    assert reader.get("/v1/runs/latest/map", params={"profile": "none such"}).json()["detail"].startswith("run-")


def maker_of(mark):
    """The one process that makes a map, as soon as it is there."""
    give_up = time.monotonic() + SOON
    while time.monotonic() < give_up:
        makers = [pid for pid, command in marked(mark).items() if "map_maker" in command]
        if makers:
            (maker,) = makers
            return maker
        time.sleep(0.02)
    raise AssertionError("no process was started")


def test_a_maker_ends_with_the_api_however_that_ends(copied):
    for number in (signal.SIGTERM, signal.SIGKILL):
        mark = uuid.uuid4().hex
        with serving(copied.catalog, **{MARK: mark}) as server:
            with server.client(copied.keys.read) as client:
                assert client.get(MAP).status_code == 202
            said = Path(f"/proc/{maker_of(mark)}")
            assert str(copied.catalog).encode() not in (said / "cmdline").read_bytes(), "a URL may hold a password"
            assert f"HCS_CATALOG={copied.catalog}".encode() in (said / "environ").read_bytes().split(b"\0")
            server.end(number)
        give_up = time.monotonic() + SOON
        while marked(mark) and time.monotonic() < give_up:
            time.sleep(0.05)
        assert marked(mark) == {}
        with open_catalog(str(copied.catalog)) as catalog:
            assert find_grouping(catalog, 1, **WHICH, form=MAP_FORM) is None, "it was made before the end: not tested"


@pytest.fixture
def opened(copied):
    with open_catalog(str(copied.catalog)) as catalog:
        yield catalog


def room_of(catalog, *code):
    """A room whose makers run some Python instead."""
    return MapRoom(catalog, environment=dict(os.environ), maker=(sys.executable, "-c", ";".join(code)))


async def answer_of(room, catalog, **which):
    """What the room says when it is not making anything any more."""
    give_up = time.monotonic() + SOON
    while time.monotonic() < give_up:
        try:
            found = await room.show(get_run(catalog), **{**WHICH, **which})
        except RequestError as error:
            return error
        if found is not None:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it is being made without end")


TOLD = """import json; print(json.dumps({{"error": "{}", "detail": "this is why"}})); raise SystemExit(4)"""
FAILURES = {
    "it ends": ("raise SystemExit(7)", INTERNAL, "ended with 7"),
    "it raises": ("1/0", INTERNAL, "ended with 1"),
    "it is killed": ("import os; os.kill(os.getpid(), 9)", INTERNAL, "SIGKILL, as happens where memory runs out"),
    "it takes too long": ("import time; time.sleep(60)", INTERNAL, "not made within 3 s"),
    "it says why": (TOLD.format("InputRejectedError"), INVALID, "this is why"),
    "it finds nothing": (TOLD.format("NotFoundError"), NOT_FOUND, "this is why"),
    "it cannot read": (TOLD.format("StorageError"), UNAVAILABLE, "cannot be read or written now"),
    "it says what is no error": (TOLD.format("annotations"), INTERNAL, "ended with 4"),
    "it says nothing that can be read": ("print('[1'); raise SystemExit(4)", INTERNAL, "ended with 4"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_maker_that_fails_is_a_clear_answer(opened, monkeypatch, failure):
    code, kind, words = FAILURES[failure]
    monkeypatch.setattr(maps, "SECONDS_TO_MAKE", 3.0 if "too long" in failure else SOON)

    async def ask():
        room = room_of(opened, code)
        error = await answer_of(room, opened)
        with pytest.raises(RequestError) as caught:
            await room.show(get_run(opened), **WHICH)
        assert caught.value is error
        return error

    error = asyncio.run(ask())
    assert error.kind == kind
    assert words in error.detail


def test_what_failed_is_tried_again_later(opened, monkeypatch, tmp_path):
    monkeypatch.setattr(maps, "SECONDS_BETWEEN_TRIES", 1.0)
    told = tmp_path / "told"

    async def ask():
        room = room_of(opened, f"open({str(told)!r}, 'a').write('.'); raise SystemExit(1)")
        assert isinstance(await answer_of(room, opened), RequestError)
        await asyncio.sleep(1.0)
        assert await room.show(get_run(opened), **WHICH) is None
        assert isinstance(await answer_of(room, opened), RequestError)

    asyncio.run(ask())
    assert told.read_text(encoding="utf-8") == ".."


@pytest.mark.parametrize(
    ("program", "words"),
    [("/no/such/program", "no process could be started (No such file"), ("a\0b", "that nobody foresaw")],
)
def test_a_maker_that_cannot_be_started_is_a_clear_answer(opened, program, words):
    async def ask():
        return await answer_of(MapRoom(opened, environment={}, maker=(program,)), opened)

    assert words in asyncio.run(ask()).detail


def test_one_is_made_at_a_time_and_the_next_when_it_is_asked_for(opened, tmp_path):
    """Each maker says when it began and ended; were two at it at once, their times would overlap."""
    told = tmp_path / "told"

    async def ask():
        room = room_of(
            opened,
            "import sys, time",
            f"say = lambda what: open({str(told)!r}, 'a').write(f'{{what}} {{sys.argv[2]}}\\n')",
            "say('begins'); time.sleep(0.5); say('ends'); sys.exit(1)",
        )
        return await asyncio.gather(*(answer_of(room, opened, profile=name) for name in ("combined", "named")))

    answers = asyncio.run(ask())

    assert {answer.kind for answer in answers} == {INTERNAL}
    lines = [line.split() for line in told.read_text(encoding="utf-8").splitlines()]
    assert [word for word, _ in lines] == ["begins", "ends", "begins", "ends"]
    assert {name for _, name in lines} == {"--profile=combined", "--profile=named"}


def test_two_rooms_that_make_the_same_map_show_the_same_and_few_hits_have_no_places(copied, opened):
    with_few_hits(copied.catalog)
    environment = environment_of(catalog=str(copied.catalog), parts=None)

    async def ask():
        rooms = [MapRoom(opened, environment=environment) for _ in range(2)]
        answers = await asyncio.gather(*(answer_of(room, opened) for room in rooms))
        await asyncio.gather(*(room._work for room in rooms))
        return *answers, [room._failures for room in rooms]

    first, second, failures = asyncio.run(ask())
    assert first == second
    assert failures == [{}, {}], "a maker that kept its map did not end well"
    found = RunMap.model_validate_json(first)
    assert {point.perturbation for point in found.items} == {"CPD4"}
    assert {point.umap_x for point in found.items} == {None}
    assert any("too few" in note for note in found.notes)


def test_a_run_that_is_deleted_meanwhile_is_no_crash(copied, opened):
    from hcs.pipeline.deleting import delete_run_and_files

    with_few_hits(copied.catalog)

    async def ask():
        room = MapRoom(opened, environment=environment_of(catalog=str(copied.catalog), parts=None))
        run = get_run(opened)
        assert await room.show(run, **WHICH) is None
        delete_run_and_files(opened, run.id)
        await asyncio.wait_for(asyncio.shield(room._work), SOON)
        return [error.kind for _, error in room._failures.values()]

    assert set(asyncio.run(ask())) <= {NOT_FOUND, UNAVAILABLE}
    assert results_digest(opened, 1) is None
