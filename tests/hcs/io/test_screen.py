from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import ScreenFileError
from hcs.io.screen import load_screen
from hcs.io.storage import write_atomically
from hcs.screenfile import screen_yaml, with_places
from schemas.screen import ScreenConfig

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=8)
PATHS = NAMES.map(lambda name: f"/data/{name.replace('/', '_')}")


def write(folder: Path, text: str) -> str:
    path = folder / "SCREEN.yaml"
    path.write_text(text)
    return str(path)


@settings(deadline=None, max_examples=60)
@given(
    screen=NAMES,
    barcodes=st.lists(st.one_of(NAMES, st.sampled_from(["0123", "1e5", "12.10", "2021_05_02", "no", "null", "~"]))),
    uri=PATHS,
    channels=st.none() | st.dictionaries(NAMES, NAMES, min_size=1, max_size=3),
    platemaps=st.none() | PATHS | st.dictionaries(NAMES, PATHS, max_size=3) | st.lists(PATHS, max_size=3).map(tuple),
    tile=st.integers(16, 2048),
    q_max=st.floats(0, 1, exclude_min=True, exclude_max=True),
)
def test_a_screen_survives_its_file(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    screen: str,
    barcodes: list[str],
    uri: str,
    channels: dict[str, str] | None,
    platemaps: object,
    tile: int,
    q_max: float,
) -> None:
    plates = [{"uri": uri, "barcode": barcode, "batch": barcode} for barcode in barcodes] or [{"uri": uri}]
    config = ScreenConfig.model_validate(
        {
            "screen": screen,
            "plates": plates,
            "channels": channels,
            "platemaps": platemaps,
            "pixels": {"tile": tile},
            "hits": {"q_max": q_max},
        }
    )

    path = write(tmp_path_factory.mktemp("screen"), screen_yaml(config))

    assert load_screen(path) == config


def test_values_are_read_as_they_stand_and_not_as_yaml_guesses(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        screen: 7
        plates: [{uri: x, barcode: 0123, batch: 2021_05_02, timepoint: 24}]
        channels: {1: DNA, no: ER, 01: RNA}
        pattern: null
        pixels: {tile: 128, brightfield: true}
        """,
    )

    config = load_screen(path)

    assert config.screen == "7"
    assert (config.plates[0].barcode, config.plates[0].batch, config.plates[0].timepoint) == (
        "0123",
        "2021_05_02",
        "24",
    )
    assert config.channels == {"1": "DNA", "no": "ER", "01": "RNA"}
    assert config.pattern is None
    assert (config.pixels.tile, config.pixels.brightfield) == (128, True)


def test_relative_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    write(
        tmp_path / "a",
        """
        screen: s
        plates: [{uri: ../images}, {uri: "s3://bucket/plate"}, {uri: /abs}]
        platemaps: {P1: maps/p1.csv}
        annotations: [m.tsv]
        encoders: [{name: x, weights: w.safetensors}]
        """,
    )
    monkeypatch.chdir(tmp_path)

    config = load_screen("a/SCREEN.yaml")

    assert [plate.uri for plate in config.plates] == [str(tmp_path / "images"), "s3://bucket/plate", "/abs"]
    assert config.platemaps == {"P1": str(tmp_path / "a/maps/p1.csv")}
    assert config.annotations == (str(tmp_path / "a/m.tsv"),)
    assert config.encoders[0].weights == str(tmp_path / "a/w.safetensors")


def test_a_remote_screen_has_remote_paths(tmp_path: Path) -> None:
    uri = f"memory://{tmp_path.name}/SCREEN.yaml"
    write_atomically(uri, b"screen: s\nplates: [{uri: images}]")

    assert load_screen(uri).plates[0].uri == f"memory://{tmp_path.name}/images"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plates: [{uri: x}]", "screen is missing"),
        ("screen: s\nplates: []", "plates: .*at least 1"),
        ("screen: s\nplates: [{uri: x, barcod: y}]", r"plates.0.barcod is not a field; did you mean barcode\?"),
        ("screen: s\nplates: [{uri: x}]\nhits: {q_max: 7}", "hits.q_max: .*less than 1, got '7'"),
        ("screen: s\nplates: [{uri: x}]\npixels: {tile: big}", "pixels.tile: .*integer.*got 'big'"),
        ("screen: s\nscreen: t", "line 2, column 1: 'screen' is given twice"),
        ("screen: [", "line 1"),
        ("- a", "expected fields such as"),
        ("", "expected fields such as"),
        ("a: &a [*a]", "anchors"),
        ("screen: \x07", "expected YAML"),
    ],
)
def test_a_mistake_names_file_field_and_what_came(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)

    with pytest.raises(ScreenFileError, match=said) as caught:
        load_screen(path)

    assert path in str(caught.value)


def test_anchors_that_expand_without_end_are_refused_quickly(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    with pytest.raises(ScreenFileError, match="anchors expand"):
        load_screen(write(tmp_path, "\n".join(levels)))


def test_a_screen_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ScreenFileError, match="No such file"):
        load_screen(str(tmp_path / "SCREEN.yaml"))


def test_what_was_left_to_fill_in_is_named_and_refused(tmp_path: Path) -> None:
    text = "screen: s\nplates: [{uri: p, channels: {1: FILL_IN, 2: DNA}}]\nplatemaps: FILL_IN\npattern: a FILL_IN b\n"

    with pytest.raises(ScreenFileError, match=r"FILL_IN still stands at plates\.0\.channels\.1, platemaps;"):
        load_screen(write(tmp_path, text))


def test_every_place_of_a_screen_is_changed_and_nothing_else() -> None:
    config = ScreenConfig.model_validate(
        {
            "screen": "a",
            "plates": [{"uri": "a"}],
            "platemaps": {"a": "a"},
            "annotations": ["a"],
            "encoders": ["a", {"name": "b", "weights": "a"}],
        }
    )

    changed = with_places(config, lambda place: place * 2)

    assert changed.model_dump(mode="json", exclude_unset=True) == {
        "screen": "a",
        "plates": [{"uri": "aa"}],
        "platemaps": {"a": "aa"},
        "annotations": ["aa"],
        "encoders": [{"name": "a"}, {"name": "b", "weights": "aa"}],
    }
    assert with_places(config, str).model_fields_set == config.model_fields_set
