from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs.distributed.room import Node, WorkerSize, count_workers, nodes_of, refuse_machines, size_for, workers_on
from hcs.errors import UsageError

NODES = (Node("a", cpus=8, gpus=0), Node("b", cpus=16, gpus=2), Node("c", cpus=2, gpus=1))


@given(
    cpus=st.integers(0, 64), gpus=st.integers(0, 8), own_cpus=st.sampled_from([0.25, 0.5, 1.0, 3.0]),
    own_gpus=st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0, 2.0]),
)  # fmt: skip
def test_workers_never_take_more_than_a_node_has_and_one_more_would(
    cpus: int, gpus: int, own_cpus: float, own_gpus: float
) -> None:
    node, size = Node("n", cpus=cpus, gpus=gpus), WorkerSize(cpus=own_cpus, gpus=own_gpus)

    n = workers_on(node, size)

    assert n * own_cpus <= cpus + 1e-3
    assert n * own_gpus <= gpus + 1e-3
    assert (n + 1) * own_cpus > cpus + 1e-9 or (n + 1) * own_gpus > gpus + 1e-9


def test_a_worker_lies_on_one_node() -> None:
    assert count_workers(NODES, WorkerSize(cpus=8), asked=None) == 3
    with pytest.raises(UsageError):
        count_workers(NODES, WorkerSize(cpus=20), asked=None)


def test_a_worker_on_a_processor_takes_one_unless_asked_for_more() -> None:
    assert size_for(NODES, device="cpu", cpus=None, gpus=None) == WorkerSize(cpus=1)
    assert size_for(NODES, device="cpu", cpus=2.5, gpus=None) == WorkerSize(cpus=2.5)


@pytest.mark.parametrize(("gpus", "expected"), [(None, 1.0), (0.25, 1.0), (0.5, 1.0), (1.0, 2.0), (2.0, 16.0)])
def test_a_worker_on_a_gpu_takes_the_smallest_share_of_processors_that_any_gpu_has(
    gpus: float | None, expected: float
) -> None:
    assert size_for(NODES, device="cuda", cpus=None, gpus=gpus) == WorkerSize(cpus=expected, gpus=gpus or 0.25)


def test_fractions_of_gpus_are_counted() -> None:
    assert count_workers(NODES, WorkerSize(cpus=1, gpus=0.5), asked=None) == 6
    assert count_workers(NODES, WorkerSize(cpus=1, gpus=1 / 3), asked=None) == 6 + 2


@pytest.mark.parametrize("asked", [None, 1, 7])
def test_what_is_refused_names_what_was_asked_for_and_what_there_is(asked: int | None) -> None:
    with pytest.raises(UsageError) as refused:
        count_workers(NODES[:1], WorkerSize(cpus=2, gpus=1), asked=asked)

    assert f"{asked or 1} worker" in str(refused.value)
    assert "2 CPU and 1 GPU" in str(refused.value)
    assert "1 node: a (8 CPU, 0 GPU), which is room for 0" in str(refused.value)


def test_a_cluster_without_nodes_has_no_room() -> None:
    with pytest.raises(UsageError, match="no living node"):
        count_workers((), WorkerSize(cpus=1), asked=None)


def test_only_living_nodes_count() -> None:
    said = [
        {"Alive": False, "NodeManagerHostname": "gone", "Resources": {"CPU": 99}},
        {"Alive": True, "NodeManagerHostname": "b", "Resources": {"CPU": 2, "GPU": 1}},
        {"Alive": True, "NodeManagerHostname": "a", "Resources": {}},
    ]

    assert nodes_of(said) == (Node("a", 0, 0), Node("b", 2, 1))


def test_gpus_for_workers_on_a_processor_are_refused() -> None:
    with pytest.raises(UsageError, match="--worker-gpus"):
        size_for(NODES, device="cpu", cpus=None, gpus=0.5)


def test_nodes_of_one_machine_share_a_file_and_those_of_several_do_not() -> None:
    refuse_machines((Node("a", 1, 0), Node("a", 0, 0)))

    with pytest.raises(UsageError, match="SQLite") as refused:
        refuse_machines((Node("a", 1, 0), Node("b", 1, 0)))

    for word in ("2 machines", "b (1 CPU, 0 GPU)", "postgresql://", "--parts", "--address"):
        assert word in str(refused.value)


def test_where_nodes_are_added_as_many_workers_as_were_asked_for_may_wait_for_them() -> None:
    assert count_workers((), WorkerSize(cpus=1), asked=5, grows=True) == 5
    assert count_workers(NODES, WorkerSize(cpus=8), asked=None, grows=True) == 3  # nothing was said of what may come
    with pytest.raises(UsageError, match="no living node"):
        count_workers((), WorkerSize(cpus=1), asked=5)
