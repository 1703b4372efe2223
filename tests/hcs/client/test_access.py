"""Which key is shown to whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs.catalog import local_key, open_catalog
from hcs.client import Client
from hcs.client.access import check_key, key_at_hand, read_address
from hcs.errors import ApiKeyError, StorageError, UsageError
from hcs.settings import Settings

KEY = "hcs_k3v9x0ab_" + "s" * 43
HERE = ["http://127.0.0.1:8000", "http://localhost:8000/v1", "http://[::1]:8000/", "https://127.0.0.1"]
ELSEWHERE = ["http://hcs.example", "http://10.0.0.7:8000", "http://127.0.0.1.evil.example", "http://localhost.example"]


@pytest.mark.parametrize("url", [*HERE, "https://hcs.example/lab"])
def test_a_key_goes_to_this_machine_and_through_https(url):
    assert check_key(f" {KEY}\n", address=read_address(url), insecure=False) == KEY


@pytest.mark.parametrize("url", ELSEWHERE)
def test_no_key_goes_to_another_machine_in_the_clear(url):
    with pytest.raises(UsageError, match="https://") as caught:
        Client(url, key=KEY)

    assert KEY not in str(caught.value)
    assert repr(Client(url, key=KEY, insecure=True)) == f"Client('{url}')"
    assert repr(Client(url)) == f"Client('{url}')"


@given(st.text())
def test_what_is_sent_as_a_key_is_one_word(text):
    address = read_address(HERE[0])
    is_word = bool(text.strip()) and all("!" <= letter <= "~" for letter in text.strip())
    if is_word:
        assert check_key(text, address=address, insecure=False) == text.strip()
        return
    with pytest.raises(UsageError) as caught:
        check_key(text, address=address, insecure=False)
    assert len(text.strip()) < 12 or text.strip() not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8000", "ftp://x", "http://", "file:///etc", "https://u:pw@x", "https://x?a=b", "http://x:y:z"],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(UsageError) as caught:
        read_address(url)

    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1/"])
def test_an_address_is_the_same_with_and_without_the_version(url):
    assert str(read_address(url)) == "http://127.0.0.1:8000"


@pytest.mark.parametrize("name", ["catalog.sqlite", "pilot.sqlite"])
@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_the_key_of_this_machine_is_found_beside_the_catalog(tmp_path, name, form):
    path = tmp_path / "store" / name
    with open_catalog(str(path)) as catalog:
        secret = local_key(catalog)
    settings = Settings(catalog=form.format(path))

    for url in HERE:
        assert key_at_hand(settings, address=read_address(url)) == secret
    for url in (*ELSEWHERE, "https://hcs.example"):
        assert key_at_hand(settings, address=read_address(url)) is None


@pytest.mark.parametrize("catalog", ["postgresql://u@h/d", "nowhere/catalog.sqlite", ""])
def test_without_a_file_there_is_no_key(catalog):
    assert key_at_hand(Settings(catalog=catalog), address=read_address(HERE[0])) is None


def test_a_file_that_is_no_key_is_said(tmp_path):
    (tmp_path / "api-key").write_bytes(b"\xff\xfe")

    with pytest.raises(StorageError, match="something else"):
        key_at_hand(Settings(catalog=str(tmp_path / "catalog.sqlite")), address=read_address(HERE[0]))


def test_the_environment_says_where_and_who(server, finished, monkeypatch):
    monkeypatch.setenv("HCS_API_URL", server.url)
    with Client() as nobody, pytest.raises(ApiKeyError, match="api-key"):
        nobody.screens()

    monkeypatch.setenv("HCS_API_KEY", finished.keys.read)
    with Client() as client:
        assert client.screens()
        assert finished.keys.read not in f"{client!r} {Settings()!r}"

    monkeypatch.setenv("HCS_API_KEY", finished.keys.revoked)
    with Client(key=finished.keys.read) as client:
        assert client.screens(), "what is given beats the environment"


def test_the_key_beside_the_catalog_opens_the_door(server, finished, monkeypatch):
    monkeypatch.setenv("HCS_CATALOG", str(finished.catalog))

    with Client(server.url) as client:
        assert client.screens()
