from __future__ import annotations

import pytest

from hcs.catalog.addresses import PostgresAddress, catalog_address
from hcs.errors import UsageError


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_database_is_named_by_its_url_and_shown_without_its_password(scheme):
    address = catalog_address(f"{scheme}://me:s%40cret@host:5433/hcs?sslmode=require&sslpassword=s3cret")

    assert isinstance(address, PostgresAddress)
    assert (address.url.username, address.url.password) == ("me", "s@cret")
    assert address.url.drivername == "postgresql+psycopg"
    assert address.url.query["sslpassword"] == "s3cret"
    assert address.location == f"{scheme}://me:***@host:5433/hcs?sslmode=require&sslpassword=hidden"
    for shown in (repr(address), str(address)):
        assert "cret@" not in shown
        assert "s%40cret" not in shown
        assert "s3cret" not in shown


@pytest.mark.parametrize("text", ["data/c.sqlite", "sqlite:///data/c.sqlite"])
def test_a_path_is_made_absolute(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)

    assert catalog_address(text) == tmp_path / "data" / "c.sqlite"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@host",
        "postgresql://me:secret@host/",
        "postgresql://me:secret@host:port/hcs",
        "postgresql+asyncpg://me:secret@host/hcs",
        "postgres://me:secret@host/hcs",
        "mysql://me:secret@host/hcs",
        "mysql://me@host/hcs?password=secret",
        "mongodb://me:secret@[::1/hcs",
    ],
)
def test_what_names_no_catalog_is_refused_without_its_password(url):
    with pytest.raises(UsageError) as error:
        catalog_address(url)

    assert "secret" not in str(error.value)
    assert "postgresql://USER@HOST:PORT/DATABASE" in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None
