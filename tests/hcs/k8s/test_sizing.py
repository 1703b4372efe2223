from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs.errors import TemplateError
from hcs.k8s.sizing import Demand, Group, Sizing, group_of, pods_of, pool_of, sizing_of
from hcs.pipeline.plan import SITES_A_UNIT

demands = st.builds(
    Demand,
    n_plates=st.integers(1, 100_000),
    has_network=st.booleans(),
    device=st.sampled_from([None, "cpu", "cuda"]),
)
sizings = st.builds(Sizing, st.integers(1, 1_000), st.integers(1, 10_000), st.booleans(), st.integers(1, 10_000))


@given(demands, sizings, st.integers(1, 10_000))
def test_a_run_gets_workers_between_one_and_every_limit_and_no_more_than_its_plates_are_work_for(demand, sizing, most):
    n_pods = pods_of(demand, sizing, most=most)

    assert 1 <= n_pods <= min(sizing.max_workers, most)
    assert (n_pods - 1) * sizing.plates_per_worker < demand.n_plates  # no worker is without a plate
    if n_pods < min(sizing.max_workers, most):
        assert n_pods * sizing.plates_per_worker >= demand.n_plates


@given(demands, sizings, st.integers(1, 10_000), st.integers(1, 100))
def test_more_plates_never_get_fewer_workers(demand, sizing, most, more):
    larger = Demand(demand.n_plates + more, demand.has_network, demand.device)

    assert pods_of(larger, sizing, most=most) >= pods_of(demand, sizing, most=most)


@pytest.mark.parametrize(("n_plates", "n_pods"), [(1, 1), (4, 1), (5, 2), (8, 2), (63, 16), (64, 16), (1_000, 16)])
def test_the_usual_sizes(n_plates, n_pods):
    assert pods_of(Demand(n_plates, True), Sizing(), most=100) == n_pods


@pytest.mark.parametrize(
    ("gpu", "has_network", "device", "group"),
    [
        (True, True, None, Group.GPU),
        (True, False, None, Group.CPU),  # named features leave a GPU alone
        (False, True, None, Group.CPU),
        (False, True, "cuda", Group.GPU),  # what was begun on a GPU can go on nowhere else
        (True, True, "cpu", Group.CPU),
        (False, False, "cpu", Group.CPU),
    ],
)
def test_a_run_is_performed_where_its_encoders_want_to_be_and_goes_on_where_it_was_begun(
    gpu, has_network, device, group
):
    assert group_of(Demand(1, has_network, device), Sizing(gpu=gpu)) is group


@given(sizings)
def test_what_annotations_say_is_read(sizing):
    said = {
        "hcs/plates-per-worker": str(sizing.plates_per_worker),
        "hcs/max-workers": str(sizing.max_workers),
        "hcs/gpu": "true" if sizing.gpu else "false",
        "hcs/await-nodes-seconds": str(sizing.await_nodes),
        "prometheus.io/scrape": "true",
    }

    assert sizing_of(said) == sizing
    assert sizing_of({}) == Sizing()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("hcs/plates-per-worker", "0", "from 1 to"),
        ("hcs/plates-per-worker", "-1", "from 1 to"),
        ("hcs/plates-per-worker", 4, "a text"),
        ("hcs/max-workers", "many", "whole number"),
        ("hcs/max-workers", "1.5", "whole number"),
        ("hcs/max-workers", "99999999999999999999", "whole number"),
        ("hcs/max-workers", "٤", "whole number"),
        ("hcs/max-workers", "", "whole number"),
        ("hcs/gpu", "yes", '"true" or "false"'),
        ("hcs/gpu", True, '"true" or "false"'),
        ("hcs/gpu", None, '"true" or "false"'),
        ("hcs/gpu", ["true"], '"true" or "false"'),
        ("hcs/max-worker", "16", "hcs/max-workers"),
    ],
)
def test_an_annotation_that_nobody_understands_is_refused_by_its_name(name, value, said):
    with pytest.raises(TemplateError) as error:
        sizing_of({name: value})

    assert name in str(error.value)
    assert said in str(error.value)


def test_the_figures_behind_the_usual_size_are_those_of_the_plan():
    assert 384 * 9 / SITES_A_UNIT == 72


@given(st.integers(1, 100), st.floats(1, 256), st.integers(0, 8))
def test_workers_fill_their_pods_and_fit_into_them(n_pods, cpus, gpus):
    pool = pool_of(n_pods, cpus=cpus, gpus=gpus)

    a_pod, rest = divmod(pool.workers, n_pods)
    assert (rest, a_pod >= 1, pool.cpus >= 1) == (0, True, True)
    assert a_pod * pool.cpus <= cpus
    assert a_pod * pool.gpus <= gpus + 1e-9 or not gpus
    assert pool.gpus <= 1
    assert cpus - a_pod * pool.cpus < a_pod + 1  # no processor is left over that each of them could have
