"""From a submitted run to its hits as on Kubernetes: dispatcher, RayJob, a Ray cluster that asks for a token and grows.

Real are the dispatcher's process, PostgreSQL, Ray with its job server, its token and its autoscaler, and the driver on
the head. Stood in for are the Kubernetes API and KubeRay (`tests/support/kube_api.py`, `tests/support/kuberay.py`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import digests_of, hcs, start
from held import HeldImage
from kube_api import KubeApi, kube_api, role_rules
from kuberay import KubeRay, kuberay
from postgres import databases

from hcs.catalog import Catalog, count_units, dispatches, open_catalog, run_state
from schemas.work import DispatchState, RunState, UnitState

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
KUBECTL = Path(sys.executable).with_name("kubectl")

Object = dict[str, Any]


@pytest.fixture(scope="module")
def manifests() -> list[Object]:
    """What the overlay of a small place renders to."""
    if not KUBECTL.exists():
        pytest.skip(f"manifests are rendered with kubectl, looked for at {KUBECTL}; not there")
    rendered = subprocess.run(
        [KUBECTL, "kustomize", REPOSITORY / "k8s/overlays/dev"], capture_output=True, text=True, check=True
    )
    return [item for item in yaml.safe_load_all(rendered.stdout) if item]


def template_of(manifests: list[Object], *, backoff_limit: int) -> Object:
    """The template, with pods as large as this machine has room for."""
    (template,) = (item for item in manifests if item["kind"] == "RayJob")
    template["metadata"]["namespace"] = "hcs"
    template["spec"]["backoffLimit"] = backoff_limit
    for group in template["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        group["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "1"
        group["maxReplicas"] = 2
    template["metadata"]["annotations"]["hcs/plates-per-worker"] = "1"
    return template


@contextmanager
def place(
    manifests: list[Object], folder: Path, *, backoff_limit: int
) -> Iterator[tuple[KubeApi, KubeRay, dict[str, str]]]:
    """A namespace in which the overlay was applied: the API with the dispatcher's own rights, KubeRay, the settings."""
    maps = {item["metadata"]["name"]: item["data"] for item in manifests if item["kind"] == "ConfigMap"}
    with databases() as server, kube_api(rules=role_rules(REPOSITORY / "k8s/base/dispatcher-role.yaml")) as kube:
        kube.store.create("hcs", template_of(manifests, backoff_limit=backoff_limit))
        here = {"HCS_CATALOG": server.make(), "HCS_PARTS": str(folder / "parts"), "HCS_ROOTS": str(folder)}
        maps["hcs-catalog-settings"] |= {"HCS_CATALOG": here["HCS_CATALOG"]}
        maps["hcs-settings"] |= {"HCS_PARTS": here["HCS_PARTS"], "HCS_ROOTS": here["HCS_ROOTS"]}
        maps["hcs-catalog-app"] = {"username": "", "password": ""}  # the address says who
        assert hcs("catalog", "upgrade", **here).code == 0
        with kuberay(kube, maps=maps, overrides={"PGUSER": "postgres"}) as operator:
            yield kube, operator, {**here, "HCS_UPGRADE": "false"}


@contextmanager
def dispatcher(kube: KubeApi, folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The dispatcher as its pod starts it."""
    process = start("k8s", "dispatch", "--kubeconfig", kube.kubeconfig(folder), **environment)
    try:
        yield process
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "Traceback" not in err


def wait_for(is_so: Callable[[], bool], *, seconds: float, told: Callable[[], object]) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up, told()
        time.sleep(0.1)


def rayjobs(kube: KubeApi) -> dict[str, str]:
    """Name -> state of the RayJobs of runs."""
    items = kube.store.list("hcs")["items"]
    return {
        item["metadata"]["name"]: item.get("status", {}).get("jobDeploymentStatus", "")
        for item in items
        if item["metadata"]["name"] != "hcs-run"
    }


def attempts(catalog: Catalog) -> dict[str, int]:
    """Key -> attempts of every unit, straight from the table."""
    with catalog.engine.connect() as connection:
        return dict(connection.exec_driver_sql("select key, attempt from units").all())


@pytest.mark.parametrize("backoff_limit", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_cluster_lost_in_the_middle_of_a_run_changes_no_byte(
    screen_folder: Path,
    exported: dict[str, str],
    manifests: list[Object],
    tmp_path: Path,
    backoff_limit: int,
) -> None:
    shutil.copytree(screen_folder, tmp_path / "screen")
    last = sorted((tmp_path / "screen").rglob("*.tiff"))[-1]
    with place(manifests, tmp_path, backoff_limit=backoff_limit) as (kube, operator, environment):
        with (
            dispatcher(kube, tmp_path, environment),
            open_catalog(environment["HCS_CATALOG"], parts_uri=environment["HCS_PARTS"]) as catalog,
        ):
            submitted = hcs("submit", tmp_path / "screen" / "SCREEN.yaml", **environment)
            assert submitted.code == 0, submitted.err

            def told() -> object:
                return rayjobs(kube), dispatches(catalog), operator.printed, operator.error

            def units(state: UnitState) -> int:
                return count_units(catalog, 1).get(state, 0)

            wait_for(lambda: units(UnitState.DONE) >= 2, seconds=240, told=told)  # both plates are surveyed
            with HeldImage(last) as held:
                held.wait_for_reader(seconds=240)
                wait_for(lambda: units(UnitState.DONE) > 2, seconds=120, told=told)
                assert units(UnitState.LEASED) > 0, "the loss does not hit mid-flight"
                done_before = units(UnitState.DONE)
                (name,) = rayjobs(kube)
                lost = operator.lose(name)
                held.release()
            assert any("gcs_server" in command for command in lost)
            assert any("ray::UnitWorker" in command for command in lost)
            assert any("services.dispatcher --run" in command for command in lost)
            wait_for(lambda: run_state(catalog, 1) is RunState.COMPLETE, seconds=300, told=told)
            wait_for(lambda: dispatches(catalog)[-1].state is DispatchState.ENDED, seconds=30, told=told)

            seen = dispatches(catalog)
            assert [one.attempt for one in seen] == [1, 2][: 2 - backoff_limit]
            assert len(set(operator.tokens)) == 2  # of two clusters
            assert sorted(attempts(catalog).values()).count(1) >= done_before  # nothing that was done is done again
            assert max(attempts(catalog).values()) == 2
        told_status = hcs("status", "run-1", **environment)
        assert told_status.code == 0, told_status.err
        export = hcs("export", "parquet", "run-1", tmp_path / "export", **environment)
        assert export.code == 0, export.err
        assert digests_of(tmp_path / "export") == exported
        assert hcs("hits", "--q-max", 1, **environment).code == 0
    assert not operator.served
