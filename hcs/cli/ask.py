"""`hcs hits`, `hcs show`, `hcs neighbours`: what a screening group wants to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from hcs.cli.options import CatalogOption, FormatOption, OutputOption, PartsOption, RunOption, open_existing
from hcs.cli.output import Format, counted, print_object, print_table, put, say
from hcs.errors import UsageError

if TYPE_CHECKING:
    from hcs.catalog import Catalog, PerturbationView
    from hcs.pipeline.plates import PlateView

SHORT_COLUMNS = (
    "perturbation", "concentration_micromolar", "dose_step", "control_type", "name", "mechanism", "mechanism_source",
    "call", "q_value", "effect", "cell_count_ratio", "n_batches_holding", "doubts",
)  # fmt: skip
"""What the table on a terminal shows first; `doubts` are what a scientist looks at before ordering a compound."""
HIT_COLUMNS = (
    "perturbation", "concentration_micromolar", "dose_step", "control_type", "name", "mechanism", "mechanism_source",
    "call", "n_replicates", "n_controls", "mean_average_precision", "p_value", "smallest_possible_p", "p_position",
    "position_verdict", "q_value", "effect", "cell_count_ratio", "explained_by_count", "channel_verdict", "channel",
    "batch_verdict", "n_batches", "n_batches_holding", "quality_verdict", "reason",
)  # fmt: skip
"""What it shows with --all; json, csv and files hold every column."""

BETWEEN_SENTENCES = " | "
"""Where a file holds no lists."""

SHOWN_NEIGHBOURS = 5


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(hits)
    app.command()(show)
    app.command()(neighbours)


def hits(
    run: RunOption = "latest",
    mechanism: Annotated[str | None, typer.Option(help="Only this mechanism, annotated or predicted.")] = None,
    q_max: Annotated[float, typer.Option(min=0, max=1, help="Largest q; 1 keeps rows without a q too.")] = 0.05,
    not_toxic: Annotated[
        bool, typer.Option("--not-toxic", help="Only where cell_count_ratio is at least 0.5.")
    ] = False,
    not_by_count: Annotated[
        bool, typer.Option("--not-by-count", help="Without those that the number of cells explains.")
    ] = False,
    not_one_channel: Annotated[
        bool, typer.Option("--not-one-channel", help="Without those that show in one channel alone.")
    ] = False,
    not_flagged: Annotated[
        bool, typer.Option("--not-flagged", help="Without those whose wells are flagged more than controls.")
    ] = False,
    min_batches: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Holds in at least so many batches by itself. Batches with too few wells to tell do not count: how "
            "many hits that leaves out is said.",
        ),
    ] = None,
    profile: Annotated[
        str, typer.Option(help="The profile that calls are made on, or an encoder's name.")
    ] = "combined",
    everything: Annotated[bool, typer.Option("--all", help="Show all numbers in the table.")] = False,
    wells: Annotated[bool, typer.Option("--wells", help="List the wells of the hits, for cherry-picking.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say in sentences what else could explain each hit.")
    ] = False,
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """List hits, one row a treatment; positive controls are a family of their own.

    Example: hcs hits --mechanism "tubulin inhibitor" --not-toxic
    """
    from hcs.catalog import HitLimits, find_hits, get_run, wells_of

    if wells and explain:
        raise UsageError("--wells lists wells and --explain says what could explain hits: give one of the two.")
    limits = HitLimits(
        mechanism=mechanism,
        q_max=q_max,
        not_toxic=not_toxic,
        not_by_count=not_by_count,
        not_one_channel=not_one_channel,
        not_flagged=not_flagged,
        min_batches=min_batches,
    )
    with open_existing(catalog, parts) as store:
        title = f"{get_run(store, run).name}, profile {profile}, q <= {q_max:g}"
        found = find_hits(store, limits, run=run, profile=profile)
        if min_batches is not None:
            _say_untold(find_hits(store, replace(limits, min_batches=None), run=run, profile=profile), min_batches)
        if found.is_empty():
            _say_why_empty(store, run, mechanism, profile)
        found = found.sort("q_value", pl.col("effect").neg(), nulls_last=True, maintain_order=True)
        if wells:
            numbers = found.select("treatment", "call", "q_value", "effect")
            found = wells_of(store, run=run).join(numbers, on="treatment", how="inner").sort("plate", "well")
    if wells or form is not Format.TABLE or output is not None:
        print_table(_with_sentences(found, form, output) if explain else found, form=form, output=output, title=title)
        return
    shown = _with_doubts(found)
    print_table(_readable(shown, HIT_COLUMNS if everything else SHORT_COLUMNS), form=form, title=title)
    for line in _explained(found) if explain else ():
        put(line)


def _with_doubts(calls: pl.DataFrame) -> pl.DataFrame:
    """Return the calls with what speaks against them in a column of text; null where nothing does."""
    from hcs.hits.explain import doubts_of_call

    said = ["; ".join(doubts_of_call(call)) or None for call in calls.iter_rows(named=True)]
    holding = pl.when(pl.col("n_batches_testable") > 0).then("n_batches_holding")  # else it was not asked of any
    return calls.with_columns(doubts=pl.Series(said, dtype=pl.String), n_batches_holding=holding)


def _with_sentences(calls: pl.DataFrame, form: Format, output: str | None) -> pl.DataFrame:
    """Return the calls with their sentences: a list in JSON, elsewhere one text, since CSV has no lists."""
    from hcs.hits.explain import sentences_of_call
    from hcs.io.tables import ending_of

    said = [list(sentences_of_call(call)) for call in calls.iter_rows(named=True)]
    explanations = pl.Series(said, dtype=pl.List(pl.String))
    is_json = form is Format.JSON if output is None else ending_of(output) == "json"
    return calls.with_columns(explanations=explanations if is_json else explanations.list.join(BETWEEN_SENTENCES))


def _explained(calls: pl.DataFrame) -> Iterator[str]:
    """Yield a line a call that something is said of, and under it its sentences."""
    from hcs.hits.explain import sentences_of_call

    for call in calls.iter_rows(named=True):
        said = sentences_of_call(call)
        if said:
            name = "" if call["name"] in {None, call["perturbation"]} else f" ({call['name']})"
            yield f"{call['treatment']}{name}"
            yield from (f"  - {sentence}" for sentence in said)


def _say_untold(calls: pl.DataFrame, min_batches: int) -> None:
    """Say how many hits a limit on batches leaves out without their being known to fail it."""
    n_untold = calls.filter(
        pl.col("is_hit")
        & (pl.col("batch_verdict").is_null() | (pl.col("batch_verdict").cast(pl.String) == "cannot_tell"))
        & (pl.col("n_batches_holding").fill_null(0) < min_batches)
    ).height
    if n_untold:
        say(
            f"{counted(n_untold, 'hit')} left out since it cannot be told in how many batches they hold: these have "
            "too few wells by themselves, or the run is of a version that did not test it"
        )


def _say_why_empty(store: Catalog, run: str, mechanism: str | None, profile: str) -> None:
    """Say what could have been asked for."""
    from hcs.catalog import known_mechanisms

    known = known_mechanisms(store, run=run, profile=profile)
    if mechanism is not None and mechanism.strip().casefold() not in {name.casefold() for name in known}:
        say(f"no treatment has the mechanism {mechanism!r}; those of this run are: {', '.join(known) or 'none'}")
    else:
        say("no treatment passes these limits; --q-max 1 shows all of them")


def _readable(found: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Return the columns a terminal has room for, without those that say nothing here."""
    shown = found.select([name for name in columns if name in found.columns])
    return shown.select([column for column in shown if not _says_nothing(column)])


