"""A real plate submitted over HTTP to a catalog on PostgreSQL, performed on Ray by a dispatcher, and asked for hits."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import digests_of, hcs, start
from held import HeldImage
from postgres import Databases, databases
from processes import Marked, make_mark
from serving import serving

from hcs.catalog import count_units, create_key, open_catalog
from hcs.io.screen import load_screen
from hcs.pipeline.plan import by_site, survey_order
from hcs.pipeline.submission import prepare_run
from hcs.settings import Settings
from schemas.keys import Scope
from schemas.work import UnitState

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
PLATE = "sbs_foxo_plate"
ENCODERS = [{"name": "named"}, {"name": "mobilenetv3_small_100.hcs"}]
"""In the place of the large one that the plate's own SCREEN.yaml names: what is asked here is not how good it is."""

N_WELLS = 48


@pytest.fixture(scope="module")
def server() -> Iterator[Databases]:
    with databases() as made:
        yield made


@pytest.fixture(scope="module")
def delivered(real_data: Path, real_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a copy of the plate, whose images may be held, with its SCREEN.yaml and platemap beside it."""
    folder = tmp_path_factory.mktemp("delivered")
    for name in (PLATE, "imagehts_sirna"):
        shutil.copytree(real_data / name, folder / name)
    weights = real_weights / "tf_mobilenetv3_large_minimal_100.safetensors"
    script = REPOSITORY / "examples" / "real_plates.py"
    subprocess.run([sys.executable, script, folder, folder, "--weights", weights], check=True)
    return folder


@dataclass(frozen=True)
class Place:
    """A catalog on PostgreSQL, and a key to submit to it."""

    url: str
    parts: str
    secret: str

    @property
    def environment(self) -> dict[str, str]:
        return {"HCS_CATALOG": self.url, "HCS_PARTS": self.parts, "HCS_OFFLINE": "1"}

    def units(self) -> dict[UnitState, int]:
        with open_catalog(self.url, parts_uri=self.parts) as catalog:
            return count_units(catalog, 1)


@pytest.fixture
def marked() -> Iterator[Marked]:
    """Commands of which nothing may be left when the test is over."""
    mark = make_mark()
    yield mark
    left = mark.left()
    mark.end()
    assert left == ({}, [])


def make_place(server: Databases, folder: Path) -> Place:
    url, parts = server.make(), str(folder / "parts")
    with open_catalog(url, parts_uri=parts) as catalog:
        secret = create_key(catalog, name="lims", scopes=[Scope.SUBMIT])[1]
    return Place(url, parts, secret)


def submission(delivered: Path) -> dict[str, Any]:
    """The plate's SCREEN.yaml as JSON."""
    config = load_screen(str(delivered / "sbs_foxo" / "SCREEN.yaml"))
    return config.model_dump(mode="json", exclude_none=True) | {"encoders": ENCODERS}


def image_that_no_survey_reads(delivered: Path) -> Path:
    config = load_screen(str(delivered / "sbs_foxo" / "SCREEN.yaml"))
    (plate,) = prepare_run(config, settings=Settings(offline=True)).plates
    well, site = survey_order(plate)[-1]
    (first, *_) = by_site(plate.planes)[well, site]
    return delivered / PLATE / first.relative_path


def submit(client: httpx.Client, delivered: Path) -> str:
    """Submit the plate and return where the run is asked for."""
    answer = client.post("/v1/runs", json=submission(delivered), headers={"Idempotency-Key": PLATE})
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "submitted"
    location: str = answer.headers["Location"]
    return location


def work(place: Place, marked: Marked) -> subprocess.Popen[str]:
    return start("work", "--executor", "ray", "--threads", 2, **place.environment, **marked.environment)


def perform_what_waits(place: Place, marked: Marked, *, executor: str) -> None:
    command = ("work", "--once", "--executor", executor, "--threads", 2)
    ended = hcs(*command, **place.environment, **marked.environment)
    assert ended.code == 0, ended.err
    assert "run-1: complete" in ended.out


def exported(place: Place, folder: Path) -> dict[str, str]:
    ended = hcs("export", "parquet", "latest", folder, **place.environment)
    assert ended.code == 0, ended.err
    return digests_of(folder)


def hits(client: httpx.Client) -> list[dict[str, Any]]:
    answer = client.get("/v1/hits", params={"q_max": 1})
    assert answer.status_code == 200, answer.text
    assert answer.json()["run"] == "run-1"
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def assert_answers_what_is_known_of_the_plate(client: httpx.Client, run: str) -> None:
    told = client.get(run).json()
    assert (told["state"], told["progress"]["sites_done"]) == ("complete", N_WELLS)
    (positive,) = [row for row in hits(client) if row["control_type"] == "poscon"]
    assert positive["call"] == "active"
    assert positive["mean_average_precision"] >= 0.9
    assert positive["n_controls"] == 8
    doses = [row["dose_step"] for row in hits(client) if row["control_type"] == "treatment"]
    assert sorted(doses) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def is_half_done(place: Place) -> bool:
    """Whether at least half of the units are done, and one is under work."""
    found = place.units()
    return found[UnitState.LEASED] > 0 and 2 * found[UnitState.DONE] >= sum(found.values()) > 2


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str], *, seconds: float = 180.0) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        assert process.poll() is None, f"the dispatcher ended early: {process.communicate()}"
        assert time.monotonic() < give_up, "it did not come so far"
        time.sleep(0.1)


def test_a_real_plate_goes_from_a_submission_to_hits_and_a_killed_dispatcher_changes_no_byte(
    delivered: Path, server: Databases, tmp_path: Path, marked: Marked
) -> None:
    undisturbed, disturbed = (make_place(server, tmp_path / name) for name in ("undisturbed", "disturbed"))
    with (
        serving(undisturbed.url, "--parts", undisturbed.parts, "--root", delivered) as api,
        api.client(undisturbed.secret) as client,
    ):
        run = submit(client, delivered)
        assert client.get("/v1/hits").status_code == 404  # nothing has finished
        perform_what_waits(undisturbed, marked, executor="local")
        assert_answers_what_is_known_of_the_plate(client, run)
        expected, expected_hits = exported(undisturbed, tmp_path / "expected"), hits(client)

    with (
        serving(disturbed.url, "--parts", disturbed.parts, "--root", delivered) as api,
        api.client(disturbed.secret) as client,
    ):
        run = submit(client, delivered)
        first, image = work(disturbed, marked), image_that_no_survey_reads(delivered)
        wait_until(lambda: sum(disturbed.units().values()) > 0, first)  # the delivery was looked at
        with HeldImage(image) as held:
            held.wait_for_reader()
            wait_until(lambda: is_half_done(disturbed), first)
            first.kill()
            first.communicate()
            assert marked.left() == ({}, [])
        before = disturbed.units()
        assert 0 < before[UnitState.LEASED] < before[UnitState.DONE], "the kill did not hit mid-flight"
        assert client.get(run).json()["state"] == "running"

        perform_what_waits(disturbed, marked, executor="ray")

        assert_answers_what_is_known_of_the_plate(client, run)
        assert hits(client) == expected_hits
    assert len(expected) >= 10
    assert exported(disturbed, tmp_path / "disturbed_export") == expected
