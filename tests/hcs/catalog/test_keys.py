from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select, text, update

from hcs.catalog import create_key, find_key, list_keys, revoke_key
from hcs.catalog.models import ApiKey
from hcs.errors import NotFoundError, UsageError
from schemas.keys import INCLUDED_SCOPES, KeyState, Scope


def new_key(catalog, name="lims", scopes=(Scope.READ,), **options):
    return create_key(catalog, name=name, scopes=scopes, **options)


def shift(catalog, **seconds):
    """Let times of every key lie so many seconds before now, by the database's clock."""
    from hcs.catalog.dialects import Now

    with catalog.writing() as connection:
        connection.execute(update(ApiKey).values({name: Now() - before for name, before in seconds.items()}))


def writes_of(catalog, ask):
    """How many statements that change something a question sends, besides the marks of its transactions."""
    sent = []

    @event.listens_for(catalog.engine, "before_cursor_execute")
    def keep(_connection, _cursor, statement, *_):
        sent.append(statement)

    ask()
    event.remove(catalog.engine, "before_cursor_execute", keep)
    return sum(
        statement.startswith(("UPDATE", "INSERT", "DELETE")) and "writers" not in statement for statement in sent
    )


def test_a_secret_opens_what_its_key_is_good_for(catalog):
    record, secret = new_key(catalog, scopes=[Scope.SUBMIT])

    found = find_key(catalog, secret)

    assert re.fullmatch(r"hcs_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", secret)
    assert secret.startswith(f"hcs_{record.prefix}_")
    assert (found.id, found.name, found.state) == (record.id, "lims", KeyState.VALID)
    assert found.scopes == {Scope.READ, Scope.SUBMIT}


def test_scopes_include_the_lesser_ones():
    for lesser, greater in zip(Scope, list(Scope)[1:], strict=False):
        assert {*INCLUDED_SCOPES[lesser], greater} == set(INCLUDED_SCOPES[greater])
    assert set(INCLUDED_SCOPES) == set(Scope)


def test_only_a_hash_of_a_secret_is_kept(catalog):
    _, secret = new_key(catalog)

    with catalog.reading() as connection:
        row = connection.execute(select(ApiKey)).one()

    assert row.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert secret.rpartition("_")[2] not in str(row._mapping)
    assert secret[13:] not in str(list_keys(catalog))
    assert row.secret_sha256 not in str(list_keys(catalog))


def test_no_two_secrets_are_alike(catalog):
    secrets = [new_key(catalog)[1] for _ in range(20)]

    assert len({secret[4:12] for secret in secrets}) == len({secret[13:] for secret in secrets}) == 20
    assert [record.prefix for record in list_keys(catalog)] == [secret[4:12] for secret in secrets]


def test_a_prefix_that_is_taken_is_drawn_again(catalog, monkeypatch):
    drawn = iter("aaaaaaaaaaaaaaaabbbbbbbb")
    monkeypatch.setattr("hcs.catalog.keys.secrets.choice", lambda _: next(drawn))

    (first, secret), (second, _) = new_key(catalog), new_key(catalog)

    assert (first.prefix, second.prefix) == ("a" * 8, "b" * 8)
    assert find_key(catalog, secret).id == first.id


def test_what_differs_from_a_secret_in_one_character_opens_nothing(catalog):
    _, secret = new_key(catalog)
    _, other = new_key(catalog)
    forged = [secret[:n] + ("b" if secret[n] == "a" else "a") + secret[n + 1 :] for n in range(len(secret))]

    assert [find_key(catalog, wrong) for wrong in forged] == [None] * len(secret)
    assert find_key(catalog, secret[:13] + other[13:]) is None


@pytest.mark.parametrize(
    "wrong", ["", "hcs_", "x", "hcs_aaaaaaaa_" + "é" * 43, "hcs_\0", "\ud800", "' OR 1=1 --", "x" * 100_000]
)
def test_what_is_no_secret_opens_nothing(catalog, wrong):
    new_key(catalog)

    assert find_key(catalog, wrong) is None


def test_a_secret_with_more_around_it_opens_nothing(catalog):
    _, secret = new_key(catalog)

    for wrong in (f"{secret}\n", f" {secret}", f"{secret}a", secret.upper()):
        assert find_key(catalog, wrong) is None


def test_a_key_expires_by_the_clock_of_the_database(catalog):
    record, secret = new_key(catalog, expires_in=timedelta(days=30))
    assert record.expires_at - record.created_at == timedelta(days=30)
    assert find_key(catalog, secret) is not None

    shift(catalog, expires_at=0.01)

    assert find_key(catalog, secret) is None
    assert [key.state for key in list_keys(catalog)] == [KeyState.EXPIRED]


