from __future__ import annotations

import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.io.platemaps.controls import UNDECIDED, control_type_of, decide_control_types
from schemas.screen import ControlNames


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ((), None),
        (("", None), None),
        (("NA", "trt"), "treatment"),
        (("poscon_diverse", "control"), "poscon"),
        (("negcon", "control"), "negcon"),
        ((None, "control"), UNDECIDED),
        (("Negative Control",), "negcon"),
        (("EMPTY",), "empty"),
        (("control", "negcon"), "negcon"),
    ],
)
def test_the_first_cell_that_decides_is_taken(cells: tuple[str | None, ...], expected: str | None) -> None:
    assert control_type_of(*cells) == expected


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(InputRejectedError, match="got 'maybe'"):
        control_type_of("maybe")


@pytest.mark.parametrize(
    ("well", "expected"),
    [
        # perturbation, name, solvent, said by the platemap, by the annotation -> type and perturbation
        (("x", None, "DMSO", None, None), ("treatment", "x")),
        (("x", None, None, "poscon", "treatment"), ("poscon", "x")),
        (("x", None, None, None, "poscon"), ("poscon", "x")),
        ((" dmso ", None, None, None, None), ("negcon", " dmso ")),
        (("JCP2022_033924", "DMSO", None, None, "treatment"), ("negcon", "JCP2022_033924")),
        (("UBC", None, None, None, "treatment"), ("poscon", "UBC")),
        (("UBC", None, None, "treatment", None), ("treatment", "UBC")),
        (("UBC2", None, None, None, None), ("treatment", "UBC2")),
        (("DMSO", None, None, UNDECIDED, None), ("negcon", "DMSO")),
        (("x", None, None, UNDECIDED, None), (UNDECIDED, "x")),
        (("x", None, None, UNDECIDED, "poscon"), ("poscon", "x")),
        ((None, None, "DMSO", None, None), ("negcon", "DMSO")),
        ((None, None, "dmso", "negcon", None), ("negcon", "dmso")),
        ((None, None, None, "negcon", None), ("negcon", "DMSO")),
        ((None, None, "water", None, None), ("empty", None)),
        ((None, None, None, None, None), ("empty", None)),
        ((None, None, "DMSO", "empty", None), ("empty", None)),
    ],
)
def test_a_well_is_what_the_nearest_word_says(well: tuple[str | None, ...], expected: tuple[str, str | None]) -> None:
    names = ["perturbation", "name", "solvent", "said", "annotated"]
    frame = pl.DataFrame([well], schema=dict.fromkeys(names, pl.String), orient="row")

    decided = decide_control_types(frame, controls=ControlNames(negcon=("DMSO",), poscon=("ubc ",)))

    assert decided.select("control_type", "perturbation").row(0) == expected
