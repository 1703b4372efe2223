from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest

from hcs.errors import NotFoundError
from hcs.lab.maps import draw_wells
from hcs.pipeline.stored import read_profile


def test_every_well_is_a_dot_with_its_name_and_kinds_have_a_legend(small_run: Any) -> None:
    drawn = draw_wells(small_run.catalog, small_run.run, profile="named", seed=0)

    picture = ElementTree.fromstring(drawn)  # noqa: S314 - our own
    wells, _ = read_profile(small_run.catalog, small_run.run, "named")
    labels = [element.text for element in picture.findall(".//{*}title")]
    assert labels == [" ".join(row) for row in wells.select("plate", "well", "perturbation").iter_rows()]
    texts = {element.text for element in picture.findall(".//{*}text")}
    assert {"negative control", "positive control", "treatment", "UMAP 1", "UMAP 2"} <= texts
    assert f"{small_run.run.config.screen}: wells by named" in texts
    assert len(labels) == wells.height == 48
    assert wells.filter(pl.col("control_type").cast(pl.String) == "negcon").height == 20


def test_a_seed_has_its_picture(small_run: Any) -> None:
    def draw(seed: int) -> str:
        return draw_wells(small_run.catalog, small_run.run, profile="combined", seed=seed)

    first = draw(0)
    assert draw(0) == first
    assert draw(1) != first


def test_a_profile_that_there_is_not_is_answered_with_those_there_are(small_run: Any) -> None:
    with pytest.raises(NotFoundError, match=r"no profile 'nmaed'; it has .*named"):
        draw_wells(small_run.catalog, small_run.run, profile="nmaed", seed=0)
