from __future__ import annotations

import io
import json
from datetime import timedelta

import polars as pl
import pytest
import typer
from commands import hcs
from typer.testing import CliRunner

from hcs.catalog import create_key, find_key, list_keys
from hcs.cli import keys
from hcs.errors import NotFoundError, UsageError
from schemas.keys import Scope


@pytest.fixture
def command(catalog):
    """Return a function that gives one of the commands on the catalog, and returns how it ended."""
    app = typer.Typer()
    keys.register(app)

    def give(*arguments):
        ended = CliRunner().invoke(app, ["keys", *arguments, "--catalog", catalog.location])
        if isinstance(ended.exception, Exception):
            raise ended.exception
        return ended

    return give


def test_a_script_takes_the_key_from_stdout(command, catalog):
    ended = command("create", "--name", "lims", "--scope", "submit", "--days", "30")

    (secret,) = ended.stdout.splitlines()
    found = find_key(catalog, secret)
    assert found.scopes == {Scope.READ, Scope.SUBMIT}
    assert found.expires_at - found.created_at == timedelta(days=30)
    assert secret not in ended.stderr
    assert f"hcs keys revoke {found.prefix}" in ended.stderr
    assert f"expires {found.expires_at:%Y-%m-%d}" in ended.stderr


def test_a_new_catalog_can_get_its_keys_first(tmp_path):
    ended = hcs("keys", "create", "--name", "me", "--scope", "admin", "--catalog", tmp_path / "new" / "catalog.sqlite")

    assert ended.code == 0, ended.err
    assert "does not expire" in ended.err
    listed = hcs("keys", "list", "--format", "json", "--catalog", tmp_path / "new" / "catalog.sqlite")
    assert [row["prefix"] for row in json.loads(listed.out)] == [ended.out[4:12]]


def test_the_list_holds_every_key_and_no_secret(command, catalog):
    made = [create_key(catalog, name=f"[red]{scope}[/red]", scopes=[scope]) for scope in Scope]
    command("revoke", made[1][0].prefix)

    table = command("list").stdout
    listed = pl.read_csv(io.BytesIO(command("list", "--format", "csv").stdout_bytes))

    assert listed["prefix"].to_list() == [record.prefix for record, _ in made]
    assert listed["scope"].to_list() == list(Scope)
    assert listed["state"].to_list() == ["valid", "revoked", "valid"]
    assert "[red]admin[/red]" in table
    for _, secret in made:
        assert secret[13:] not in table


def test_no_keys_are_a_table_without_rows(command):
    assert command("list", "--format", "json").stdout == "[]\n"


def test_a_revoked_key_opens_nothing(command, catalog):
    record, secret = create_key(catalog, name="lims", scopes=[Scope.READ])

    ended = command("revoke", record.prefix)

    assert f"{record.prefix} (lims) is revoked since" in ended.stdout
    assert find_key(catalog, secret) is None
    with pytest.raises(NotFoundError):
        command("revoke", "nothing0")


@pytest.mark.parametrize(
    "wrong", [["--scope", "write"], ["--scope", "read", "--days", "0"], ["--scope", "read", "--days", "36501"], []]
)
def test_what_makes_no_sense_is_wrong_usage(command, catalog, wrong):
    assert command("create", "--name", "x", *wrong).exit_code == 2
    with pytest.raises(UsageError):
        command("create", "--name", " ", "--scope", "read")
    assert list_keys(catalog) == ()
