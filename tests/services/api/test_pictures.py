"""Pictures over HTTP: those of `hcs images`, kept, tagged and composed a few at once."""

from __future__ import annotations

import asyncio
import io
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from serving import serving

from hcs.catalog import get_run, open_catalog
from hcs.imaging.composite import Picture
from hcs.pipeline.images import plate_images
from hcs.pipeline.pictures import View, picture_plate, picture_well
from services.api import pictures
from services.api.pictures import MOST_VALUES, PictureRoom, Wanted, fitting
from services.api.problems import RequestError

SITE = "/v1/plates/P1/wells/A01/sites/1/image.webp"
WELL = "/v1/plates/P1/wells/A01/image.webp"
SHEET = "/v1/plates/P1/sheet.webp"


def decoded(answer) -> Picture:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "image/webp"
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def is_like(found: Picture, expected: Picture) -> bool:
    """Whether two pictures are the same but for what WebP loses."""
    return found.shape == expected.shape and float(np.abs(found.astype(float) - expected).mean()) < 6


@pytest.fixture(scope="module")
def images(finished):
    with open_catalog(str(finished.catalog)) as catalog:
        yield plate_images(catalog, get_run(catalog), "P1")


def test_pictures_are_those_that_the_command_composes(reader, images):
    assert is_like(decoded(reader.get(SITE)), picture_well(images, "A01", site=1).picture)
    assert is_like(decoded(reader.get(WELL)), picture_well(images, "A01").picture)
    assert is_like(decoded(reader.get(SHEET)), picture_plate(images, view=View(longest_side=160)).picture)
    assert not is_like(decoded(reader.get(SITE)), picture_well(images, "A02", site=1).picture)


def test_a_well_is_found_in_any_spelling(reader):
    assert reader.get("/v1/plates/P1/wells/a1/image.webp").content == reader.get(WELL).content


@pytest.mark.parametrize(
    ("query", "view"),
    [
        ({"size": 32}, View(longest_side=32)),
        ({"channels": "dna"}, View(channels=("DNA",))),
        ({"channels": "DNA,Mito"}, View(channels=("DNA", "Mito"))),
        ({"low": 5, "high": 95}, View(contrast=(5, 95))),
        ({"low": 5}, View(contrast=(5, 99.9))),
        ({"raw": "true"}, View(raw=True)),
        (
            {"channels": "DNA:00ff00,Mito:FF0000"},
            View(channels=("DNA", "Mito"), colours=(("DNA", (0, 255, 0)), ("Mito", (255, 0, 0)))),
        ),
    ],
    ids=str,
)
def test_options_are_those_of_a_view(reader, images, query, view):
    if view.contrast == (5, 99.9):
        from hcs.imaging.scaling import HIGH_PERCENTILE

        view = replace(view, contrast=(5, HIGH_PERCENTILE))

    found = decoded(reader.get(SITE, params=query))

    assert is_like(found, picture_well(images, "A01", site=1, view=view).picture)


def test_a_colour_that_is_asked_for_is_the_only_one(reader):
    green = decoded(reader.get(SITE, params={"channels": "DNA:00ff00"})).astype(int)[8:-8, 8:-8]

    assert green[..., 1].max() > 200
    assert green[..., 1].sum() > 3 * (green[..., 0].sum() + green[..., 2].sum())


def test_a_picture_of_a_named_run_may_be_kept_and_is_not_sent_twice(reader):
    first = reader.get(WELL, params={"run": "run-1"})
    again = reader.get(WELL, params={"run": "run-1"}, headers={"If-None-Match": first.headers["ETag"]})
    other = reader.get(WELL, params={"run": "run-1", "raw": "true"}, headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"] == "private, max-age=3600"
    assert reader.get(WELL).headers["Cache-Control"] == "private, no-cache"
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert other.status_code == 200
    assert other.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/plates/P9/sheet.webp",
        "/v1/plates/P1/wells/H12/image.webp",
        "/v1/plates/P1/wells/nowhere/image.webp",
        "/v1/plates/P1/wells/A01/sites/2/image.webp",
        "/v1/plates/P1/wells/A01/sites/999999/image.webp",
        f"{WELL}?channels=GFP",
        f"{WELL}?run=run-99",
    ],
)
def test_what_is_not_there_is_not_found(reader, path):
    assert reader.get(path).status_code == 404


