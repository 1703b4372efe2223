"""What is sent of a screen."""

from __future__ import annotations

import os

import pytest
import yaml

from hcs.client.submissions import body_of
from hcs.errors import ScreenFileError, UsageError
from hcs.io.screen import load_screen
from schemas.screen import ScreenConfig

CONTENT = {
    "screen": "x",
    "plates": [{"uri": "plates/P1", "batch": "2021_05_02"}, {"uri": "s3://bucket/P2"}, {"uri": "/data/P3"}],
    "platemaps": {"P1": "map.csv", "P2": "../other.csv"},
    "annotations": ["a.tsv"],
    "encoders": ["named", {"name": "mobilenetv3_small_100", "weights": "w.safetensors"}],
    "exclude_wells": [{"P1:A01": "a bubble"}],
}


def test_a_file_means_what_it_means_to_the_command_line(tmp_path):
    path = tmp_path / "SCREEN.yaml"
    path.write_text(yaml.safe_dump(CONTENT), encoding="utf-8")

    assert ScreenConfig.model_validate(body_of(path)) == load_screen(str(path))
    assert ScreenConfig.model_validate(body_of(os.path.relpath(path))) == load_screen(str(path))


def test_no_default_is_sent_that_nobody_said(tmp_path):
    path = tmp_path / "SCREEN.yaml"
    path.write_text("screen: x\nplates: [{uri: P1}]\n", encoding="utf-8")

    assert body_of(path) == {"screen": "x", "plates": [{"uri": str(tmp_path / "P1")}]}


def test_fields_are_sent_as_they_are_for_the_server_to_judge():
    fields = {"screen": 3, "plats": []}

    assert body_of(fields) == fields


@pytest.mark.parametrize("text", [None, "screen: x\nplats: []\n", "screen: FILL_IN\nplates: [{uri: x}]\n"])
def test_a_file_that_is_no_screen_is_refused_before_it_is_sent(tmp_path, text):
    path = tmp_path / "SCREEN.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")

    with pytest.raises(ScreenFileError, match=r"SCREEN\.yaml"):
        body_of(path)


@pytest.mark.parametrize("nothing", [None, 3, ["SCREEN.yaml"]])
def test_what_is_no_screen_is_said(nothing):
    with pytest.raises(UsageError, match="a screen is expected"):
        body_of(nothing)


def test_a_screen_in_a_store_is_not_looked_for_on_this_machine():
    with pytest.raises(ScreenFileError, match=r"on this machine, but 's3://bucket/SCREEN.yaml'"):
        body_of("s3://bucket/SCREEN.yaml")
