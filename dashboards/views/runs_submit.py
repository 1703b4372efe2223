"""Submits a screen: what the text says, then what the check says of what was delivered, and only then the run."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

import streamlit as st

from dashboards.connection import ask_all, connected, forget_answers
from dashboards.views.runs_parts import watch
from dashboards.views.runs_report import show_report
from dashboards.views.runs_screen import Mistake, ReadScreen, mistakes_of, read_screen
from dashboards.words import counted, plain, shortened
from hcs.client import Client
from hcs.errors import ApiConflictError, ApiError, ApiInvalidError, ApiNotAllowedError
from schemas.acceptance import Verdict
from schemas.api import Run
from schemas.api_plates import ScreenCheck
from schemas.screen import ScreenConfig

TEXT, FOLDER, FILE, AGAIN = "screen_text", "screen_folder", "screen_file", "run_again"
LARGEST_FILE_MIB = 1
LONGEST_TEXT = LARGEST_FILE_MIB << 20

_CHECKED = "checked_screen"
_NAME = "screen_name"
_EXAMPLE = """screen: my-screen
plates:
  - {uri: /data/plate-1, batch: week-1}
platemaps: /data/platemap.csv"""
_REFUSALS = (ApiInvalidError, ApiNotAllowedError, ApiConflictError)


@dataclass(frozen=True)
class Checked:
    """What the API said of a screen, and the word by which it is submitted once, however often the button is pressed.

    `known` are the runs that there were before.
    """

    digest: str
    answer: ScreenCheck | ApiError
    word: str
    known: frozenset[str]


def show_submission() -> None:
    """Draw the text of a SCREEN.yaml, its report, and the button that submits it."""
    st.file_uploader(
        "SCREEN.yaml",
        type=["yaml", "yml"],
        key=FILE,
        max_upload_size=LARGEST_FILE_MIB,
        on_change=_take_file,
        help="Its text comes into the field below, where it can be changed.",
    )
    text = st.text_area(
        "or paste its text", key=TEXT, height=240, placeholder=_EXAMPLE, persist_state="session", max_chars=LONGEST_TEXT
    )
    if not (text or "").strip():
        st.caption(
            "`hcs init DELIVERY` writes a SCREEN.yaml to begin with. Paths are read by the server: absolute ones, or "
            "`s3://`. Nothing runs before you have seen the report of what was delivered."
        )
        return
    read = read_screen(text or "", name=st.session_state.get(_NAME, "the text"), folder=_folder_given())
    if read.is_relative:
        st.text_input(
            "Folder that relative paths start at",
            key=FOLDER,
            placeholder="/data/my-screen",
            persist_state="session",
            help="A text or an uploaded file has no folder of its own: say in which it lies where the API reads it.",
        )
    if read.config is None and read.is_relative:
        st.info(plain(read.mistakes[0].detail), icon=":material/folder:")
        return
    if read.config is None:
        _show_mistakes("The screen cannot be read", read.mistakes)
        return
    _show_screen(read.config)
    _check_and_submit(read, read.config)


def _take_file() -> None:
    """Bring the text of an uploaded file into the field; runs before the page does."""
    file = st.session_state.get(FILE)
    if file is not None:
        st.session_state[TEXT] = file.getvalue().decode("utf-8", "replace")
        st.session_state[_NAME] = file.name


def _folder_given() -> str:
    return str(st.session_state.get(FOLDER) or "")


def _show_screen(config: ScreenConfig) -> None:
    encoders = ", ".join(choice.name for choice in config.encoders)
    st.markdown(
        f"**{plain(shortened(config.screen))}**: {counted(len(config.plates), 'plate')}, "
        f"{'encoder' if len(config.encoders) == 1 else 'encoders'} {plain(shortened(encoders, longest=200))}, hits at "
        f"q {config.hits.q_max:g}."
    )


def _check_and_submit(read: ReadScreen, config: ScreenConfig) -> None:
    digest = hashlib.sha256(config.model_dump_json().encode()).hexdigest()
    if st.button("Check what was delivered", key="check", icon=":material/fact_check:"):
        st.session_state[_CHECKED] = _checked(config, digest)
    checked: Checked | None = st.session_state.get(_CHECKED)
    if checked is None:
        return
    if checked.digest != digest:
        st.info("The text was changed after its check: check it again.", icon=":material/history:")
        return
    if isinstance(checked.answer, ApiError):
        _show_mistakes("The API refuses this screen", mistakes_of(checked.answer))
        return
    show_report(checked.answer)
    if checked.answer.verdict is Verdict.REJECT and all(
        plate.verdict is Verdict.REJECT for plate in checked.answer.plates
    ):
        st.error("No plate can be worked with: mend what the report says, and check again.", icon=":material/block:")
        return
    _submit(config, checked)


def _checked(config: ScreenConfig, digest: str) -> Checked:
    known = frozenset(run.id for run in ask_all(Client.runs))
    answer: ScreenCheck | ApiError
    try:
        with st.spinner("The head of every image is read: a second for some thousand of them ..."):
            answer = connected().check(config)
    except _REFUSALS as error:
        _raise_if_of_the_key(error)
        answer = error
    return Checked(digest, answer, str(uuid.uuid4()), known)


def _submit(config: ScreenConfig, checked: Checked) -> None:
    left, right = st.columns([1, 6], vertical_alignment="center")
    again = right.checkbox("Run it once more, also where the same screen was run before", key=AGAIN)
    if not left.button("Submit", key="submit", type="primary", icon=":material/play_arrow:"):
        return
    try:
        run: Run = connected().submit(config, new=again, idempotency_key=f"{checked.word}-{int(again)}")
    except _REFUSALS as error:
        _raise_if_of_the_key(error)
        _show_mistakes("The API refuses this screen", mistakes_of(error))
        return
    forget_answers()
    is_old = run.id in checked.known
    watch(
        run.id,
        said=f"The same screen was run before, as {run.id}: this is it, and nothing was begun." if is_old else None,
    )


def _raise_if_of_the_key(error: ApiError) -> None:
    """Let a key that may not submit be told as everywhere; a place outside the roots is a mistake of the screen."""
    if isinstance(error, ApiNotAllowedError) and not error.errors:
        raise error


def _show_mistakes(title: str, mistakes: tuple[Mistake, ...]) -> None:
    told = "\n".join(
        f"- **{plain(mistake.place)}**: {plain(mistake.detail)}" if mistake.place else f"- {plain(mistake.detail)}"
        for mistake in mistakes
    )
    st.error(f"**{title}**\n\n{told}", icon=":material/error:")