def test_a_well_that_the_run_could_not_use_has_no_picture_and_says_why(reader):
    for path in ("/v1/plates/P1/wells/C06/image.webp", "/v1/plates/P1/wells/C06/sites/1/image.webp"):
        answer = reader.get(path)
        assert answer.status_code == 404
        assert "not a TIFF" in answer.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        {"channels": ""}, {"channels": "DNA:blue"}, {"channels": ",DNA"}, {"channels": "DNA,dna"}, {"low": 50},
        {"low": -1}, {"high": 101}, {"high": 50}, {"low": "nan"}, {"size": 7}, {"size": 4097}, {"raw": "yes"},
    ],
    ids=str,
)  # fmt: skip
def test_a_view_that_makes_no_sense_is_refused(reader, query):
    assert reader.get(SITE, params=query).status_code == 422


def test_images_that_changed_or_are_gone_are_told_apart_from_those_that_never_were(tmp_path, make_finished):
    own = make_finished(tmp_path)
    with serving(own.catalog) as server, server.client(own.keys.read) as client:
        kept = client.get(WELL)
        changed = tmp_path / "P1" / "A02-DNA.tif"
        shutil.copy(tmp_path / "P1" / "A03-DNA.tif", changed)
        (tmp_path / "P1" / "A03-DNA.tif").unlink()

        answers = [client.get(f"/v1/plates/P1/wells/{well}/image.webp") for well in ("A02", "A03")]
        with_holes = client.get(SHEET)
        shutil.rmtree(tmp_path / "P2")
        no_plate = client.get("/v1/plates/P2/sheet.webp")

    assert kept.status_code == 200
    assert [answer.status_code for answer in answers] == [410, 410]
    assert "another one now" in answers[0].json()["detail"]
    assert with_holes.status_code == 200
    assert with_holes.headers["Cache-Control"] == "private, no-cache"
    assert no_plate.status_code == 410
    assert all(line["status"] < 500 for line in server.logged() if line["event"] == "request")


def test_many_who_ask_for_one_picture_have_it_composed_once(finished, monkeypatch):
    composed, lock = [], threading.Lock()
    plain = pictures._compose

    def counted(images, wanted, reader):
        with lock:
            composed.append(wanted)
        return plain(images, wanted, reader)

    monkeypatch.setattr(pictures, "_compose", counted)

    async def ask():
        room = PictureRoom(catalog)
        wanted = Wanted("well", "P1", View(longest_side=64), well="A01")
        made = await asyncio.gather(*(room.show(run, wanted) for _ in range(50)))
        return [*made, await room.show(run, wanted)]

    with open_catalog(str(finished.catalog)) as catalog:
        run = get_run(catalog)
        made = asyncio.run(ask())

    assert len(composed) == 1
    assert len({id(item) for item in made}) == 1


def test_a_site_seen_alone_is_not_read_again_beside_the_others_nor_for_another_contrast(finished, monkeypatch, images):
    read = []
    plain = pictures.read_shown

    def counted(images, place, *, channels, view, threads):
        read.append((place, tuple(channels), view.raw, view.longest_side))
        return plain(images, place, channels=channels, view=view, threads=threads)

    monkeypatch.setattr(pictures, "read_shown", counted)
    view = View(longest_side=64)
    views = [view, replace(view, contrast=(5, 95)), replace(view, colours=(("DNA", (0, 255, 0)),))]
    others = [replace(view, raw=True), replace(view, longest_side=32), replace(view, channels=("DNA",))]

    async def ask(wanted):
        return await room.show(run, wanted)

    with open_catalog(str(finished.catalog)) as catalog:
        run, room = get_run(catalog), PictureRoom(catalog)
        asyncio.run(ask(Wanted("site", "P1", view, well="A01", site=1)))
        whole = [asyncio.run(ask(Wanted("well", "P1", shown, well="A01"))) for shown in views]
        n_sites = len(images.site_numbers)
        assert len(read) == len(set(read)) == n_sites
        for other in others:
            asyncio.run(ask(Wanted("site", "P1", other, well="A01", site=1)))

    assert len(read) == len(set(read)) == n_sites + len(others)
    for made, shown in zip(whole, views, strict=True):
        found = np.asarray(Image.open(io.BytesIO(made.content)).convert("RGB"))
        assert is_like(found, picture_well(images, "A01", view=shown).picture)


