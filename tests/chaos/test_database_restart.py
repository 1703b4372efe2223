"""Fifty clients at once, and PostgreSQL goes down and comes back in the middle: requests wait, and nothing else.

It takes `HCS_TEST_CHAOS_SECONDS` (12); `make chaos-api` gives it a minute. No dispatcher is at work, so that every run
that was submitted still waits at the end and can be counted.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from commands import with_settings
from postgres import VARIABLE, Databases, databases
from runs import perform
from serving import Server, serving

from hcs.catalog import create_key, get_run, list_runs, open_catalog, wells_of
from hcs.pipeline.local import LocalExecutor
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design
from schemas.keys import Scope
from schemas.work import RunState

pytestmark = pytest.mark.long

SECONDS = float(os.environ.get("HCS_TEST_CHAOS_SECONDS", "12"))
SECONDS_AWAY = 3.0
CLIENTS, API_KEYS = 50, 5
SHARE_OF_SUBMISSIONS, SHARE_SENT_AGAIN, SHARE_CUT = 0.3, 0.5, 0.2
ANSWERS_TO_A_GET, ANSWERS_TO_A_SUBMISSION = {200}, {200, 202}


@dataclass(frozen=True)
class Place:
    """A catalog on PostgreSQL with one finished run, and keys to it."""

    url: str
    parts: str
    folder: Path
    secrets: tuple[str, ...]
    perturbation: str
    plate: str


@pytest.fixture(scope="module")
def server() -> Iterator[Databases]:
    """A PostgreSQL server that may be restarted."""
    if VARIABLE in os.environ:
        pytest.skip(f"{VARIABLE} names a server that is not ours to restart")
    with databases() as made:
        yield made


@pytest.fixture(scope="module")
def place(server: Databases, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("chaos")
    simulate_screen(str(folder / "screen"), design=small_design(plates=1, wells=24), seed=11, workers=1)
    screen = with_settings(folder / "screen" / "SCREEN.yaml", encoders=["named"])
    url, parts = server.make(), str(folder / "parts")
    with open_catalog(url, parts_uri=parts) as catalog:
        perform(catalog, screen, LocalExecutor(threads=2))
        treated = wells_of(catalog).filter(control_type="treatment")
        secrets = [create_key(catalog, name=f"key {n}", scopes=[Scope.SUBMIT])[1] for n in range(API_KEYS)]
    return Place(url, parts, folder, tuple(secrets), treated["perturbation"][0], treated["plate"][0])


@dataclass
class Seen:
    """What all clients saw together."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    runs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    sent: Counter[str] = field(default_factory=Counter)
    n_cut: int = 0
    times: list[tuple[float, float]] = field(default_factory=list)
    under_way: dict[int, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, number: int, send: Callable[[], httpx.Response]) -> httpx.Response | None:
        """Send a request and note what came; None where the client did not wait for it."""
        began = self.under_way[number] = time.monotonic()
        try:
            answer = send()
        except httpx.ReadTimeout:
            answer = None
        finally:
            del self.under_way[number]
        with self.lock:
            self.times.append((began, time.monotonic()))
            if answer is None:
                self.n_cut += 1
                return None
            self.answers[answer.request.method, answer.status_code] += 1
            expected = ANSWERS_TO_A_GET if answer.request.method == "GET" else ANSWERS_TO_A_SUBMISSION
            if answer.status_code not in expected:
                self.problems.append(f"{answer.status_code} {answer.request.url}: {answer.text[:300]}")
        return answer


