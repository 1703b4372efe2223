from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.screen import ProfileConfig, ScreenConfig

ENCODERS = ("named", "pvt_v2_b0", "pvt_v2_b0.untrained")


def screen(**fields: object) -> ScreenConfig:
    return ScreenConfig.model_validate({"screen": "s", "plates": [{"uri": "x"}], "encoders": ENCODERS, **fields})


@settings(deadline=None)
@given(names=st.lists(st.sampled_from(ENCODERS), min_size=1, unique=True), order=st.randoms())
def test_any_encoders_of_the_run_can_be_combined_and_their_order_does_not_matter(names: list[str], order) -> None:
    turned = list(names)
    order.shuffle(turned)

    one, other = screen(profile={"combine": names}), screen(profile={"combine": turned})

    assert one.profile.combine == tuple(sorted(names))
    assert one == other
    assert ScreenConfig.model_validate_json(one.model_dump_json()) == one


def test_all_encoders_are_combined_unless_some_are_named() -> None:
    assert screen().profile.combine is None
    assert screen(profile={"combine": None}) == screen(profile={}) == screen()


def test_encoders_that_nobody_chose_can_be_combined_too() -> None:
    defaults = ScreenConfig(screen="s", plates=[{"uri": "x"}])
    first = defaults.encoders[0].name

    config = ScreenConfig.model_validate({**defaults.model_dump(), "profile": {"combine": [first]}})

    assert config.profile.combine == (first,)


def test_a_configuration_in_which_all_are_combined_is_written_as_before_there_was_a_choice() -> None:
    # What is written is what a run's configuration is known by.
    before = {"normalize": "mad_robustize", "correct": "auto", "consensus": "median"}

    assert screen().model_dump(mode="json")["profile"] == before
    assert ProfileConfig(combine=("a",)).model_dump(mode="json") == {**before, "combine": ["a"]}
    assert ProfileConfig(combine=("a",)).model_dump(exclude_defaults=True) == {"combine": ("a",)}


@pytest.mark.parametrize(
    ("combine", "place", "said"),
    [
        (["pvt"], ("profile",), "are named, pvt_v2_b0, pvt_v2_b0.untrained, but pvt is none of them"),
        (["named", "b", "a"], ("profile",), "but a, b is none of them"),
        (["named", "named"], ("profile", "combine"), "every encoder is named once, but named is named again"),
        ([], ("profile", "combine"), "at least 1 item"),
        ("named", ("profile", "combine"), "valid tuple"),
    ],
)
def test_what_cannot_be_combined_is_refused_by_its_name(combine: object, place: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        screen(profile={"combine": combine})

    (mistake,) = caught.value.errors()
    assert mistake["loc"] == place
    assert said in mistake["msg"]


def test_a_mistake_in_the_encoders_is_said_once() -> None:
    with pytest.raises(ValidationError) as caught:
        screen(encoders=["named", "named"], profile={"combine": ["named"]})

    assert [mistake["loc"] for mistake in caught.value.errors()] == [("encoders",)]


def test_the_schema_for_editors_offers_a_list_of_names_or_nothing() -> None:
    field = ProfileConfig.model_json_schema()["properties"]["combine"]

    assert field["anyOf"] == [{"items": {"type": "string"}, "minItems": 1, "type": "array"}, {"type": "null"}]
    assert field["default"] is None