def test_a_key_without_end_never_expires(catalog):
    record, secret = new_key(catalog)
    shift(catalog, created_at=1e9)

    assert record.expires_at is None
    assert find_key(catalog, secret).state is KeyState.VALID


@pytest.mark.parametrize("life", [timedelta(0), timedelta(seconds=-1), timedelta(days=36_501), timedelta.max])
def test_a_life_that_makes_no_sense_is_refused(catalog, life):
    with pytest.raises(UsageError, match="expires within"):
        new_key(catalog, expires_in=life)
    assert list_keys(catalog) == ()


def test_a_revoked_key_opens_nothing_and_keeps_the_time_of_that(catalog):
    kept, other = new_key(catalog)
    record, secret = new_key(catalog)

    first = revoke_key(catalog, record.prefix)
    again = revoke_key(catalog, f" hcs_{record.prefix}_something")

    assert first.state is again.state is KeyState.REVOKED
    assert first.revoked_at == again.revoked_at
    assert abs(datetime.now(UTC) - first.revoked_at) < timedelta(minutes=1)
    assert find_key(catalog, secret) is None
    assert find_key(catalog, other).id == kept.id


@pytest.mark.parametrize("prefix", ["", "nothing0", "abc", "%", "\0", "x" * 10_000, "' OR 1=1"])
def test_a_key_that_is_not_there_cannot_be_revoked(catalog, prefix):
    _, secret = new_key(catalog)

    with pytest.raises(NotFoundError, match="hcs keys list") as error:
        revoke_key(catalog, prefix)

    assert len(str(error.value)) < 200
    assert find_key(catalog, secret) is not None


def test_a_use_is_written_once_a_minute(catalog):
    _, secret = new_key(catalog)
    assert list_keys(catalog)[0].last_used_at is None

    assert writes_of(catalog, lambda: find_key(catalog, secret)) == 1
    first = list_keys(catalog)[0].last_used_at
    assert writes_of(catalog, lambda: [find_key(catalog, secret) for _ in range(5)]) == 0
    assert list_keys(catalog)[0].last_used_at == first

    shift(catalog, last_used_at=59)
    assert writes_of(catalog, lambda: find_key(catalog, secret)) == 0
    shift(catalog, last_used_at=61)
    assert writes_of(catalog, lambda: find_key(catalog, secret)) == 1
    assert datetime.now(UTC) - list_keys(catalog)[0].last_used_at < timedelta(seconds=30)


def test_a_wrong_secret_is_no_use_of_a_key(catalog):
    _, secret = new_key(catalog)

    assert writes_of(catalog, lambda: find_key(catalog, secret[:-1] + ("b" if secret[-1] == "a" else "a"))) == 0
    assert list_keys(catalog)[0].last_used_at is None


def test_a_catalog_that_takes_no_changes_still_knows_its_keys(sqlite_catalog):
    _, secret = new_key(sqlite_catalog)
    with sqlite_catalog.writing() as connection:
        connection.execute(
            text("CREATE TRIGGER full BEFORE UPDATE ON api_keys BEGIN SELECT raise(ABORT, 'disk I/O error'); END")
        )

    assert find_key(sqlite_catalog, secret).name == "lims"
    assert list_keys(sqlite_catalog)[0].last_used_at is None


@pytest.mark.parametrize(
    ("name", "said"), [("", "blank"), (" \t", "blank"), ("x" * 501, "500"), ("a\0", "NUL"), ("\ud800", "Unicode")]
)
def test_a_name_that_cannot_be_kept_is_refused(catalog, name, said):
    with pytest.raises(UsageError, match=said):
        new_key(catalog, name=name)


def test_a_key_without_a_scope_is_refused(catalog):
    with pytest.raises(UsageError, match="read, submit, admin"):
        new_key(catalog, scopes=[])


@given(name=st.text(min_size=1, max_size=60), scopes=st.sets(st.sampled_from(Scope), min_size=1))
def test_a_key_is_told_as_it_was_made(shared_catalog, name, scopes):
    if "\0" in name or not name.strip():
        return
    record, secret = new_key(shared_catalog, name=name, scopes=scopes)

    assert find_key(shared_catalog, secret).name == record.name == name.strip()
    assert record.scopes == {included for scope in scopes for included in INCLUDED_SCOPES[scope]}


@pytest.fixture(scope="module")
def shared_catalog(tmp_path_factory):
    from hcs.catalog import open_catalog

    with open_catalog(str(tmp_path_factory.mktemp("shared") / "catalog.sqlite")) as catalog:
        yield catalog
