from __future__ import annotations

import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from hcs.catalog import create_key, find_key, list_keys, local_key, local_key_path, open_catalog, revoke_key
from hcs.errors import StorageError, UsageError
from schemas.keys import KeyState, Scope


def test_the_key_of_a_machine_is_made_once_and_only_its_owner_may_read_it(sqlite_catalog, sqlite_place, tmp_path):
    secret = local_key(sqlite_catalog)
    path = tmp_path / "api-key"

    assert path == local_key_path(sqlite_catalog)
    assert path.read_text() == f"{secret}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Scope.ADMIN in find_key(sqlite_catalog, secret).scopes
    with sqlite_place.open() as again:
        assert local_key(again) == secret
    assert len(list_keys(sqlite_catalog)) == 1
    assert {one.name for one in tmp_path.iterdir()} <= {
        "api-key",
        *(f"catalog.sqlite{e}" for e in ("", "-wal", "-shm")),
    }


def test_a_generous_umask_opens_nothing(sqlite_catalog):
    before = os.umask(0)
    try:
        local_key(sqlite_catalog)
    finally:
        os.umask(before)

    assert stat.S_IMODE(local_key_path(sqlite_catalog).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("mode", "deeds"), [(0o640, "read"), (0o604, "read"), (0o622, "write"), (0o666, "read and wr")]
)
def test_a_file_that_others_may_touch_is_refused(sqlite_catalog, mode, deeds):
    secret, path = local_key(sqlite_catalog), local_key_path(sqlite_catalog)
    path.chmod(mode)

    with pytest.raises(StorageError, match=f"mode is {mode:03o}, which lets others {deeds}"):
        local_key(sqlite_catalog)
    path.chmod(0o600)

    assert local_key(sqlite_catalog) == secret


@pytest.mark.parametrize("state", ["revoked", "unknown"])
def test_a_key_that_is_good_for_nothing_is_replaced(sqlite_catalog, tmp_path, empty_catalog, state):
    secret = local_key(sqlite_catalog)
    if state == "revoked":
        revoke_key(sqlite_catalog, secret)
    else:
        sqlite_catalog.close()
        shutil.copy(empty_catalog, tmp_path / "catalog.sqlite")

    again = local_key(sqlite_catalog)

    assert again != secret
    assert find_key(sqlite_catalog, secret) is None
    assert find_key(sqlite_catalog, again) is not None
    assert local_key(sqlite_catalog) == again


def test_a_file_that_holds_something_else_is_left_alone(sqlite_catalog):
    path = local_key_path(sqlite_catalog)
    for content in (b"my notes", b"", b"\xff\xfe", b"x" * 100_000):
        path.write_bytes(content)
        path.chmod(0o600)

        with pytest.raises(StorageError, match="something else"):
            local_key(sqlite_catalog)

        assert path.read_bytes() == content
    assert list_keys(sqlite_catalog) == ()


def test_a_pipe_is_not_waited_for(sqlite_catalog):
    os.mkfifo(local_key_path(sqlite_catalog), 0o600)

    with pytest.raises(StorageError, match="no file"):
        local_key(sqlite_catalog)


def test_a_key_that_cannot_be_written_is_not_made(sqlite_catalog, tmp_path):
    local_key_path(sqlite_catalog).symlink_to("api-key")  # to itself: it can be neither read nor looked at

    with pytest.raises(StorageError, match="cannot be read"):
        local_key(sqlite_catalog)

    assert list_keys(sqlite_catalog) == ()


def test_catalogs_of_one_folder_have_keys_of_their_own(tmp_path):
    with open_catalog(str(tmp_path / "catalog.sqlite")) as one, open_catalog(str(tmp_path / "b.sqlite")) as other:
        assert local_key(one) != local_key(other)
        assert local_key_path(other) == tmp_path / "b-api-key"
        assert find_key(other, local_key(one)) is None


def test_those_who_start_at_once_get_the_same_key(sqlite_place):
    barrier = Barrier(4)

    def ask(_):
        with sqlite_place.open() as catalog:
            barrier.wait(30)
            return local_key(catalog)

    with ThreadPoolExecutor(4) as pool:
        told = set(pool.map(ask, range(4)))

    with sqlite_place.open() as catalog:
        assert len(told) == 1
        assert [key.state for key in list_keys(catalog)] == [KeyState.VALID]


def test_a_database_has_no_key_beside_it(postgresql_catalog):
    with pytest.raises(UsageError, match="hcs keys create"):
        local_key(postgresql_catalog)
    assert list_keys(postgresql_catalog) == ()
    create_key(postgresql_catalog, name="lims", scopes=[Scope.READ])