def _says_nothing(column: pl.Series) -> bool:
    if column.is_empty():
        return False
    is_unknown = column.null_count() == len(column)
    return is_unknown or (column.name == "mechanism_source" and (column.cast(pl.String) == "none").all())


def show(
    what: Annotated[str, typer.Argument(help="A perturbation, by its identifier or name, or a plate's barcode.")],
    run: RunOption = "latest",
    profile: Annotated[str, typer.Option(help="The profile shown, or an encoder's name.")] = "combined",
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show everything known of one perturbation (calls, wells, quality, neighbours) or of one plate (controls, flags).

    Example: hcs show BRD-K62391742-001-19-9
    """
    from hcs.catalog import get_run, plates_of, show_perturbation
    from hcs.pipeline.plates import view_plate

    with open_existing(catalog, parts) as store:
        record = get_run(store, run)
        if what in set(plates_of(store, record.id)["plate"]):
            _print_plate(view_plate(store, record, what, profile=profile), form)
            return
        view = show_perturbation(store, perturbation_of(store, record.id, what), run=record.id)
    if form is Format.JSON:
        print_object(_as_object(view))
        return
    put(f"{view.perturbation}" + (f" ({view.name})" if view.name else ""))
    put(
        f"mechanism: {view.mechanism or 'not annotated'}; SMILES: {view.smiles or '-'}; "
        f"InChIKey: {view.inchikey or '-'}"
    )
    for title, frame in _tables(view, profile):
        print_table(frame.select([column for column in frame if not _says_nothing(column)]), form=form, title=title)
    if form is Format.TABLE and (lines := list(_explained(_on_profile(view, profile)))):
        put("what else could explain it")
        for line in lines:
            put(line)


def _tables(view: PerturbationView, profile: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield what a terminal shows of a perturbation; json holds all of it, on every profile."""
    yield f"calls on {profile}", _readable(_on_profile(view, profile), HIT_COLUMNS)
    places = view.wells.select("plate", "well", "treatment", "control_type", "excluded_reason")
    yield (
        "wells",
        places.join(view.sites.drop("height", "width"), on=["plate", "well"], how="left", maintain_order="left"),
    )
    near = view.neighbours.filter((pl.col("profile") == profile) & (pl.col("rank") <= SHOWN_NEIGHBOURS))
    yield "nearest neighbours", near.drop("profile")


def _on_profile(view: PerturbationView, profile: str) -> pl.DataFrame:
    return view.calls.filter(pl.col("profile") == profile)


def _print_plate(view: PlateView, form: Format) -> None:
    if form is Format.JSON:
        print_object(_as_object(view))
        return
    wells = ", ".join(f"{count} {kind}" for kind, count in view.wells.items())
    put(f"plate {view.plate}: wells {wells or 'not in a platemap'}")
    put(f"sites: {view.sites}, of which {view.sites_failed} failed and {view.sites_flagged} are flagged")
    put(f"median cell count of a negative control's site: {_number(view.median_negcon_cells)}")
    put(f"robust Z' of the positive controls: {_number(view.robust_z_prime)}")
    for note in view.notes:
        put(f"  note: {note}")
    if view.flagged.height:
        print_table(view.flagged, form=form, title="flagged sites")


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def perturbation_of(store: Catalog, run: str | int, what: str) -> str:
    """Return the perturbation of what may be a treatment's key, as it stands in every table: `SIM-1@10`, `SIM-1#2`."""
    from hcs.catalog import wells_of

    wells = wells_of(store, run=run).filter(pl.col("treatment") == what)
    return str(wells["perturbation"][0]) if wells.height else what


def _as_object(view: PerturbationView | PlateView) -> dict[str, object]:
    """Return a view as JSON has it; of the run its name."""
    return {
        name: value.to_dicts() if isinstance(value, pl.DataFrame) else value.name if name == "run" else value
        for name, value in ((field, getattr(view, field)) for field in view.__dataclass_fields__)
    }


def neighbours(
    perturbation: Annotated[str, typer.Argument(help="A perturbation.")],
    top: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    run: RunOption = "latest",
    profile: Annotated[str, typer.Option(help="The profile compared, or an encoder's name.")] = "combined",
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """List the most similar profiles of other perturbations, with their annotation.

    Example: hcs neighbours BRD-K62391742-001-19-9 --top 5
    """
    from hcs.catalog import neighbours_of

    with open_existing(catalog, parts) as store:
        name = perturbation_of(store, run, perturbation)
        found = neighbours_of(store, name, run=run, profile=profile, top=top)
        if found.is_empty():
            say(f"{name} has no neighbours: negative controls and wells that are left out of the calls have none")
        print_table(found, form=form, output=output)
