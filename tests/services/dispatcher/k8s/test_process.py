"""The dispatcher as a process: what an operator starts, what a probe asks, and what is left when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import hcs
from kube_api import Fault, KubeApi
from rayjob_worlds import World, until

from hcs.catalog import dispatches
from schemas.work import DispatchState


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """What a test starts, and what ends with it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def environment_of(world: World) -> dict[str, str]:
    """What a dispatcher of a world needs to know."""
    engine = world.catalog.engine
    url = engine.url.set(drivername=engine.url.get_backend_name()).render_as_string(hide_password=False)
    return {
        **os.environ,
        "KUBECONFIG": world.kubeconfig,
        "HCS_CATALOG": str(engine.url.database) if world.catalog.is_for_one_machine else url,
        "HCS_PARTS": world.catalog.parts_uri,
        "TMPDIR": str(world.folder),
    }


def start(world: World, processes: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "services.dispatcher.k8s"]
    process = subprocess.Popen(command, env=environment_of(world), stderr=subprocess.PIPE, text=True)
    processes.append(process)
    return process


def kill(process: subprocess.Popen[str]) -> None:
    """As a node that goes down."""
    assert process.poll() is None, "it ended before it was killed"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL


def held_create(kube: KubeApi, kind: str) -> Fault:
    """Have the API hold the next create: a `silent` one before it is done, a `mute` one before it is answered."""
    return kube.break_next("create", kind, seconds=30)


@pytest.mark.parametrize("kind", ["silent", "mute"])
def test_a_dispatcher_that_is_killed_in_the_middle_of_a_create_starts_nothing_twice(
    any_world: World, processes: list[subprocess.Popen[str]], kind: str
) -> None:
    world = any_world
    fault = held_create(world.kube, kind)
    run_id = world.submit()
    process = start(world, processes)
    assert fault.is_done.wait(60)
    kill(process)
    # where it hit: the row is written, the RayJob is made or not, and no answer was read
    (dispatch,) = dispatches(world.catalog)
    assert (dispatch.state, dispatch.message, dispatch.name) == (DispatchState.ASKED, None, world.name(run_id))
    assert world.names() == ([world.name(run_id)] if kind == "mute" else [])
    assert world.kube.count("create", 201) == 0

    world.round(4)
    assert world.names() == [world.name(run_id)]
    assert [one.attempt for one in dispatches(world.catalog)] == [1]
    assert world.last(run_id).state is DispatchState.WAITING


def test_two_processes_at_once_start_every_run_once_while_one_of_them_is_killed(
    any_world: World, processes: list[subprocess.Popen[str]]
) -> None:
    world = any_world
    both = [start(world, processes) for _ in range(2)]
    until(lambda: world.kube.count("list") >= 2, seconds=60)
    runs = [world.submit() for _ in range(12)]
    until(lambda: len(world.names()) >= 3, seconds=60)
    kill(both[0])
    assert len(world.names()) < 12, "everything was started before the kill"
    until(lambda: len(world.names()) == 12 and all(world.last(run).state is DispatchState.WAITING for run in runs))
    assert sorted(world.names()) == sorted(world.name(run_id) for run_id in runs)
    assert len(dispatches(world.catalog)) == 12
    both[1].terminate()
    assert both[1].wait(10) == 0


def test_it_ends_in_seconds_when_asked_to_even_while_the_api_says_nothing(
    world: World, processes: list[subprocess.Popen[str]]
) -> None:
    fault = world.kube.break_next("list", "silent", seconds=60)
    process = start(world, processes)
    assert fault.is_done.wait(60)
    began = time.monotonic()
    process.terminate()
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert time.monotonic() - began < 5
    assert "asked to end" in said


def test_what_it_logs_is_json_without_secrets_and_each_trouble_once(
    world: World, processes: list[subprocess.Popen[str]]
) -> None:
    world.kube.store.quotas["hcs"] = 0
    run_id = world.submit()
    process = start(world, processes)
    until(lambda: world.kube.count("create") >= 2, seconds=60)
    world.kube.store.quotas.clear()
    until(lambda: world.last(run_id).state is DispatchState.WAITING, seconds=60)
    process.terminate()
    _, said = process.communicate(timeout=20)
    lines = [json.loads(line) for line in said.splitlines()]
    events = [line["event"] for line in lines]
    assert events[0] == "waiting for runs"
    assert [line["reason"].count("exceeded quota") for line in lines if line["event"] == "trouble"] == [1]
    assert lines[events.index("a RayJob is created")]["rayjob"] == world.name(run_id)
    assert all({"level", "timestamp"} <= line.keys() for line in lines)
    assert "first-token" not in said
    assert world.last(run_id).attempt == 1


def test_a_probe_knows_whether_it_goes_on(world: World, processes: list[subprocess.Popen[str]]) -> None:
    asked = [sys.executable, "-m", "services.dispatcher.k8s", "--alive"]
    assert subprocess.run(asked, env=environment_of(world), check=False).returncode == 1
    process = start(world, processes)
    file = world.folder / "hcs-k8s-dispatch.alive"
    until(file.exists, seconds=60)
    assert hcs("k8s", "dispatch", "--alive", **environment_of(world)).code == 0
    port = world.kube.stop()  # no trouble of the loop: another process would fare no better
    first = file.stat().st_mtime
    until(lambda: file.stat().st_mtime > first + 1)
    world.kube.start(port)
    kill(process)
    os.utime(file, (time.time() - 200, time.time() - 200))
    assert subprocess.run(asked, env=environment_of(world), check=False).returncode == 1


def test_a_cluster_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    ended = hcs("k8s", "dispatch", KUBECONFIG=str(tmp_path / "none"), HCS_CATALOG=str(tmp_path / "catalog.sqlite"))
    assert ended.code == 1
    assert "expected to run in a pod with a ServiceAccount, or a kubeconfig" in ended.err
    assert "Traceback" not in ended.err


def test_it_needs_nothing_that_the_image_of_the_api_lacks() -> None:
    """Its image is the API's, which has neither torch nor Ray."""
    loaded = "import services.dispatcher.k8s.dispatching, sys; print(*sorted(sys.modules))"
    command = [sys.executable, "-c", loaded]
    modules = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "services.dispatcher.k8s.loop" in modules
    assert not {"torch", "timm", "ray", "streamlit"} & set(modules)
