"""Whom the pages ask, with which key, and what was answered lately."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar, cast

import streamlit as st
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from hcs.client import Client
from hcs.client.access import is_loopback, key_at_hand, read_address
from hcs.errors import HcsError, NoAnswerError
from hcs.settings import read_settings

T = TypeVar("T")

KEY = "api_key"
"""Where the key of a visitor stands in the state of the session, and nowhere else."""

PATIENCE_SECONDS = 6.0
"""How long a page asks again and again for an API that is not there, before it says so."""

SECONDS_TO_ANSWER = {"sheet": 120.0, "image": 30.0}
SECONDS_AT_MOST = 10.0
"""How long a page waits for one that is there and says nothing; what is made of images takes longer."""

SECONDS_TO_CHANGE = 30.0
"""How long for an answer to what changes something."""

CLIENTS, ANSWERS = 64, 256
AT_ONCE = 6
"""Questions of one page that are asked at the same time."""

SECONDS_KEPT = 20.0
"""How old an answer may be: a visitor who changes one filter asks nothing else again."""


class KeyWantedError(Exception):
    """Nobody has said with which key this visitor asks."""


def connected() -> Client:
    """Return the client of this visitor: with the key that was typed in, else with the one at hand.

    Raises:
        KeyWantedError: If there is none.
    """
    return _client(read_settings().api_url, _key(), SECONDS_TO_CHANGE)


def ask(question: Callable[..., T], *words: Any, **options: Any) -> T:
    """Return what a method of the client answers, or has answered to this key a moment ago.

    Args:
        question: A method of the class, as `Client.wells`.
        *words: Its arguments.
        **options: And its options.
    """
    return cast("T", _asked(question.__name__, words, options))


def ask_all(question: Callable[..., Iterator[T]], *words: Any, **options: Any) -> list[T]:
    """Return everything that a method of the client yields, as `ask`."""
    return cast("list[T]", _asked(question.__name__, words, options))


def ask_first(question: Callable[..., Iterator[T]], most: int, **options: Any) -> list[T]:
    """Return the first things that a method of the client yields, as `ask`; the pages behind them are not fetched."""
    return cast("list[T]", _asked(question.__name__, (), options, most))


def ask_together(*questions: Callable[[], object]) -> None:
    """Have several things asked at once, each of which is then there when `ask` asks for it in its turn.

    What cannot be answered is no error here, since it is one there; but where nobody answers, waiting once is enough.

    Args:
        questions: Calls of `ask`, `ask_all` or `ask_first` that do not need one another's answers.

    Raises:
        NoAnswerError: If the API does not answer.
    """
    context = get_script_run_ctx()

    def put(question: Callable[[], object]) -> None:
        try:
            question()
        except NoAnswerError:
            raise
        except (HcsError, KeyWantedError):
            return

    with ThreadPoolExecutor(AT_ONCE, initializer=lambda: add_script_run_ctx(None, context)) as pool:
        list(pool.map(put, questions))


def forget_answers() -> None:
    """Have everything asked anew, after something was changed."""
    _answer.clear()


def serves_this_machine_alone() -> bool:
    """Return whether the dashboard was opened on an address that only this machine reaches."""
    return is_loopback(str(st.get_option("server.address") or "0.0.0.0"))  # noqa: S104 - what it takes for none


def _key() -> str:
    """Return the key to show. That of the environment or of this machine is lent to nobody from elsewhere."""
    typed = st.session_state.get(KEY)
    if not typed and serves_this_machine_alone():
        settings = read_settings()
        typed = key_at_hand(settings, address=read_address(settings.api_url))
    if not typed:
        raise KeyWantedError
    return str(typed)


@st.cache_resource(max_entries=CLIENTS, show_spinner=False, on_release=Client.close)
def _client(url: str, key: str, timeout: float) -> Client:
    return Client(url, key=key, patience=PATIENCE_SECONDS, timeout=timeout)


def _asked(name: str, words: tuple[Any, ...], options: dict[str, Any], most: int | None = None) -> Any:
    """Return an answer of the client. What is kept is kept for one API and one key, of which the digest is enough."""
    digest = hashlib.sha256(_key().encode()).hexdigest()
    return _answer((read_settings().api_url, digest), name, words, options, most)


@st.cache_resource(ttl=SECONDS_KEPT, max_entries=ANSWERS, show_spinner=False)
def _answer(of: tuple[str, str], name: str, words: tuple[Any, ...], options: dict[str, Any], most: int | None) -> Any:
    del of  # it tells whose answer this is
    client = _client(read_settings().api_url, _key(), SECONDS_TO_ANSWER.get(name, SECONDS_AT_MOST))
    answer = getattr(client, name)(*words, **options)
    return list(islice(answer, most)) if isinstance(answer, Iterator) else answer
