"""Quantities, against the parser of Kubernetes' own client."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

from hcs.k8s.quantities import quantity

SUFFIXES = ("", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


@given(st.decimals(0, 10**6, places=3), st.sampled_from(SUFFIXES))
def test_a_quantity_is_worth_what_the_client_says(number: object, suffix: str) -> None:
    assert quantity(f"{number}{suffix}") == parse_quantity(f"{number}{suffix}")


def test_what_is_no_quantity_is_none() -> None:
    assert quantity("1e3") == 1000
    assert [quantity(value) for value in ("", "Gi", "1 Gi", "4gb", None, True)] == [None] * 6