class Client:
    """One of fifty: asks, submits, submits the same once more, and sometimes hangs up before the answer."""

    def __init__(self, number: int, place: Place, server: Server, seen: Seen) -> None:
        self._number, self._place, self._seen = number, place, seen
        self._rng = random.Random(number)  # noqa: S311
        self._http = server.client(place.secrets[number % API_KEYS])
        self._submitted: list[str] = []

    def work(self, stop: threading.Event) -> None:
        """Ask until told to stop, then make sure that every submission was answered."""
        with self._http:
            while not stop.is_set():
                if self._rng.random() < SHARE_OF_SUBMISSIONS:
                    self._submit(is_cut=self._rng.random() < SHARE_CUT)
                else:
                    self._get()
            for key in self._submitted:
                self._send(key, is_cut=False)

    def _get(self) -> None:
        paths = (
            "/v1/hits?q_max=1&run=run-1",
            f"/v1/perturbations/{self._place.perturbation}?run=run-1",
            f"/v1/plates/{self._place.plate}/wells?run=run-1",
            "/v1/runs?limit=20",
            "/v1/runs/run-1",
        )
        path = self._rng.choice(paths)
        self._seen.ask(self._number, lambda: self._http.get(path))

    def _submit(self, *, is_cut: bool) -> None:
        if not self._submitted or self._rng.random() > SHARE_SENT_AGAIN:
            self._submitted.append(f"client-{self._number}-{len(self._submitted)}")
        self._send(self._rng.choice(self._submitted), is_cut=is_cut)

    def _send(self, key: str, *, is_cut: bool) -> None:
        timeout = httpx.Timeout(60, read=self._rng.uniform(0.001, 0.05)) if is_cut else httpx.Timeout(60)
        body = {"screen": key, "plates": [{"uri": str(self._place.folder / "screen" / "P"), "barcode": "P"}]}
        headers = {"Idempotency-Key": key}
        self._seen.sent[key] += 1  # no other client sends this key
        answer = self._seen.ask(
            self._number, lambda: self._http.post("/v1/runs", json=body, headers=headers, timeout=timeout)
        )
        if answer is not None:
            self._seen.runs[key].add(answer.headers.get("Location", f"none: {answer.text[:200]}"))


def backends(server: Databases, url: str) -> set[int]:
    """Return the processes of PostgreSQL that serve the API."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'hcs' AND datname = :name"
    return {row.pid for row in server.ask(query, name=url.rpartition("/")[2].partition("?")[0])}


def seconds_of_health(server: Server) -> float:
    with server.client() as nobody:
        began = time.monotonic()
        assert nobody.get("/healthz").status_code == 200
        return time.monotonic() - began


def test_a_database_that_is_restarted_under_fifty_clients_costs_them_time_and_nothing_else(
    place: Place, server: Databases
) -> None:
    seen, stop = Seen(), threading.Event()
    with (
        serving(place.url, "--parts", place.parts, "--root", place.folder) as api,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        working = [pool.submit(Client(number, place, api, seen).work, stop) for number in range(CLIENTS)]
        time.sleep(SECONDS / 2)
        before = backends(server, place.url)
        n_before = len(seen.times)
        server.crash()
        down, in_flight = time.monotonic(), len(seen.under_way)
        time.sleep(SECONDS_AWAY)
        health = seconds_of_health(api)
        answered_meanwhile = sum(began > down + 0.5 for began, _ in list(seen.times))
        server.start()
        up = time.monotonic()
        time.sleep(SECONDS / 2)
        after = backends(server, place.url)
        stop.set()
        for one in working:
            one.result(120)
        statuses = Counter(line["status"] for line in api.logged() if line.get("event") == "request")

    waited = [end - began for began, end in seen.times if began < up and end > down]
    told = f"{dict(seen.answers)}, {seen.n_cut} hung up, {len(waited)} waited up to {max(waited):.1f} s"
    assert before, "the API had no connection to cut"
    assert after, "the API did not come back to the database"
    assert not before & after, "a connection outlived the restart"
    assert in_flight >= CLIENTS / 2, f"only {in_flight} requests were under way when the database went down"
    assert len(waited) >= CLIENTS / 2, told
    assert answered_meanwhile == 0, "requests were answered without a database"
    assert n_before > CLIENTS, "the clients had hardly begun"
    assert len(seen.times) - n_before > 2 * CLIENTS, "hardly anything came after the restart"
    assert health < 1.0

    assert seen.problems == [], told
    assert not [status for status in statuses if status is None or status >= 500], statuses
    assert_every_submission_is_one_run(place, seen)
    sys.stdout.write(f"{told}\n")  # `pytest -rP` shows it


def assert_every_submission_is_one_run(place: Place, seen: Seen) -> None:
    assert seen.sent.keys() == seen.runs.keys()
    assert max(seen.sent.values()) >= 3
    assert seen.n_cut > 0, "no client hung up before its answer"
    assert all(len(runs) == 1 for runs in seen.runs.values()), "one submission was answered with two runs"
    told = {next(iter(runs)).rpartition("/")[2]: key for key, runs in seen.runs.items()}
    assert len(told) == len(seen.runs), "two submissions were answered with one run"
    with open_catalog(place.url, parts_uri=place.parts) as catalog:
        submitted = list_runs(catalog).filter(state=RunState.SUBMITTED.value)
        assert dict(submitted.select("run", "screen").iter_rows()) == told
        assert get_run(catalog, "run-1").state is not RunState.SUBMITTED
