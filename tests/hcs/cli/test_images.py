"""`hcs images` and `hcs init` as they are typed."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import typer
import yaml
from plates import deliver, plate_images
from runs import perform
from typer.testing import CliRunner

from hcs.catalog import open_catalog
from hcs.cli.main import app
from hcs.errors import DeliveryError, NotFoundError, UsageError
from hcs.pipeline.local import LocalExecutor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A delivered plate of four wells, described by what `hcs init` prints of it, and its finished run."""
    folder = tmp_path_factory.mktemp("typed")
    deliver(folder / "P", {(f"{well}_s1", channel): image for (well, channel), image in plate_images(4).items()})
    text = give("init", folder / "P").stdout.replace("platemaps: FILL_IN", "encoders: [named]\npixels: {tile: 64}")
    (folder / "SCREEN.yaml").write_text(text)
    with open_catalog(str(folder / "catalog.sqlite")) as catalog:
        perform(catalog, folder / "SCREEN.yaml", LocalExecutor(threads=1))
    return folder


def give(*arguments):
    ended = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(ended.exception, Exception):
        raise ended.exception
    return ended


def test_a_draft_goes_to_stdout_alone_and_says_what_is_to_be_filled_in(folder):
    ended = give("init", folder / "P")

    content = yaml.safe_load(ended.stdout)
    assert (content["pattern"], content["platemaps"]) == ("{well}_s1-{channel}.tif", "FILL_IN")
    assert ended.stderr == "1 place to fill in; then hcs check SCREEN.yaml\n"


def test_a_draft_that_was_not_filled_in_is_refused_by_check(folder, tmp_path):
    (tmp_path / "SCREEN.yaml").write_text(give("init", folder / "P").stdout)

    with pytest.raises(UsageError, match="FILL_IN still stands at platemaps"):
        give("check", tmp_path / "SCREEN.yaml")


def test_a_folder_without_images_has_no_draft(tmp_path):
    with pytest.raises(DeliveryError, match="got 0 files"):
        give("init", tmp_path)


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_a_well_is_written_and_said(folder, tmp_path, ending):
    file = tmp_path / f"well.{ending}"

    ended = give("images", "P", "a2", "-o", file, "--catalog", folder / "catalog.sqlite")

    decode = imagecodecs.png_decode if ending == "png" else imagecodecs.webp_decode
    assert ended.exit_code == 0
    assert decode(file.read_bytes()).shape == (104, 104, 3)
    first, *channels = ended.stdout.splitlines()
    assert first == f"plate P, well A02: 1 site, 104 x 104 pixels in {file}"
    assert [line.split(":")[0].strip() for line in channels] == ["AGP", "DNA", "Mito"]


def test_the_same_well_is_the_same_bytes_and_channels_may_stand_together(folder, tmp_path):
    catalog = ("--catalog", folder / "catalog.sqlite")
    options = (["--channels", "DNA,mito"], ["--channels", "DNA", "--channels", "Mito"])

    for number, chosen in enumerate(options):
        give("images", "P", "A01", *chosen, "--run", "1", "--output", tmp_path / f"{number}.png", *catalog)

    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


def test_a_sheet_of_the_plate_with_a_hole_is_written_and_ends_with_3(folder, tmp_path):
    image = folder / "P" / "A03_s1-DNA.tif"
    content = image.read_bytes()
    image.unlink()
    try:
        ended = give(
            "images", "P", "-o", tmp_path / "s.png", "--size", 16, "--catalog", folder / "catalog.sqlite",
            "--contrast", 0, 99,
        )  # fmt: skip
    finally:
        image.write_bytes(content)

    assert ended.exit_code == 3
    assert "note: A03 site 1:" in ended.stderr
    assert "4 wells, A01 to A04" in ended.stdout
    sheet = imagecodecs.png_decode((tmp_path / "s.png").read_bytes())
    margin = 18
    assert sheet.shape == (margin + 24, margin + 84, 3)
    assert len(np.unique(sheet[margin + 4 : margin + 20, margin + 44 : margin + 60])) == 2


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (["P", "A01", "-o", "a.gif"], (UsageError, r"\.png or \.webp")),
        (["P", "A01", "-o", "a.png", "--contrast", "9", "2"], (UsageError, "LOW < HIGH")),
        (["Q", "A01", "-o", "a.png"], (NotFoundError, "it has P")),
        (["P", "C01", "-o", "a.png"], (NotFoundError, "no well C01")),
        (["P", "A01", "-o", "a.png", "--run", "7"], (NotFoundError, "run-1")),
    ],
)
def test_what_cannot_be_drawn_is_explained_and_nothing_is_written(folder, tmp_path, monkeypatch, arguments, refused):
    error, said = refused
    monkeypatch.chdir(tmp_path)

    with pytest.raises(error, match=said):
        give("images", *arguments, "--catalog", folder / "catalog.sqlite")

    assert list(tmp_path.iterdir()) == []


def test_a_picture_needs_a_file(folder):
    ended = CliRunner().invoke(app, ["images", "P", "A01"])

    assert ended.exit_code == 2
    assert isinstance(ended.exception, SystemExit | typer.Exit)
