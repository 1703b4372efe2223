"""Files of sites that lie in a store: each fetched once, side by side, and never more than are wanted."""

from __future__ import annotations

from pathlib import Path

import pytest
from plates import CHANNELS, PIXELS, deliver, plate_images
from s3 import Proxy, Request

from hcs.embedding.engine import pin_for
from hcs.pipeline.fetching import fetch_site, fetch_sites
from hcs.pipeline.plan import SURVEY_SITES, PartsPlace, by_site, survey_unit
from hcs.pipeline.stopwatch import Stopwatch
from hcs.pipeline.surveys import survey_of
from schemas.work import UnitSpec


def unit(folder: Path, *, n_wells: int, root: str | None = None) -> UnitSpec:
    plate = deliver(folder / "P", plate_images(n_wells))
    spec = survey_unit(plate, pixels=PIXELS, pin=pin_for(12), parts=PartsPlace(uri="unused", folder="unused"))
    return spec if root is None else spec.model_copy(update={"root": root})


@pytest.fixture
def stored(proxy: Proxy, tmp_path: Path) -> UnitSpec:
    """A survey of a plate with more sites than a survey needs."""
    bucket = proxy.make_bucket("sites")
    spec = unit(tmp_path, n_wells=SURVEY_SITES + 8, root=f"{bucket}/P")
    proxy.upload(tmp_path / "P", f"{bucket}/P")
    planes = tuple(plane.model_copy(update={"witness": None}) for plane in spec.planes)
    proxy.clear()
    return spec.model_copy(update={"planes": planes})


def most_at_once(requests: list[Request]) -> int:
    return max(sum(one.started <= other.started < one.ended for one in requests) for other in requests)


def test_the_sites_of_a_store_are_those_of_a_disk_fetched_once_and_several_at_a_time(
    proxy: Proxy, stored: UnitSpec, tmp_path: Path
) -> None:
    sites = by_site(stored.planes)

    found = list(fetch_sites(stored, sites.items(), watch=Stopwatch()))

    assert [(key, planes) for key, planes, _ in found] == list(sites.items())
    for _, planes, fetched in found:
        assert fetched == {plane.relative_path: (tmp_path / "P" / plane.relative_path).read_bytes() for plane in planes}
    assert set(proxy.counted("GET").values()) == {1}
    assert len(proxy.requests) == len(stored.planes)
    assert most_at_once(proxy.requests) > len(CHANNELS)
    assert fetch_site(stored.root, planes, channels=CHANNELS) == fetched


def test_a_survey_fetches_as_many_sites_as_it_needs_and_replaces_those_that_cannot_be_read(
    proxy: Proxy, stored: UnitSpec
) -> None:
    survey, n_failed = survey_of(stored, watch=Stopwatch(), readers=2)
    assert (survey.n_sites, n_failed) == (SURVEY_SITES, 0)
    assert len(proxy.requests) == SURVEY_SITES * len(CHANNELS)

    proxy.clear()
    proxy.answer("GET", stored.planes[0].relative_path, status=404, code="NoSuchKey")
    survey, n_failed = survey_of(stored, watch=Stopwatch(), readers=2)
    assert (survey.n_sites, n_failed) == (SURVEY_SITES, 1)
    assert len(proxy.requests) == (SURVEY_SITES + 1) * len(CHANNELS)


def test_what_lies_on_this_machine_is_left_to_whoever_decodes_it(tmp_path: Path) -> None:
    spec = unit(tmp_path, n_wells=2)

    found = list(fetch_sites(spec, by_site(spec.planes).items(), watch=Stopwatch()))

    assert [fetched for _, _, fetched in found] == [None, None]
