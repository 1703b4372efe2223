"""YAML that somebody gives us, held to bounds before anything is made of it.

A manifest is looked at node by node, and again by what validates it. A text of a few lines can stand for billions of
nodes through its aliases, and one of brackets alone can be so deep that the parser in C overruns its stack and takes
the process with it. So it is read as a stream of events first, which needs neither depth nor what aliases stand for.
"""

from __future__ import annotations

from typing import Any

import yaml

MOST_CHARACTERS = 64 * 1024 * 1024
MOST_NODES = 2_000_000
"""With every alias counted as what it stands for; a large overlay has some thousands."""
DEEPEST = 100
"""Kubernetes' own definitions go to some forty."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_bounds(text: str) -> None:
    """Return if a text is small and flat enough that anything may be made of it.

    Args:
        text: YAML of any number of documents.

    Raises:
        yaml.YAMLError: If it is not, or is no YAML.
    """
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"a text of {len(text):,} characters, of which {MOST_CHARACTERS:,} are read at most")
    sizes: dict[str, int] = {}
    begun: list[tuple[str | None, int]] = []  # the anchor of each node that is open, and the nodes seen before it
    seen = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.DocumentStartEvent):
            sizes = {}
        elif isinstance(event, yaml.AliasEvent):
            seen += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            seen += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            begun.append((event.anchor, seen))
            seen += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = begun.pop()
            if anchor:
                sizes[anchor] = seen - before
        if len(begun) > DEEPEST:
            raise yaml.YAMLError(f"nodes within nodes, more than {DEEPEST} deep")
        if seen > MOST_NODES:
            raise yaml.YAMLError(f"more than {MOST_NODES:,} nodes, with what its aliases stand for")
