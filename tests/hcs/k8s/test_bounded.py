"""YAML that is too large or too deep is refused before anything is made of it, and no other is."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hcs.errors import UsageError
from hcs.k8s.bounded import DEEPEST, check_bounds
from hcs.k8s.checking.objects import read_objects

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(VALUES, max_size=3))
def test_what_people_write_is_within_bounds(documents: list[object]) -> None:
    check_bounds(yaml.safe_dump_all(documents))


@pytest.mark.parametrize("depth", [DEEPEST, DEEPEST + 1])
def test_depth_has_a_bound(depth: int) -> None:
    text = "[" * depth + "]" * depth
    if depth <= DEEPEST:
        check_bounds(text)
        return
    with pytest.raises(yaml.YAMLError, match="more than 100 deep"):
        check_bounds(text)


def test_a_few_lines_cannot_stand_for_billions_of_nodes() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]" for number in range(1, 12)]
    with pytest.raises(yaml.YAMLError, match="nodes, with what its aliases stand for"):
        check_bounds("\n".join(lines))


def test_an_anchor_means_what_the_document_says_last() -> None:
    check_bounds("- &a x\n- &a [*a, *a]\n- *a\n---\n- &a y\n- *a\n")


@pytest.mark.parametrize("brackets", ["[" * 200_000, "{a: " * 200_000])
def test_brackets_do_not_end_the_process(brackets: str) -> None:
    """The parser in C overruns its stack on these, which no exception tells."""
    program = (
        "import sys\nfrom hcs.errors import UsageError\nfrom hcs.k8s.checking.objects import read_objects\n"
        "try:\n    read_objects(sys.stdin.read(), source='stdin')\nexcept UsageError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=brackets, capture_output=True, text=True, check=False)
    assert (done.returncode, "more than 100 deep" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n? [a]\n: b\n", "is no text"),
        ("apiVersion: v1\nkind: List\nitems: 5\n", "a list of objects"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: [a]}\n", "metadata.labels"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: 5}\n", "metadata.annotations"),
    ],
)
def test_what_is_no_object_is_said_to_be_none(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_objects(text, source="stdin")
