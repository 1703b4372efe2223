"""`hcs demo`: a small screen with known truth through the whole line, and how well it was read."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer

from hcs.cli.options import Device, DeviceOption, ExecutorName, ExecutorOption, Performers, ThreadsOption, threads_of
from hcs.cli.output import Format, print_object, print_table, put, say
from hcs.cli.run import interruptible, perform
from hcs.cli.simulate import Shown
from hcs.settings import read_settings

if TYPE_CHECKING:
    from hcs.catalog import Catalog, RunRecord
    from hcs.simulation.truth import DemoScore

HEADLINE = "combined"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the screen, its truth and its catalog.")] = Path("hcs-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another screen.")] = 0,
    threads: ThreadsOption = None,
    executor: ExecutorOption = ExecutorName.RAY,
    device: DeviceOption = Device.AUTO,
    form: Annotated[Format, typer.Option("--format", help="json prints one object and nothing else.")] = Format.TABLE,
) -> None:
    """Simulate a screen of 6 plates, run it, and print its hits by mechanism beside the truth.

    Example: hcs demo --out hcs-demo --seed 1
    """
    from hcs.catalog import open_catalog
    from hcs.io.screen import load_screen
    from hcs.simulation.deliver import simulate_screen
    from hcs.simulation.design import demo_design
    from hcs.simulation.truth import read_treatment_truth

    started, settings = time.monotonic(), read_settings()
    workers = threads_of(threads, settings)
    folder, catalog = out / f"screen-{seed}", str(out / "catalog.sqlite")
    simulated = simulate_screen(str(folder), design=demo_design(), seed=seed, progress=Shown(), workers=workers)
    performers = Performers(executor, workers, device)
    with open_catalog(catalog) as store, interruptible():
        performed = perform(store, load_screen(simulated.screen_file), performers=performers, settings=settings)
        truth = read_treatment_truth(str(folder))
        scores = _scores(store, performed.run, truth)
        seconds = time.monotonic() - started
        facts = _facts(scores, sites=simulated.n_sites, seconds=seconds, catalog=catalog)
        if form is Format.JSON:
            print_object(facts)
            return
        print_table(by_mechanism(_calls(store, performed.run, HEADLINE), truth), form=form, title="hits by mechanism")
        print_table(_score_table(scores), form=form, title="against the truth")
    _advise(catalog, simulated.n_sites, seconds)


def _calls(store: Catalog, run: RunRecord, profile: str) -> pl.DataFrame:
    from hcs.catalog import find_hits

    return find_hits(store, run=run.id, q_max=1.0, profile=profile, control_types=("treatment",))


def _scores(store: Catalog, run: RunRecord, truth: pl.DataFrame) -> dict[str, DemoScore]:
    """Return the score of the headline profile first, then of each encoder by itself."""
    from hcs.simulation.truth import score_calls

    names = [HEADLINE, *(info.name for info in run.encoders)]
    return {name: score_calls(_calls(store, run, name), truth) for name in names}


def _facts(scores: dict[str, DemoScore], *, sites: int, seconds: float, catalog: str) -> dict[str, Any]:
    baselines = {name: asdict(score) for name, score in scores.items() if name != HEADLINE}
    return {
        **asdict(scores[HEADLINE]),
        "baselines": baselines,
        "sites": sites,
        "seconds": round(seconds, 1),
        "catalog": catalog,
    }


def by_mechanism(calls: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Return one row a true mechanism: how many of its compounds are hits, and how many hits are read rightly."""
    tested = truth.filter(pl.col("control_type") == "treatment").select(
        "perturbation", "is_active", true_mechanism=pl.col("mechanism").fill_null("(inactive)")
    )
    return (
        tested.join(calls, on="perturbation", how="left")
        .group_by("true_mechanism", "is_active")
        .agg(
            compounds=pl.col("perturbation").n_unique(),
            hits=pl.col("is_hit").fill_null(value=False).sum(),
            mechanism_right=((pl.col("predicted_mechanism") == pl.col("true_mechanism")) & pl.col("is_hit")).sum(),
            median_map=pl.col("mean_average_precision").median(),
            smallest_q=pl.col("q_value").min(),
            explained_by_count=(pl.col("explained_by_count") == "explained").sum(),
        )
        .sort("is_active", "true_mechanism", descending=[True, False])
        .drop("is_active")
    )


def _score_table(scores: dict[str, DemoScore]) -> pl.DataFrame:
    return pl.DataFrame([{"profile": name, **asdict(score)} for name, score in scores.items()])


def _advise(catalog: str, sites: int, seconds: float) -> None:
    put(f"{sites} sites in {seconds:.0f} s. Everything is in {catalog}; ask it:")
    put(f'  hcs hits --catalog {catalog} --mechanism "HDAC inhibitor"')
    put(f"  hcs runs --catalog {catalog}")
    say("encoders without training read a screen no better than this; see docs/how-to for your own weights")
