"""Names and numbers as they are written on a page."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.words import plain, shortened

OVERRIDE, HEBREW = "\u202e", "\u05e9\u05dc\u05d5\u05dd"


def turns(text: str) -> int:
    """How deep the direction of what follows a text is turned; an isolate that is closed turns nothing."""
    depth = 0
    for letter in text:
        kind = unicodedata.bidirectional(letter)
        depth += {"RLO": 1, "LRO": 1, "RLE": 1, "LRE": 1, "FSI": 1, "RLI": 1, "LRI": 1, "PDF": -1, "PDI": -1}.get(
            kind, 0
        )
    return depth


@given(st.text(alphabet=st.sampled_from(f"a1 .{OVERRIDE}{HEBREW}\u202c\u2066\u2067\u2068\u2069\u200f")))
def test_a_name_never_turns_what_stands_behind_it(name: str) -> None:
    assert turns(plain(name)) == 0
    assert turns(shortened(name)) == 0
    assert turns(plain(shortened(name, longest=8))) == 0


def test_a_name_from_right_to_left_stands_by_itself() -> None:
    assert plain(HEBREW) == f"\u2068{HEBREW}\u2069"
    assert plain(f"{OVERRIDE}gnp.exe") == r"gnp\.exe"


@pytest.mark.parametrize(
    "address", ["https://evil.example/x", "HTTP://evil.example", "www.evil.example", "a@b.example"]
)
def test_an_address_becomes_no_link(address: str) -> None:
    """GitHub's Markdown, which Streamlit reads, makes links of bare addresses: behind `://`, `www.` and `@`."""
    said = plain(f"see {address} now").replace("\\", "")

    assert said.replace("\u2060", "") == f"see {address} now"
    assert not any(start in said.lower() for start in ("://", "www.", "@b"))
