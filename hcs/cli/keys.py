"""`hcs keys create`, `list`, `revoke`: who may ask the API what."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer

from hcs.cli.options import CatalogOption, FormatOption, OutputOption, PartsOption, open_existing, open_or_make
from hcs.cli.output import Format, print_table, put, say
from schemas.keys import INCLUDED_SCOPES, Scope

if TYPE_CHECKING:
    from hcs.catalog import KeyRecord

_TIME = pl.Datetime("us", "UTC")
LISTED: dict[str, Any] = {
    "prefix": pl.String,
    "name": pl.String,
    "scope": pl.String,
    "state": pl.String,
    "created_at": _TIME,
    "expires_at": _TIME,
    "last_used_at": _TIME,
    "revoked_at": _TIME,
}


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Make, list and revoke keys of the API.", no_args_is_help=True)
    group.command()(create)
    group.command("list")(list_all)
    group.command()(revoke)
    app.add_typer(group, name="keys")


def create(
    name: Annotated[str, typer.Option("--name", help="Who or what uses it, such as lims.")],
    scope: Annotated[Scope, typer.Option("--scope", help="read: ask; submit: also start runs; admin: everything.")],
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=36_500, help="It expires after so many [default: never].")
    ] = None,
    catalog: CatalogOption = None,
    parts: PartsOption = None,
) -> None:
    """Make a key and print it, this once: only a hash of it is kept.

    The key is the only line on stdout.

    Example: hcs keys create --name lims --scope submit --days 365
    """
    from hcs.catalog import create_key

    life = None if days is None else timedelta(days=days)
    with open_or_make(catalog, parts) as store:
        record, secret = create_key(store, name=name, scopes=[scope], expires_in=life)
        place = store.location
    ends = "does not expire" if record.expires_at is None else f"expires {record.expires_at:%Y-%m-%d %H:%M} UTC"
    put(secret)
    say(f"a key for {record.name!r} with the scope {scope} in {place}: it {ends}, and is not shown again")
    say(f"`hcs keys revoke {record.prefix}` takes it back")


def list_all(
    catalog: CatalogOption = None,
    parts: PartsOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """List the keys, oldest first, also those that expired or were revoked.

    The time of the last use is exact to a minute.

    Example: hcs keys list --format json
    """
    from hcs.catalog import list_keys

    with open_existing(catalog, parts) as store:
        frame = pl.DataFrame([_row(record) for record in list_keys(store)], schema=LISTED)
    print_table(frame, form=form, output=output)


def revoke(
    prefix: Annotated[str, typer.Argument(help="The eight characters behind hcs_, as `hcs keys list` shows them.")],
    catalog: CatalogOption = None,
    parts: PartsOption = None,
) -> None:
    """Revoke a key: the next request with it is refused.

    Example: hcs keys revoke k3v9x0ab
    """
    from hcs.catalog import revoke_key

    with open_existing(catalog, parts) as store:
        record = revoke_key(store, prefix)
    put(f"{record.prefix} ({record.name}) is revoked since {record.revoked_at:%Y-%m-%d %H:%M:%S} UTC")


def _row(record: KeyRecord) -> dict[str, Any]:
    widest = max(record.scopes, key=lambda scope: len(INCLUDED_SCOPES[scope]))
    return {name: str(widest) if name == "scope" else getattr(record, name) for name in LISTED}
