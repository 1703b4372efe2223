"""The API on PostgreSQL, which is restarted under it."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from commands import hcs
from postgres import VARIABLE, databases
from runs import perform
from serving import serving

from hcs.catalog import create_key, open_catalog
from hcs.pipeline.local import LocalExecutor
from schemas.keys import Scope

CLIENTS, SECONDS = 12, 4


@pytest.fixture(scope="module")
def database_server():
    with databases() as made:
        yield made


@pytest.fixture(scope="module")
def environment(database_server, tmp_path_factory):
    """Where the catalog is, and where its parts are."""
    parts = str(tmp_path_factory.mktemp("parts") / "parts")
    url = database_server.make()
    open_catalog(url, parts_uri=parts).close()
    yield {"HCS_CATALOG": url, "HCS_PARTS": parts}
    database_server.drop(url)


@pytest.fixture(scope="module")
def keys(environment):
    with open_catalog(environment["HCS_CATALOG"], parts_uri=environment["HCS_PARTS"]) as catalog:
        return {scope: create_key(catalog, name=scope.value, scopes=[scope])[1] for scope in Scope}


def test_without_a_key_it_is_not_served_even_to_this_machine(database_server):
    url = database_server.make()
    ended = hcs("serve", "--port", 0, HCS_CATALOG=url, HCS_PARTS="/parts")
    database_server.drop(url)

    assert ended.code == 2
    assert "hcs keys create" in ended.err


def test_it_answers_as_on_sqlite(environment, keys, finished, reader):
    with open_catalog(environment["HCS_CATALOG"], parts_uri=environment["HCS_PARTS"]) as catalog:
        perform(catalog, finished.folder / "SCREEN.yaml", LocalExecutor(threads=2))
    with (
        serving(environment["HCS_CATALOG"], "--parts", environment["HCS_PARTS"]) as server,
        server.client(keys[Scope.READ]) as client,
    ):
        for path in (
            *("hits?q_max=1", "mechanisms", "plates/P1/wells", "perturbations/CPD4", "runs/run-1/plates"),
            *("plates/P1/measures", "plates/P1/wells/A01/provenance", "runs/run-1/plates/P1/progress"),
        ):
            assert (
                client.get(f"/v1/{path}").json()
                == reader.get(f"/v1/{path}&run=run-1" if "?" in path else f"/v1/{path}").json()
            )
        picture = "/v1/plates/P1/wells/A01/image.webp"
        assert client.get(picture).content == reader.get(picture).content


def test_a_database_that_is_restarted_under_it_costs_time_and_nothing_else(
    environment, keys, finished, database_server
):
    if VARIABLE in os.environ:
        pytest.skip(f"{VARIABLE} names a server that is not ours to restart")
    statuses, locations, problems, stop = Counter(), [], [], threading.Event()

    def ask(number):
        with server.client(keys[Scope.SUBMIT]) as client:
            turn = 0
            while not stop.is_set():
                turn += 1
                body, key = finished.submission(f"{number}-{turn}"), {"Idempotency-Key": f"{number}-{turn}"}
                sent = [client.post("/v1/runs", json=body, headers=key) for _ in range(2)]
                answers = [*sent, client.get(sent[0].headers.get("Location", "/v1/runs")), client.get("/v1/screens")]
                statuses.update(answer.status_code for answer in answers)
                problems.extend(answer.text for answer in answers if answer.status_code >= 300)
                locations.append({answer.headers.get("Location") for answer in sent})

    with (
        serving(environment["HCS_CATALOG"], "--parts", environment["HCS_PARTS"], "--root", finished.folder) as server,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        asking = [pool.submit(ask, number) for number in range(CLIENTS)]
        time.sleep(SECONDS / 2)
        database_server.crash()
        with server.client() as nobody:
            alive = nobody.get("/healthz").status_code
            ready = nobody.get("/readyz").status_code
        database_server.start()
        time.sleep(SECONDS / 2)
        stop.set()
        for one in asking:
            one.result(60)
        with server.client(keys[Scope.READ]) as client:
            submitted = [item["id"] for item in _all_runs(client)]

    assert problems == [], [line for line in server.logged() if line["level"] == "error"]
    assert set(statuses) == {200, 202}
    assert (alive, ready) == (200, 503)
    assert all(len(pair) == 1 for pair in locations), "one request made two runs"
    named = [next(iter(pair)).rpartition("/")[2] for pair in locations]
    assert len(set(named)) == len(named)
    assert set(named) <= set(submitted)
    assert statuses[202] == len(named), "a run was made that nobody was told of"


def _all_runs(client):
    items, cursor = [], None
    while True:
        page = client.get("/v1/runs", params={"limit": 500} | ({"cursor": cursor} if cursor else {})).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items