def test_no_more_are_composed_at_once_than_memory_is_meant_for(finished, monkeypatch):
    at_once, most, lock, gate = 0, 0, threading.Lock(), threading.Event()
    plain = pictures._compose

    def slow(images, wanted, reader):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        gate.wait(0.02)
        with lock:
            at_once -= 1
        return plain(images, wanted, reader)

    monkeypatch.setattr(pictures, "_compose", slow)

    async def ask():
        room = PictureRoom(catalog)
        wells = [f"{row}{column:02d}" for row in "ABC" for column in range(1, 6)]
        views = [View(longest_side=size) for size in (16, 17, 18)]
        await asyncio.gather(
            *(room.show(run, Wanted("well", "P1", view, well=well)) for well in wells for view in views)
        )

    with open_catalog(str(finished.catalog)) as catalog:
        run = get_run(catalog)
        asyncio.run(ask())

    assert most == pictures.SITES_AT_ONCE


def test_so_many_sheets_that_others_would_wait_for_minutes_are_refused(finished, monkeypatch):
    gate, plain = threading.Event(), pictures._compose

    def held(images, wanted, reader):
        gate.wait(60)
        return plain(images, wanted, reader)

    monkeypatch.setattr(pictures, "_compose", held)

    async def ask():
        room = PictureRoom(catalog)
        sheets = [Wanted("plate", "P1", View(longest_side=16 + size)) for size in range(pictures.SHEETS_WAITING + 1)]
        first = [asyncio.ensure_future(room.show(run, sheet)) for sheet in sheets[:-1]]
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="ask again") as refused:
            await room.show(run, sheets[-1])
        same, site = room.show(run, sheets[0]), room.show(run, Wanted("well", "P1", View(longest_side=64), well="A01"))
        gate.set()
        made = await asyncio.gather(*first, same, site)
        return refused.value, [*made, await room.show(run, sheets[-1])]

    with open_catalog(str(finished.catalog)) as catalog:
        run = get_run(catalog)
        refused, made = asyncio.run(ask())

    assert (refused.kind.status, set(refused.headers)) == (429, {"Retry-After"})
    assert all(item.content.startswith(b"RIFF") for item in made)


def test_one_who_leaves_does_not_end_the_work_for_the_others(finished):
    async def ask():
        room = PictureRoom(catalog)
        wanted = Wanted("well", "P1", View(longest_side=64), well="A02")
        first, second = (asyncio.ensure_future(room.show(run, wanted)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    with open_catalog(str(finished.catalog)) as catalog:
        run = get_run(catalog)
        assert asyncio.run(ask()).content.startswith(b"RIFF")


@pytest.mark.parametrize(("n_sites", "n_channels"), [(1, 1), (1, 5), (384, 5), (1536, 8), (9, 5)])
def test_a_view_is_made_to_fit_into_memory(n_sites, n_channels):
    for size in (None, 16, 4096):
        side = fitting(View(longest_side=size), n_sites=n_sites, n_channels=n_channels).longest_side
        assert side * side * n_sites * n_channels <= MOST_VALUES
        assert side <= (size or side)
    assert fitting(View(longest_side=16), n_sites=n_sites, n_channels=n_channels).longest_side == 16


def test_a_colour_by_its_name_is_refused_with_how_colours_are_written(reader):
    (error,) = reader.get(SITE, params={"channels": "DNA:blue"}).json()["errors"]

    assert error["parameter"] == "channels"
    assert error["detail"] == "a list such as DNA or DNA:0046ff,ER, with colours as RRGGBB, is expected, got 'DNA:blue'"
