from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from hcs.catalog import is_dead_here, owner_of_this_process

SAY_WHO_AND_WAIT = """
import sys
from hcs.catalog import owner_of_this_process
print(owner_of_this_process(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other():
    """Another process of this machine, and the owner that it calls itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", SAY_WHO_AND_WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_every_owner_is_another_one():
    assert owner_of_this_process() != owner_of_this_process()


def test_this_process_is_alive():
    assert not is_dead_here(owner_of_this_process())


def test_a_process_is_dead_once_it_was_killed_even_before_anybody_asked_for_its_status(other):
    process, owner = other
    assert not is_dead_here(owner)

    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert is_dead_here(owner)  # a zombie still
    process.wait()
    assert is_dead_here(owner)


def test_a_process_number_that_was_given_again_is_another_owner():
    host, pid, start, random = owner_of_this_process().split("/")

    assert is_dead_here(f"{host}/{pid}/{int(start) - 1}/{random}")


@pytest.mark.parametrize("owner", ["", "elsewhere", "elsewhere/1/2/abcd", "a/b/c/d/e", "////"])
def test_of_owners_elsewhere_nothing_is_known(owner):
    assert not is_dead_here(owner)


def test_a_process_in_another_container_of_the_same_name_is_elsewhere():
    host, pid, start, random = owner_of_this_process().split("/")

    assert not is_dead_here(f"{host}1/{pid}/{int(start) - 1}/{random}")
