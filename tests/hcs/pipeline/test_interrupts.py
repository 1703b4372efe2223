from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

from hcs.catalog import claim_run, keep_claim, open_catalog, submit_run
from hcs.pipeline.interrupts import interrupts
from schemas.screen import ScreenConfig

OWNER = "somewhere else/1/2/abcd"


@pytest.fixture
def catalog(tmp_path):
    with open_catalog(str(tmp_path / "catalog.sqlite")) as opened:
        submit_run(opened, ScreenConfig(screen="pilot", plates=[{"uri": "/P1"}]), code_version="0.1.0")
        claim_run(opened, OWNER, seconds=60)
        yield opened


@pytest.fixture
def alarm():
    """Sends this process a request to end after some seconds; what comes too late does nothing."""
    before = signal.signal(signal.SIGALRM, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_writer_that_is_interrupted_anywhere_hears_of_it_and_can_write_at_once(catalog, alarm):
    moments = np.random.default_rng(7)
    requests = []

    def write_until_asked_to_end():
        with interrupts() as request:
            requests.append(request)
            while True:
                keep_claim(catalog, 1, OWNER, seconds=60)

    for _ in range(150):
        alarm(moments.uniform(0.0005, 0.01))
        with pytest.raises(KeyboardInterrupt) as caught:
            write_until_asked_to_end()

        with catalog.writing() as connection:  # while the exception lives, and all that it holds
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        assert requests[-1].has_come
        assert keep_claim(catalog, 1, OWNER, seconds=60)
        del caught


def test_a_transaction_that_is_interrupted_is_kept_to_its_end(catalog):
    def write():
        with interrupts(), catalog.writing() as connection:
            connection.exec_driver_sql("update submissions set attempts = 7")
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(1000):  # a signal is heard between two steps of Python
                pass
            connection.exec_driver_sql("update submissions set retry_only = 'kept'")

    with pytest.raises(KeyboardInterrupt):
        write()

    with catalog.reading() as connection:
        assert connection.exec_driver_sql("select attempts, retry_only from submissions").one() == (7, "kept")


def test_a_transaction_of_another_thread_is_not_waited_for(catalog):
    is_inside, is_over = threading.Event(), threading.Event()

    def write():
        with catalog.writing():
            is_inside.set()
            is_over.wait(30)

    writer = threading.Thread(target=write)
    writer.start()
    is_inside.wait(30)
    with interrupts(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert not is_over.is_set()
    is_over.set()
    writer.join()


def test_a_second_request_disturbs_nobody_and_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with interrupts():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

    assert signal.getsignal(signal.SIGTERM) is before
