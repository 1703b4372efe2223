"""`hcs lab`: studies of encoders, and the training of new ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer

from hcs.cli.options import (
    MOST_THREADS,
    CatalogOption,
    FormatOption,
    OutputOption,
    PartsOption,
    RunOption,
    ThreadsOption,
    local_place,
    open_existing,
    threads_of,
)
from hcs.cli.output import Format, SaidByTenths, counted, print_object, print_table, put, say
from hcs.cli.progress import lasting
from hcs.cli.run import interruptible
from hcs.embedding.names import NAMED
from hcs.errors import UsageError
from hcs.settings import read_settings

if TYPE_CHECKING:
    from hcs.lab.recipe import Recipe
    from hcs.lab.training import Progress
    from schemas.encoders import EncoderInfo
    from schemas.screen import EncoderChoice

SECONDS_A_LINE = 10.0
LONGEST_MINUTES = 10_080.0
"""A week."""

FIRST_UNSEEN_SEED = 900
"""Of the screens that encoders are judged on: the demo's usual seeds lie below, the training's far above."""

lab = typer.Typer(
    name="lab",
    help="Train, compare and describe encoders on simulated screens and on your own runs.",
    no_args_is_help=True,
)

EncodersArgument = Annotated[list[str], typer.Argument(help="Names of encoders, or NAME=FILE.safetensors.")]
SeedsOption = Annotated[int, typer.Option("--seeds", min=1, help="How many screens.")]
FirstSeedOption = Annotated[int, typer.Option("--first-seed", min=0, help="Seed of the first screen.")]
KeptOption = Annotated[
    Path | None, typer.Option("--kept", help="Folder for vectors: a further encoder then costs itself alone.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(lab, name="lab")


@lab.command()
def pretrain(
    architecture: Annotated[str, typer.Argument(help="timm's name of a backbone, as mobilenetv3_small_100.")],
    out: Annotated[Path, typer.Option(help="A new folder, or that of the same training, interrupted.")],
    task: Annotated[
        str, typer.Option(help="latents: read the phenotype of the cells from each stain alone.")
    ] = "latents",
    minutes: Annotated[
        float, typer.Option(min=0.05, max=LONGEST_MINUTES, help="About how long on two cores; it sets the steps.")
    ] = 20.0,
    seed: Annotated[int, typer.Option(min=0, max=999, help="Another seed is another training.")] = 0,
    screens: Annotated[int | None, typer.Option(min=1, help="Simulated plates of 24 wells to learn from.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Crops of a step, instead of the recipe's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=1e-9, help="Highest one, instead of the recipe's.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32 or bf16, instead of the recipe's.")] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            max=MOST_THREADS,
            help="Of the engine, and processes that render [default: the cores]. Another number gives other weights in "
            "their last bits; beside other work 1 is fastest.",
        ),
    ] = None,
) -> None:
    """Train an encoder on simulated screens; interrupted, the same command goes on.

    Example: hcs lab pretrain mobilenetv3_small_100 --minutes 20 --out trained/
    """
    from hcs.lab.learner import check_crops
    from hcs.lab.pretrain import pretrain as train

    recipe = _recipe(
        architecture, task, minutes, seed, n_screens=screens, batch=batch, learning_rate=learning_rate,
        precision=precision,
    )  # fmt: skip
    out = local_place(out, what="a training")
    check_crops(recipe)
    steps, plates = counted(recipe.n_steps, "step"), counted(recipe.n_screens, "simulated plate")
    say(f"{steps} on {plates}; interrupt it at any time, the same command goes on")
    told = SaidByTenths("rendered", "plate")
    with interruptible():
        trained = train(recipe, out, threads=threads_of(threads, read_settings()), rendered=told, watch=_Watch())
    put(f"weights: {trained.weights}")
    put(f"of the phenotype, explained on held-out plates: {trained.explained:.3f} (1 is all)")
    if trained.seconds_learning:
        waiting = f"{100 * trained.waiting:.1f} % waiting for crops"
        put(f"{trained.seconds_learning:.0f} s, of which {waiting}; curve: {out / 'loss.svg'}")
    else:
        put("it was finished before; nothing was left to do")
    put(f"next: name it in SCREEN.yaml as {{name: {architecture}, weights: {trained.weights.absolute()}}}")


def _recipe(architecture: str, task: str, minutes: float, seed: int, **changes: Any) -> Recipe:
    from pydantic import ValidationError

    from hcs.lab.learner import check_architecture
    from hcs.lab.recipe import Recipe, recipe_for

    check_architecture(architecture)
    content = recipe_for(architecture, minutes=minutes, seed=seed).model_dump() | {"task": task}
    batch = changes.pop("batch")
    if batch is not None:
        content["stages"] = [{**stage, "batch": batch} for stage in content["stages"]]
    content |= {name: value for name, value in changes.items() if value is not None}
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        raise UsageError(
            f"a recipe was expected, but {'.'.join(map(str, problem['loc']))} is {problem['input']!r}: {problem['msg']}"
        ) from error


class _Watch:
    """Says how a training goes, every ten seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._last < SECONDS_A_LINE and progress.step < progress.n_steps:
            return
        self._last = time.monotonic()
        explained = "" if progress.explained is None else f", explained {progress.explained:.3f}"
        say(
            f"step {progress.step} of {progress.n_steps}: loss {progress.loss:.4f}{explained}, "
            f"{progress.images_a_second:.0f} crops/s, {lasting(progress.seconds_left)} left"
        )


