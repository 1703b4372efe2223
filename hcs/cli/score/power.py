"""`hcs score power`: what a screen can find, before it is done."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from hcs.cli.options import FormatOption, OutputOption
from hcs.cli.output import Format, print_table, say
from hcs.cli.score.reading import QMaxOption, SeedOption
from hcs.errors import UsageError

if TYPE_CHECKING:
    from hcs.hits.power import Screen
    from hcs.statistics.designs import Layout


MOST_POOLS = 6
"""Of one platemap: each is simulated by itself."""


def power(
    treatments: Annotated[int, typer.Option("--treatments", min=1, help="Treatments that are called together.")],
    effect: Annotated[
        float, typer.Option("--effect", min=0, help="Shift of an active one, in standard deviations of controls.")
    ],
    replicates: Annotated[
        list[int] | None, typer.Option("--replicates", help="One on each of so many plates; may be repeated.")
    ] = None,
    controls: Annotated[
        list[int] | None, typer.Option("--controls", help="Negative controls of a plate; may be repeated.")
    ] = None,
    layout: Annotated[
        list[str] | None,
        typer.Option("--layout", metavar="FILE", help="Table of plate, perturbation, control_type; may be repeated."),
    ] = None,
    actives: Annotated[float, typer.Option("--actives", min=0, max=1, help="Share of treatments that are.")] = 0.1,
    features: Annotated[int, typer.Option("--features", min=2, help="Independent features of a profile.")] = 64,
    simulated: Annotated[int, typer.Option("--simulated", min=10, help="Active treatments that are simulated.")] = 100,
    q_max: QMaxOption = 0.05,
    seed: SeedOption = 0,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Say what a layout can find: the attainable p, expected discoveries, and whether one treatment can be called.

    Example: hcs score power --replicates 3 --replicates 5 --controls 16 --treatments 320 --effect 0.6
    """
    from hcs.hits.power import Screen, estimate_power

    if bool(replicates) != bool(controls) or not (replicates or layout):
        raise UsageError(
            "--replicates and --controls together, or --layout, say what the layout is; one of them is missing"
        )
    screen = Screen(n_treatments=treatments, active_share=actives, effect=effect, n_features=features, q_max=q_max)
    rows = []
    for name, pool in _pools(replicates or [], controls or [], layout or []):
        found = estimate_power(pool, screen, seed=seed, n_simulated=simulated)
        say(f"{name}: {found.verdict(screen)}")
        rows.append(
            {
                "layout": name,
                "n_replicates": sum(pool.n_drawn),
                "n_plates": len(pool.n_drawn),
                "n_controls": sum(pool.n_wells) - sum(pool.n_drawn),
                "smallest_possible_p": found.smallest_possible_p,
                "n_needed_at_smallest_p": found.at_floor,
                "expected_discoveries": found.expected_discoveries,
                "expected_false": found.expected_false,
                "recall": found.recall,
            }
        )
    print_table(pl.DataFrame(rows, infer_schema_length=None), form=form, output=output, title=_title(screen))


def _title(screen: Screen) -> str:
    return (
        f"{screen.n_treatments} treatments, {screen.n_active} of them active by {screen.effect:g} sd in each of "
        f"{screen.n_features} independent features, q = {screen.q_max:g}"
    )


def _pools(replicates: list[int], controls: list[int], layouts: list[str]) -> Iterator[tuple[str, Layout]]:
    from hcs.hits.power import planned_layout

    for n_replicates, n_controls in product(replicates, controls):
        yield f"{n_replicates} x {n_controls}", planned_layout(n_replicates=n_replicates, n_controls=n_controls)
    for source in layouts:
        yield from _read_layout(source)


def _read_layout(source: str) -> Iterator[tuple[str, Layout]]:
    """Yield every pool of a platemap, with the number of treatments that have it if they differ."""
    from hcs.hits.power import layouts_of
    from hcs.io.tables import read_table

    table = read_table(source, as_strings=True)
    names = {name.removeprefix("Metadata_").casefold(): name for name in table.columns}
    needed = ("plate", "perturbation", "control_type")
    missing = [name for name in needed if name not in names]
    if missing:
        raise UsageError(
            f"{source}: a layout has the columns {', '.join(needed)}, with or without Metadata_ before, but "
            f"{', '.join(missing)} is missing; it has {', '.join(table.columns)}"
        )
    kinds = table[names["control_type"]].fill_null("")
    wells = table.filter(~kinds.is_in(["empty", "poscon"]))
    pools = layouts_of(
        wells[names["plate"]].fill_null("").to_list(),
        wells[names["perturbation"]].fill_null("").to_list(),
        (wells[names["control_type"]] == "negcon").fill_null(value=False).to_numpy(),
    )
    n_treatments = wells.filter(wells[names["control_type"]].fill_null("") != "negcon")[
        names["perturbation"]
    ].n_unique()
    n_tested = sum(pools.values())
    if n_tested < n_treatments:
        say(f"{source}: {n_treatments - n_tested} of {n_treatments} treatments have no two wells beside controls")
    for number, (pool, n) in enumerate(pools.items()):
        if number == MOST_POOLS:
            left = n_tested - sum(list(pools.values())[:MOST_POOLS])
            say(f"{source}: {left} treatments have yet other numbers of wells or controls, and no row")
            break
        yield (source if len(pools) == 1 else f"{source}: {n} of {n_tested}"), pool
