from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import PatternError
from hcs.io.template import PlanePlace, compile_template

REAL = [
    ("Channel{channel}-{_}-{row}-{column}.tif", "Channel1-01-A-01.tif", (None, "A01", 1, "1", 1, 1)),
    (
        "{plate}/Well-{row}{column}/{channel}.jpeg",
        "PK-10B-pl1/Well-A003/Hoechst.jpeg",
        ("PK-10B-pl1", "A03", 1, "Hoechst", 1, 1),
    ),
    (
        "r{row}c{column}f{site}p{z}-ch{channel}sk{timepoint}fk{_}fl{_}.tiff",
        "r02c11f09p03-ch5sk2fk1fl1.tiff",
        (None, "B11", 9, "5", 3, 2),
    ),
    ("AS_{_}_{well}f{site}d{channel}.TIF", "AS_09047_050428030001_O12f00d2.TIF", (None, "O12", 0, "2", 1, 1)),
    (
        "{_}_{well}_T{timepoint}F{site}L{_}A{_}Z{z}C{channel}.tif",
        "CV8000-2C-3W-4S-FP2-stack_D08_T0001F002L01A01Z04C01.tif",
        (None, "D08", 2, "01", 4, 1),
    ),
    (
        "TimePoint_{timepoint}/ZStep_{z}/{_}_{well}_s{site}_w{channel}.TIF",
        "TimePoint_1/ZStep_0/9987_B02_s2_w3.TIF",
        (None, "B02", 2, "3", 0, 1),
    ),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), REAL)
def test_names_of_real_instruments_are_understood(pattern: str, path: str, expected: tuple[object, ...]) -> None:
    assert compile_template(pattern).match(path) == PlanePlace(*expected)


@settings(deadline=None, max_examples=80)
@given(
    row=st.sampled_from("ABHP"),
    column=st.integers(1, 24),
    site=st.integers(0, 999),
    channel=st.text("abcDNA019 .+()[]", min_size=1, max_size=6),
    junk=st.text("ab-_.", max_size=6),
    literal=st.text("xyz.^$*+()[]|? ", max_size=5),
)
def test_a_name_made_from_a_template_says_what_was_put_in(
    *, row: str, column: int, site: int, channel: str, junk: str, literal: str
) -> None:
    pattern = "{plate}/" + literal + "={well}=s{site}={_}={channel}.tif"
    path = f"P-1/{literal}={row}{column:02d}=s{site}={junk}={channel}.tif"

    assert compile_template(pattern).match(path) == PlanePlace("P-1", f"{row}{column:02d}", site, channel, 1, 1)


@settings(deadline=None, max_examples=200)
@given(
    pattern=st.lists(st.sampled_from(["{_}", "-", "a", "-a", "{_}-"]), max_size=6).map("".join),
    name=st.text("a-", max_size=10),
)
def test_the_fast_expression_matches_what_the_plain_one_does(pattern: str, name: str) -> None:
    pattern = re.sub(r"(\{_\})+", "{_}", pattern)
    naive = (
        re.escape("W")
        + "[A-P][0-9]{1,3}"
        + re.escape("=")
        + "".join("[^/]*" if part == "{_}" else re.escape(part) for part in re.split(r"(\{_\})", pattern))
    )

    found = compile_template("W{well}=" + pattern).match(f"WB02={name}")

    assert (found is not None) == (re.fullmatch(naive, f"WB02={name}") is not None)


def test_the_whole_path_must_fit() -> None:
    template = compile_template("{well}.tif")

    for path in ("A01.tiff", "xA01.tif", "old/A01.tif", "A01xtif", "A01.tif\n", "Q99.tif", "A01.TIF"):
        assert template.match(path) is None


def test_rows_may_be_numbers() -> None:
    found = compile_template("{row}_{column}.tif").match("02_3.tif")

    assert found is not None
    assert found.well == "B03"


def test_known_channels_may_end_before_anything() -> None:
    template = compile_template("{well}_w{channel}{_}.tif", channels=["1", "10"])

    assert [
        place and place.channel for place in map(template.match, ["A01_w1GUID.tif", "A01_w10.tif", "A01_w2.tif"])
    ] == [
        "1",
        "10",
        None,
    ]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{wel}.tif", r"\{wel\} is not a field; did you mean \{well\}"),
        ("{}{well}.tif", "is not a field"),
        ("{well}_{well}.tif", "stands 2 times"),
        ("{site}.tif", "expected either"),
        ("{row}_{site}.tif", "expected either"),
        ("{well}_{row}_{column}.tif", "expected either"),
        ("{well}{site}.tif", "where {well} ends before {site} cannot be told"),
        ("{_}{_}_{well}.tif", "cannot be told"),
        ("{well}_{channel}{_}.tif", "only from `channels`"),
        ("{well", "brace"),
        ("well}_{well}", "brace"),
        ("", "expected file names"),
        ("/data/{well}.tif", "expected file names"),
        ("a//{well}.tif", "expected file names"),
        ("../{well}.tif", "expected file names"),
        ("a\\{well}.tif", "expected file names"),
        ("{well:02d}.tif", "is not a field"),
        ("{well.__class__}.tif", "is not a field"),
    ],
)
def test_a_template_that_cannot_be_understood_says_why(pattern: str, said: str) -> None:
    with pytest.raises(PatternError, match=said) as caught:
        compile_template(pattern)

    assert repr(pattern) in str(caught.value)


def test_hostile_names_do_not_make_the_matching_slow() -> None:
    template = compile_template("{plate}-{_}-{_}-{_}-{_}-{_}-{_}-{channel}-{well}.tif")
    names = ["-" * 250 + ".tif", "-a" * 120 + "-A01.tiff", "a-" * 5000 + "A01.tif"]

    before = time.process_time()
    found = [template.match(name) for name in names]

    assert found == [None, None, None]
    assert time.process_time() - before < 5  # an expression that backtracks freely takes hours
