"""Choices that stand in the address by their name."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def _page() -> None:
    import streamlit as st

    from dashboards.components.addresses import asked_for, chosen

    st.text(str(asked_for("run")))
    st.text(
        str(chosen("Run", ["run-2", "run-1"], key="run", always=True, format_func=lambda name: f"{name}: a screen"))
    )
    st.text(str(chosen("Mechanism", ["a", "b"], key="mechanism", optional=True)))
    st.text(str(chosen("Compound", ["C1"], key="perturbation", optional=True, free=True)))


def opened(**state: str) -> AppTest:
    app = AppTest.from_function(_page)
    for name, value in state.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def said(app: AppTest) -> list[str]:
    return [text.value for text in app.text]


def in_address(app: AppTest, name: str) -> str | None:
    value = app.query_params.get(name)
    return value[0] if isinstance(value, list) else value


def test_a_name_of_the_address_is_chosen_though_it_is_offered_by_another_text() -> None:
    app = opened(run="run-1", mechanism="b")

    assert said(app) == ["run-1", "run-1", "b", "None"]
    assert in_address(app, "run") == "run-1"


def test_what_the_address_does_not_have_rightly_is_the_first_or_nothing() -> None:
    app = opened(run="run-9", mechanism="<script>")

    assert said(app)[1:3] == ["run-2", "None"]
    assert in_address(app, "run") == "run-2"
    assert in_address(app, "mechanism") is None


def test_a_choice_goes_into_the_address_and_a_later_link_beats_it() -> None:
    app = opened(run="run-1")

    app.selectbox(key="mechanism").set_value("a").run()
    assert in_address(app, "mechanism") == "a"
    app.query_params["mechanism"] = "b"
    app.run()
    assert said(app)[2] == "b"
    app.selectbox(key="mechanism").set_value(None).run()
    assert said(app)[1:3] == ["run-1", "None"]
    assert in_address(app, "mechanism") is None


def test_a_name_that_is_not_offered_can_be_asked_for_where_any_may_be_typed() -> None:
    assert said(opened(perturbation="another"))[3] == "another"
    assert said(opened(perturbation="C1"))[3] == "C1"
