"""The client and an API whose PostgreSQL goes down and comes back."""

from __future__ import annotations

import os
import threading

import pytest
from postgres import VARIABLE, databases
from serving import serving

from hcs.catalog import create_key, open_catalog
from hcs.client import Client
from schemas.keys import Scope


def test_a_database_that_is_away_for_a_moment_costs_time_and_nothing_else(finished, tmp_path):
    if VARIABLE in os.environ:
        pytest.skip(f"{VARIABLE} names a server that is not ours to restart")
    with databases() as made:
        url, parts = made.make(), str(tmp_path / "parts")
        with open_catalog(url, parts_uri=parts) as catalog:
            _, key = create_key(catalog, name="robot", scopes=[Scope.SUBMIT])
        with (
            serving(url, "--parts", parts, "--root", finished.folder) as server,
            Client(server.url, key=key) as client,
        ):
            first = client.submit(finished.submission("before"))
            made.crash()
            back = threading.Timer(1.0, made.start)
            back.start()
            second = client.submit(finished.submission("meanwhile"))
            back.join()

            assert [run.screen for run in client.runs()] == ["meanwhile", "before"]
            assert [run.id for run in client.runs()] == [second.id, first.id]
