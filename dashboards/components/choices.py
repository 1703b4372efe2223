"""Choices that stand in the address of a page: which run, which profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from dashboards.components.addresses import chosen
from dashboards.connection import ask, ask_all, ask_together
from dashboards.places import link
from dashboards.words import counted, shortened
from hcs.client import Client
from schemas.api import RunSummary
from schemas.work import RunState

RUN, PROFILE = "run", "profile"
COMBINED = "combined"
RUNS_SHOWN = 200
"""Newest ones; an older one is reached by its address."""

_LAST_RUN, _ASKED_AHEAD = "last_run", "asked_ahead"


def chosen_run(*, finished: bool = True) -> RunSummary | None:
    """Draw the choice of a run and return it; the run looked at last goes along to the next page.

    Without any, what to do is drawn instead, and None comes back.

    Args:
        finished: Whether only runs with results are offered.
    """
    every: list[RunSummary] = ask_all(Client.runs)
    offered = [run for run in every if not finished or is_finished(run)]
    if not offered:
        _nothing_yet(every)
        return None
    by_name = {run.id: run for run in offered}
    if RUN not in st.query_params and st.session_state.get(_LAST_RUN) in by_name:
        st.query_params[RUN] = st.session_state[_LAST_RUN]
    shown = list(by_name)[:RUNS_SHOWN]
    asked = st.query_params.get(RUN)
    if asked in by_name and asked not in shown:
        shown.append(asked)
    if asked is not None and asked not in by_name:
        st.warning(f"`{asked[:40]}` is not there, or has no results: the newest is shown.", icon=":material/history:")
    told = _told if finished else _named  # how far a run is changes while one looks, and with it what is chosen
    name = chosen("Run", shown, key=RUN, always=True, format_func=lambda run: told(by_name[run])) or shown[0]
    st.session_state[_LAST_RUN] = name
    return by_name[name]


def ask_ahead(page: str, *questions: Callable[[str, str], object]) -> None:
    """Have asked at once what a page will ask for one after the other, as far as its address tells; once a state.

    Args:
        page: Its name.
        questions: Calls of `ask`, `ask_all` or `ask_first`, of a run and a profile. Where no run is known they are not
            asked, and one that has no answer is left to whoever asks in its turn.
    """
    run = st.query_params.get(RUN) or st.session_state.get(_LAST_RUN)
    profile = str(st.query_params.get(PROFILE) or st.session_state.get(PROFILE) or COMBINED)
    state = (page, run, profile)
    if run is None or st.session_state.get(_ASKED_AHEAD) == state:
        return
    st.session_state[_ASKED_AHEAD] = state
    of_run = [partial(question, run, profile) for question in questions]
    ask_together(lambda: ask_all(Client.runs), lambda: ask(Client.profiles_of, run), *of_run)


def chosen_profile(run: RunSummary) -> str:
    """Draw the choice of the profile that calls were made on."""
    names = [profile.name for profile in ask(Client.profiles_of, run.id)] or [COMBINED]
    first = [name for name in names if name == COMBINED]
    ordered = [*first, *(name for name in names if name != COMBINED)]
    return st.selectbox("Profile", ordered, key=PROFILE, bind="query-params", help=PROFILE_HELP)


PROFILE_HELP = "What treatments are compared by: every encoder together, or one alone."


def is_finished(run: RunSummary) -> bool:
    """Return whether a run has results."""
    return run.state in {RunState.COMPLETE, RunState.COMPLETE_WITH_HOLES}


def _told(run: RunSummary) -> str:
    state = "" if run.state is RunState.COMPLETE else f", {run.state.value.replace('_', ' ')}"
    return f"{run.id}: {shortened(run.screen)} ({counted(run.plates, 'plate')}{state})"


def _named(run: RunSummary) -> str:
    return f"{run.id}: {shortened(run.screen)}"


def _nothing_yet(every: Sequence[RunSummary]) -> None:
    if every:
        st.info("No run has results yet.", icon=":material/hourglass:")
        link("runs", "Watch the runs", icon=":material/play_circle:")
        return
    st.info("Nothing was run yet. Submit a SCREEN.yaml, and its report comes before anything runs.")
    link("runs", "Submit a screen", icon=":material/upload:", part="Submit a screen")
