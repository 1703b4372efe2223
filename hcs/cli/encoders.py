"""`hcs encoders list`, `show`, `verify`: which encoders there are here, and whether they can be trusted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer

from hcs.cli.options import FormatOption
from hcs.cli.output import Format, print_object, print_table, put, say
from hcs.errors import UsageError, WeightsError
from hcs.settings import read_settings

if TYPE_CHECKING:
    from hcs.embedding.facts import EncoderFacts
    from hcs.embedding.listing import ListedEncoder
    from hcs.embedding.verify import Verdict
    from schemas.screen import EncoderChoice

LISTED = {
    "name": pl.String,
    "family": pl.String,
    "licence": pl.String,
    "parameters": pl.Int64,
    "embedding_size": pl.Int64,
    "input": pl.String,
    "weights": pl.String,
    "sha256": pl.String,
}
VERIFIED = {"name": pl.String, "verdict": pl.String, "sha256": pl.String, "reason": pl.String}
SHORT_HASH = 12
"""Characters of a hash that a table on a terminal has room for."""

WRITTEN = ("recipe", "model card")
"""What a person gets below the table of an encoder's facts."""

WeightsOption = Annotated[
    str | None, typer.Option("--weights", metavar="FILE", help="A safetensors file of yours, for the backbone NAME.")
]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(
        help="Say which encoders there are here, and whether they can be trusted.", no_args_is_help=True
    )
    group.command("list")(list_here)
    group.command()(show)
    group.command()(verify)
    app.add_typer(group, name="encoders")


def list_here(form: FormatOption = Format.TABLE) -> None:
    """List the encoders that a name alone gives.

    Packaged ones come first, then the named features, then well-tried backbones of timm with timm's own weights. Any
    other backbone of timm is accepted too, and every backbone as NAME.untrained.

    Example: hcs encoders list --format csv
    """
    from hcs.embedding.listing import Whereabouts, list_encoders

    listed = list_encoders(settings=read_settings())
    print_table(_listed(listed, whole_hash=form is not Format.TABLE), form=form)
    refused = [encoder.name for encoder in listed if encoder.weights is Whereabouts.REFUSED]
    if refused:
        say(f"refused: {', '.join(refused)}; `hcs encoders verify {' '.join(refused)}` says why")


def _listed(listed: tuple[ListedEncoder, ...], *, whole_hash: bool) -> pl.DataFrame:
    rows = [
        {
            **{field: getattr(encoder, field) for field in ("name", "family", "licence", "parameters")},
            "embedding_size": encoder.embedding_size,
            "input": _input(encoder.input_size),
            "weights": encoder.weights.value,
            "sha256": encoder.sha256 if whole_hash else _short(encoder.sha256),
        }
        for encoder in listed
    ]
    return pl.DataFrame(rows, schema=LISTED)


def _short(sha256: str | None) -> str | None:
    return sha256 and sha256[:SHORT_HASH]


def show(
    name: Annotated[str, typer.Argument(help="NAME, NAME.TAG, NAME.hcs, NAME.untrained or named.")],
    weights: WeightsOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show everything known of one encoder.

    Weights that are not here are not fetched.

    Example: hcs encoders show pvt_v2_b0
    """
    from hcs.embedding.facts import encoder_facts

    facts = encoder_facts(_choice(name, weights), settings=read_settings())
    if form is Format.JSON:
        print_object(vars(facts))
        return
    texts = {what.replace("_", " "): text for what, text in _texts(facts)}
    below = {what: texts.pop(what) for what in WRITTEN if form is Format.TABLE and what in texts}
    print_table(pl.DataFrame(list(texts.items()), schema=["what", "value"], orient="row"), form=form)
    for what, text in below.items():
        put(f"\n{what}:\n{text.rstrip()}")


def _texts(facts: EncoderFacts) -> Iterator[tuple[str, str]]:
    """Yield what is known of an encoder as a person reads it."""
    for what, value in vars(facts).items():
        if what == "input_size":
            yield what, _input(value)
        elif value is not None:
            yield what, _text(value)


def _input(size: int | None) -> str:
    return "any" if size is None else str(size)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Encoders [default: all packaged ones].")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HEX", help="What the weights of one NAME must have.")
    ] = None,
    weights: WeightsOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Say whether the weights of encoders can be trusted.

    They are complete safetensors, have the recorded SHA-256, fit their backbone without NaN, and give a finite vector
    for an image. Nothing is fetched. Exit code 0: all are in order; 4: one is refused.

    Example: hcs encoders verify efficientvit_b0.hcs
    """
    from hcs.embedding.verify import verify_encoder
    from hcs.embedding.weights import packaged_encoders

    asked = tuple(dict.fromkeys(names or packaged_encoders()))
    _refuse_several(names or [], {"--sha256": sha256, "--weights": weights})
    expected = _hash(sha256)
    if not asked:
        say("this version has no packaged encoders: there is nothing to verify; name an encoder")
    settings = read_settings()
    verdicts = [verify_encoder(_choice(name, weights), settings=settings, sha256=expected) for name in asked]
    print_table(_verified(verdicts, whole_hash=form is not Format.TABLE), form=form)
    raise typer.Exit(0 if all(verdict.is_ok for verdict in verdicts) else WeightsError.exit_code)


def _verified(verdicts: list[Verdict], *, whole_hash: bool) -> pl.DataFrame:
    rows = [
        {
            "name": verdict.name,
            "verdict": "ok" if verdict.is_ok else "failed",
            "sha256": verdict.sha256 if whole_hash else _short(verdict.sha256),
            "reason": verdict.reason,
        }
        for verdict in verdicts
    ]
    return pl.DataFrame(rows, schema=VERIFIED)


def _refuse_several(names: list[str], given: dict[str, str | None]) -> None:
    options = [option for option, value in given.items() if value is not None]
    if options and len(names) != 1:
        raise UsageError(
            f"{' and '.join(options)} {'is' if len(options) == 1 else 'are'} meant for one encoder, but "
            f"{len(names)} were named; give one NAME"
        )


def _hash(text: str | None) -> str | None:
    """Return a SHA-256 as files have it here, in small letters."""
    if text is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise UsageError(f"--sha256 takes the 64 hexadecimal digits of a SHA-256, but {text!r} was given")
    return text and text.lower()


def _choice(name: str, weights: str | None) -> EncoderChoice:
    from schemas.screen import EncoderChoice

    if not name.strip():
        raise UsageError("expected the name of an encoder, but it is empty; `hcs encoders list` lists them")
    return EncoderChoice(name=name, weights=weights)
