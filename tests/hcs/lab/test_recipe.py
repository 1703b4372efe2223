from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hcs.lab.recipe import FIRST_SEED, Recipe, Stage, recipe_for

MakeRecipe = Callable[..., Recipe]

STAGES = st.lists(
    st.builds(Stage, size=st.integers(32, 64), batch=st.integers(2, 9), steps=st.integers(1, 40)),
    min_size=1,
    max_size=4,
).map(tuple)


def seeds_of(recipe: Recipe) -> set[int]:
    return set(recipe.screen_seeds()) | set(recipe.held_out_seeds())


@given(seed=st.integers(0, 999), n_screens=st.integers(1, 9900), n_held_out=st.integers(1, 100))
def test_a_held_out_screen_is_never_learned_from_and_neither_is_a_demos(
    make_recipe: MakeRecipe, seed: int, n_screens: int, n_held_out: int
) -> None:
    recipe = make_recipe(seed=seed, n_screens=n_screens, n_held_out=n_held_out)

    learned, held_out = recipe.screen_seeds(), recipe.held_out_seeds()

    assert (len(learned), len(held_out)) == (n_screens, n_held_out)
    assert not set(learned) & set(held_out)
    assert min(learned.start, held_out.start) >= FIRST_SEED == 1_000_000


def test_the_largest_trainings_of_two_seeds_share_no_screen(make_recipe: MakeRecipe) -> None:
    largest = {"n_screens": 9900, "n_held_out": 100}

    first, second = (seeds_of(make_recipe(seed=seed, **largest)) for seed in (41, 42))

    assert not first & second


@given(stages=STAGES)
def test_every_step_belongs_to_one_stage_and_the_stages_have_their_steps(
    make_recipe: MakeRecipe, stages: tuple[Stage, ...]
) -> None:
    recipe = make_recipe(stages=stages)
    one_by_one = [stage for stage in stages for _ in range(stage.steps)]

    assert recipe.n_steps == len(one_by_one)
    assert [recipe.stage_at(step) for step in range(recipe.n_steps)] == one_by_one
    with pytest.raises(IndexError):
        recipe.stage_at(recipe.n_steps)


@settings(max_examples=50)
@given(
    changes=st.fixed_dictionaries(
        {
            "stages": STAGES,
            "seed": st.integers(0, 999),
            "learning_rate": st.floats(1e-9, 1e3),
            "mean": st.floats(0, 1),
            "averaging": st.floats(0, 1, exclude_max=True),
        }
    )
)
def test_a_recipe_survives_json_to_the_last_bit(make_recipe: MakeRecipe, changes: dict[str, Any]) -> None:
    recipe = make_recipe(**changes)

    text = recipe.model_dump_json()

    assert Recipe.model_validate_json(text) == recipe
    assert Recipe.model_validate_json(text).model_dump_json() == text
    assert Recipe.model_validate(json.loads(text)) == recipe


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stages": (Stage(size=64, batch=2, steps=1), Stage(size=128, batch=2, steps=1))}, "crops of 128 pixels"),
        ({"stages": ()}, "at least 1 item"),
        ({"seed": 1000}, "less than 1000"),
        ({"learning_rate": 0.0}, "greater than 0"),
        ({"std": 0.0}, "greater than 0"),
        ({"n_screens": 9901}, "less than or equal to 9900"),
        ({"precision": "fp16"}, "'fp32' or 'bf16'"),
        ({"task": "classes"}, "'latents'"),
        ({"epochs": 3}, "not permitted"),
    ],
)
def test_what_is_no_recipe_is_refused(make_recipe: MakeRecipe, changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        make_recipe(**changes)


@pytest.mark.parametrize(
    ("architecture", "precision"),
    [("mobilenetv3_small_100", "fp32"), ("resnet18", "fp32"), ("efficientvit_b0", "fp32"), ("pvt_v2_b0", "bf16")],
)
def test_the_packaged_recipe_is_a_recipe_for_any_time(architecture: str, precision: str) -> None:
    shortest, one, ten = (recipe_for(architecture, minutes=minutes) for minutes in (0.001, 1, 10))

    assert [stage.steps for stage in shortest.stages] == [1, 1]
    assert ten.n_steps == pytest.approx(10 * one.n_steps, abs=10)
    assert ten.precision == precision
    assert ten.stages[-1].size == 128, "the last crops are as large as what screens are read with"
