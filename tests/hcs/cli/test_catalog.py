from __future__ import annotations

import pytest
from commands import hcs, start

from hcs.catalog.migrations import HEAD


def test_where_opening_upgrades_nothing_one_command_does_and_another_waits_for_it(tmp_path):
    environment = {"HCS_CATALOG": str(tmp_path / "catalog.sqlite"), "HCS_UPGRADE": "false"}
    waiting = start("catalog", "wait", "--seconds", "120", **environment)

    refused = hcs("keys", "create", "--name", "me", "--scope", "admin", **environment)
    made = hcs("catalog", "upgrade", **environment)
    again = hcs("catalog", "upgrade", **environment)
    out, err = waiting.communicate(timeout=120)

    assert (refused.code, "`hcs catalog upgrade`" in refused.err) == (2, True), refused.err
    assert (made.code, made.out) == (0, f"{tmp_path / 'catalog.sqlite'} has schema {HEAD}; it is new\n"), made.err
    assert (again.code, again.out) == (0, f"{tmp_path / 'catalog.sqlite'} has schema {HEAD}\n")
    assert (waiting.returncode, out, err) == (0, again.out, "")
    assert hcs("runs", **environment).code == 0


def test_who_waited_in_vain_is_told_so(tmp_path):
    ended = hcs("catalog", "wait", "--seconds", "0", "--catalog", tmp_path / "catalog.sqlite")

    assert ended.code == 1
    assert ended.err.startswith("error: hcs ")
    assert "is not there yet" in ended.err
    assert not (tmp_path / "catalog.sqlite").exists()


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["work", "--once"]])
def test_no_service_makes_a_catalog_that_another_is_to_make(tmp_path, command):
    environment = {"HCS_CATALOG": str(tmp_path / "catalog.sqlite"), "HCS_UPGRADE": "false"}

    ended = hcs(*command, **environment)

    assert (ended.code, "`hcs catalog upgrade`" in ended.err) == (2, True), ended.err
    assert not (tmp_path / "catalog.sqlite").exists()
