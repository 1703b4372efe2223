"""The page of pictures: complete, closed, and deaf to hostile names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

from hcs.profiling.audit.audit import audit_profiles
from hcs.profiling.audit.page import audit_page
from hcs.profiling.corrections.registry import CORRECTIONS

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_a_page_shows_every_method_and_runs_nothing(prepared: Callable) -> None:
    values, wells = prepared("strong")
    corrections = {"combat": CORRECTIONS["combat"], HOSTILE: CORRECTIONS["harmony"]}
    made = audit_profiles(values, wells, corrections=corrections)
    refused = replace(made.methods[-1], method="tvn", refused=HOSTILE, mixing=None, reported=None, plane=None)

    page = audit_page(replace(made, methods=(*made.methods, refused)), title=HOSTILE, batches=[HOSTILE] * 4)

    tags = _Tags()
    tags.feed(page)
    assert {"script", "img", "link", "iframe"}.isdisjoint(tags.opened)
    assert not any(name.startswith("on") for name in tags.attributes)
    assert "http" not in page.replace("&quot;", "")
    assert tags.opened.count("svg") == 4  # one picture of all methods, and the plane of each that was applied
    assert page.count("prefers-color-scheme:dark") == 1
    assert len(page) < 500_000


def test_the_same_audit_gives_the_same_page(prepared: Callable) -> None:
    pages = [
        audit_page(audit_profiles(*prepared("weak"), corrections={}), title="t", batches=list("abcd")) for _ in range(2)
    ]

    assert pages[0] == pages[1]
