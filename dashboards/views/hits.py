"""The page of hits: which treatments are active, by which mechanism, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import streamlit as st

from dashboards.components.addresses import asked_for
from dashboards.components.choices import ask_ahead, chosen_profile, chosen_run
from dashboards.components.later import let_be_seen
from dashboards.components.tables import ROWS_SHOWN, frame_of_rows, key_of_rows, show_table
from dashboards.connection import ask, ask_all, ask_first
from dashboards.places import link
from dashboards.troubles import drawn
from dashboards.views.hits_charts import MARKS, chart_in_words, points, precision, volcano
from dashboards.views.hits_choices import KINDS, Question, chosen_question, is_chosen
from dashboards.views.hits_linked import TREATMENT, chosen_in_chart, chosen_in_table, key_of, selected_from
from dashboards.views.hits_words import answer, described, in_short, loosened, why_none
from dashboards.words import plain, shortened
from hcs.client import Client
from schemas.api import Hit, Perturbation

COLUMNS = {
    "name": "Compound",
    "perturbation": "Key",
    "concentration_micromolar": st.column_config.NumberColumn("Dose (\N{MICRO SIGN}M)", format="%.4g"),
    "dose_step": st.column_config.NumberColumn("Dose step", format="%g"),
    "mechanism": "Mechanism",
    "mechanism_source": "Mechanism is",
    "q_value": st.column_config.NumberColumn("q", format="%.2g"),
    "effect": st.column_config.NumberColumn("Effect (\N{MULTIPLICATION SIGN} control)", format="%.2f"),
    "doubts": "May be explained by",
    "mean_average_precision": st.column_config.NumberColumn("mAP", format="%.3f"),
    "p_value": st.column_config.NumberColumn("p", format="%.2g"),
    "p_position": st.column_config.NumberColumn("p without places", format="%.2g"),
    "cell_count_ratio": st.column_config.NumberColumn("Cells (of control)", format="%.2f"),
    "explained_by_count": "Explained by count",
    "channel_verdict": "Shows in",
    "batch_verdict": "Holds in",
    "n_batches_holding": "Batches it holds in",
    "quality_verdict": "Flagged more",
    "n_replicates": "Wells",
    "n_plates": "Plates",
    "n_batches": "Batches",
    "control_type": "Kind",
    "call": "Call",
}
VERDICTS = {
    "explained_by_count": {"explained": "maybe", "not_explained": "no"},
    "channel_verdict": {"several_channels": "several channels"},
    "batch_verdict": {
        "every_batch": "each batch", "some_batches": "some batches", "no_batch": "no batch",
        "one_batch": "its only batch",
    },
    "quality_verdict": {"flagged_more": "yes", "as_controls": "no"},
}  # fmt: skip
UNTOLD, UNTESTED = "cannot tell", "not tested"
LEAST_LOOSENED = 500
PLATES_LINKED = 6


def show() -> None:
    """Draw the page."""
    st.title("Hits")
    ask_ahead(
        "hits",
        lambda run, profile: ask(Client.mechanisms, run=run, profile=profile),
        *([] if is_chosen() else [lambda run, profile: _hits_of(Question(), {"run": run, "profile": profile})]),
    )
    left, right = st.columns(2)
    with left:
        run = chosen_run()
    if run is None:
        return
    with right:
        profile = chosen_profile(run)
    here = {"run": run.id, "profile": profile}
    question = chosen_question(ask(Client.mechanisms, **here))
    kind = KINDS[question.kind][1]
    shown = question.kept(_hits_of(question, here))
    st.markdown(answer(shown, question))
    every = [] if len(shown) >= MARKS else ask_first(Client.hits, MARKS, **here, q_max=1.0, control_type=kind)
    if not shown:
        _show_why_none(every, question, here)
    chosen = asked_for(TREATMENT)
    if shown or every:
        _show_charts(shown, every, question, here)
    if shown:
        let_be_seen("hits")
        _show_table(shown, chosen, run.id)


def _hits_of(question: Question, here: dict[str, str]) -> list[Hit]:
    return ask_all(Client.hits, **here, **question.to_the_api())


def _show_charts(shown: Sequence[Hit], every: Sequence[Hit], question: Question, here: dict[str, str]) -> None:
    charts = st.container()
    chosen = selected_from(shown, every)
    if chosen is not None:
        _show_card(chosen, here)
    frame = points(shown, every)
    left, right = charts.columns(2, gap="medium")
    left.header("How strong, how sure")
    right.header("How alike its wells are")
    if frame["mAP"].count() == 0 < frame["p"].count():
        right.caption("Nothing here has a second well to be like: each was called by its distance from controls.")
    for column, source, spec, what in (
        (left, "volcano", volcano(frame, q_max=question.q_max, selected=chosen), "Effect against q"),
        (right, "precision", precision(frame, selected=chosen), "Mean average precision against p"),
    ):
        column.vega_lite_chart(
            frame,
            spec,
            key=key_of(source),
            on_select=chosen_in_chart(source),
            selection_mode="point",
            alt=chart_in_words(frame, what),
        )
    if frame.height == MARKS:
        charts.caption(f"The charts show the surest {MARKS:,} treatments; the table and its file have every hit.")


def _show_table(shown: Sequence[Hit], chosen: str | None, run: str) -> None:
    st.header("Every one of them")
    key = key_of_rows(key_of("table"), (hit.treatment for hit in shown))
    rows = [place for place, hit in enumerate(shown[:ROWS_SHOWN]) if hit.treatment == chosen]
    show_table(
        table_of(shown),
        key=key,
        columns=COLUMNS,
        file_name=f"hits-{run}.csv",
        selectable=True,
        on_select=chosen_in_table(shown, key),
        selected_row=rows[0] if rows else None,
    )


def table_of(shown: Sequence[Hit]) -> pl.DataFrame:
    """Return the table, without columns that hold nothing, or say of every row what the choice says."""
    frame = frame_of_rows(shown, [*COLUMNS, "channel"])
    alone = pl.when(pl.col("channel_verdict") == "one_channel").then(pl.format("{} alone", pl.col("channel")))
    told = frame.with_columns(pl.coalesce(alone, "channel_verdict").alias("channel_verdict"))
    frame = told.select(*COLUMNS).with_columns(
        pl.col(name).cast(pl.String).replace({**words, "cannot_tell": UNTOLD}).fill_null(UNTESTED)
        for name, words in VERDICTS.items()
    )
    optional = ("name", "concentration_micromolar", "dose_step", "p_position", "n_batches_holding")
    empty = [name for name in optional if frame[name].null_count() == frame.height]
    alike = [name for name in ("control_type", "call") if frame[name].n_unique() == 1]
    return frame.drop(empty + alike)


def _show_card(hit: Hit, here: dict[str, str]) -> None:
    with st.container(border=True):
        st.markdown(f"**{plain(described(hit))}** ({plain(shortened(hit.perturbation))})")
        st.markdown(in_short(hit))
        link(
            "compound",
            "Why, and what its cells look like",
            icon=":material/experiment:",
            perturbation=hit.perturbation,
            treatment=hit.treatment,
            **here,
        )
        whole: Perturbation = ask(Client.perturbation, hit.perturbation, run=here["run"])
        wells = [well for well in whole.wells if well.treatment == hit.treatment]
        firsts = list({well.plate: well for well in reversed(wells)}.values())[::-1][:PLATES_LINKED]
        for column, well in zip(st.columns(PLATES_LINKED), firsts, strict=False):
            with column:
                link(
                    "plates",
                    plain(f"{shortened(well.plate, longest=16)} {well.well}"),
                    icon=":material/grid_on:",
                    plate=well.plate,
                    well=well.well,
                    run=here["run"],
                )


def _show_why_none(every: Sequence[Hit], question: Question, here: dict[str, str]) -> None:
    said = why_none(every, question)
    st.info(" ".join(said), icon=":material/search_off:")
    found = [
        (words, len(other.kept(ask_first(Client.hits, LEAST_LOOSENED, **here, **other.to_the_api()))))
        for words, other in question.looser()
    ]
    lines = [f"- {loosened(words, n, most=LEAST_LOOSENED)}" for words, n in found if n]
    if lines:
        st.markdown("\n".join(["With one condition less there are", *lines]))
    elif found:
        st.markdown("No single condition is in the way: nothing passes with any one of them left out either.")


if __name__ == "__main__":
    drawn(show)