@lab.command()
def compare(
    encoders: EncodersArgument,
    seeds: SeedsOption = 3,
    first_seed: FirstSeedOption = FIRST_UNSEEN_SEED,
    combine: Annotated[
        list[str] | None, typer.Option("--combine", help="Encoder of the combined profile [default: all]; repeat it.")
    ] = None,
    kept: KeptOption = None,
    threads: ThreadsOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Judge encoders on screens of the demo's design with known truth: figures with 95 % intervals over the screens.

    Example: hcs lab compare named mobilenetv3_small_100.hcs mobilenetv3_small_100.untrained --seeds 5
    """
    from hcs.lab.compare import compare_encoders, paired_differences, summarize
    from hcs.simulation.design import demo_design

    described = _described(encoders)
    scores = compare_encoders(
        described,
        design=demo_design(),
        seeds=range(first_seed, first_seed + seeds),
        combine=combine or [info.name for info in described],
        kept=kept and local_place(kept, what="the cache of vectors"),
        workers=threads_of(threads, read_settings()),
        progress=_Plates(),
    )
    if form is Format.JSON and output is None:
        print_object(
            {
                "seeds": scores.to_dicts(),
                "summary": summarize(scores).to_dicts(),
                "nscb_differences": paired_differences(scores).to_dicts(),
            }
        )
        return
    print_table(summarize(scores), form=form, output=output, title="over the screens")
    if form is Format.TABLE and output is None:
        print_table(_once(paired_differences(scores)), form=form, title="NSCB, differences over the same screens")


def _described(names: list[str]) -> list[EncoderInfo]:
    from hcs.embedding.registry import describe_encoder

    choices = [_choice(text) for text in names]
    if len({choice.name for choice in choices}) < len(choices):
        raise UsageError(f"every encoder is named once, but {', '.join(names)} came")
    return [describe_encoder(choice, settings=read_settings()) for choice in choices]


def _choice(text: str) -> EncoderChoice:
    """Return the encoder that NAME or NAME=FILE means."""
    from schemas.screen import EncoderChoice

    name, _, file = text.partition("=")
    if not name.strip() or text.endswith("="):
        raise UsageError(f"an encoder is given as NAME or NAME=FILE.safetensors, but {text!r} came")
    return EncoderChoice(name=name, weights=file or None)


class _Plates:
    """Says how many plates are embedded."""

    def __call__(self, done: int, total: int) -> None:
        say(f"{done} of {total} plates")


@lab.command()
def separate(
    run: RunOption = "latest",
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling of wells.")] = 0,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Say how far a run's positive controls lie from its negative ones by every profile, with 95 % intervals.

    Example: hcs lab separate --run latest
    """
    from hcs.catalog import get_run
    from hcs.lab.separate import separate_controls

    with open_existing(catalog, parts) as store:
        record = get_run(store, run)
        single, pairs = separate_controls(store, record, seed=seed)
    if form is Format.JSON and output is None:
        print_object({"run": record.name, "separation": single.to_dicts(), "differences": pairs.to_dicts()})
        return
    print_table(single, form=form, output=output, title=f"{record.name}, d' of positive from negative controls")
    if form is Format.TABLE and output is None:
        print_table(_once(pairs), form=form, title="differences, on the same resampled wells")


def _once(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return differences between profiles without those that are another one with the opposite sign."""
    return pairs.filter(pl.col("profile") < pl.col("minus"))


@lab.command(name="map")
def map_wells(
    out: Annotated[str, typer.Argument(help="The picture's file: .svg.")],
    run: RunOption = "latest",
    profile: Annotated[str, typer.Option(help="The profile, or an encoder's name.")] = "combined",
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the embedding.")] = 0,
) -> None:
    """Draw the wells of a run in the plane of UMAP, controls and treatments apart, deeper in colour at higher doses.

    Example: hcs lab map wells.svg --run latest
    """
    from hcs.catalog import get_run
    from hcs.io.storage import write_atomically
    from hcs.lab.maps import draw_wells

    if not out.lower().endswith(".svg"):
        raise UsageError(f"a map is drawn as SVG, so its file ends with .svg, but {out} came; name another")
    with open_existing(catalog, parts) as store:
        drawing = draw_wells(store, get_run(store, run), profile=profile, seed=seed)
    write_atomically(out, drawing.encode())
    put(f"{out} written")


@lab.command()
def card(
    encoder: Annotated[str, typer.Argument(help="Name of a packaged encoder, as mobilenetv3_small_100.hcs.")],
    out: Annotated[str, typer.Option(help="The card, as Markdown.")],
    beside: Annotated[
        list[str] | None, typer.Option("--beside", help="Another encoder, or NAME=FILE.safetensors; repeat it.")
    ] = None,
    seeds: SeedsOption = 3,
    first_seed: FirstSeedOption = FIRST_UNSEEN_SEED,
    run: Annotated[str | None, typer.Option(help="A run on real plates that the encoder took part in.")] = None,
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    kept: KeptOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Write the model card of a packaged encoder: recipe, data, licence, and its figures beside those of others.

    Example: hcs lab card mobilenetv3_small_100.hcs --out card.md --run latest
    """
    from hcs.io.storage import write_atomically
    from hcs.lab.card import write_card

    real = None
    if run is not None:
        from hcs.catalog import get_run
        from hcs.lab.separate import separate_controls

        with open_existing(catalog, parts) as store:
            record = get_run(store, run)
            real = (record.config.screen, *separate_controls(store, record))
    described = _described([encoder, NAMED, untrained_form(encoder), *(beside or [])])
    text = write_card(
        described,
        seeds=range(first_seed, first_seed + seeds),
        real=real,
        kept=kept and local_place(kept, what="the cache of vectors"),
        workers=threads_of(threads, read_settings()),
        progress=_Plates(),
    )
    write_atomically(out, text.encode())
    put(f"{out} written")


def untrained_form(encoder: str) -> str:
    """Return the name of the same backbone without training."""
    from hcs.embedding.names import parse_name

    return f"{parse_name(encoder).architecture}.untrained"
