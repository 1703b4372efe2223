"""What a visitor reads when a page cannot be drawn: what happened, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from dashboards.connection import KEY, KeyWantedError, forget_answers
from dashboards.words import plain
from hcs.errors import ApiError, ApiKeyError, ApiNotAllowedError, ApiNotFoundError, HcsError, NoAnswerError
from hcs.settings import read_settings


def drawn(show: Callable[[], None], *, part: str = "page") -> None:
    """Draw a page, or a part of one; where the API cannot answer, say why and offer to try again.

    Args:
        show: Draws it.
        part: Its name: two parts of a page may be in trouble at once.
    """
    try:
        show()
    except KeyWantedError:
        _ask_for_key(
            "The dashboard needs a key of the API. `hcs keys create --name you --scope read` makes one.", part=part
        )
    except ApiKeyError:
        _ask_for_key("The key is not valid, or not any more: it was revoked, or it expired.", part=part)
    except ApiNotAllowedError as error:
        _say(
            "Not allowed with this key",
            error.detail,
            "A key with the scope `submit` or `admin` may do this.",
            part=part,
        )
    except ApiNotFoundError as error:
        _say(
            "Not there",
            error.detail,
            "It may have been deleted meanwhile. Choose another run above, or try again.",
            part=part,
        )
    except ApiError as error:
        _say(error.title, str(error), "Nothing was lost. Try again, or look into the log of the API.", part=part)
    except NoAnswerError:
        url = read_settings().api_url
        advice = f"It was looked for at {url}. `hcs dashboard` starts one of its own; `hcs serve` starts one alone."
        _say(
            "The API does not answer",
            "The pages ask it for everything that they show, and nothing is lost.",
            advice,
            part=part,
        )
    except HcsError as error:
        _say("This cannot be shown", str(error), "", part=part)


@contextmanager
def apart(what: str) -> Iterator[None]:
    """Draw a part of a page by itself: where the API cannot answer for it, that is said there, and the rest stays.

    Args:
        what: Is drawn, as the start of a sentence: `The pictures of this well`.
    """
    try:
        yield
    except (KeyWantedError, ApiKeyError, NoAnswerError):
        raise  # concerns the whole page
    except ApiNotFoundError as error:
        _say_apart(what, f"{error.detail} It may have been deleted meanwhile.")
    except ApiError as error:
        _say_apart(what, error.detail)
    except HcsError as error:
        _say_apart(what, str(error))


def _say_apart(what: str, detail: str) -> None:
    st.warning(f"{what} cannot be shown: {plain(detail)}", icon=":material/error:")


def _say(title: str, detail: str, advice: str, *, part: str) -> None:
    st.error(f"**{plain(title)}**\n\n{plain(detail)}", icon=":material/error:")
    if advice:
        st.markdown(advice)
    if st.button("Try again", key=f"again-{part}", icon=":material/refresh:"):
        forget_answers()
        st.rerun()


def _ask_for_key(why: str, *, part: str) -> None:
    st.warning(why, icon=":material/key:")
    with st.form(f"key-{part}", border=False):
        typed = st.text_input(
            "Key of the API", key=f"typed-{part}", type="password", max_chars=1000, placeholder="hcs_..."
        )
        if st.form_submit_button("Enter") and typed.strip():
            st.session_state[KEY] = typed.strip()
            forget_answers()
            st.rerun()
