"""A catalog on PostgreSQL for every command, with the same bytes as on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import digests_of, hcs
from postgres import databases


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a user says once: where the catalog is, and where its parts are."""
    with databases() as server:
        url = server.make()
        yield {"HCS_CATALOG": url, "HCS_PARTS": str(tmp_path_factory.mktemp("shared") / "parts")}
        server.drop(url)


@pytest.mark.slow
def test_a_run_on_postgresql_exports_the_bytes_of_one_on_sqlite(
    screen_folder: Path, exported: dict[str, str], environment: dict[str, str], tmp_path: Path
) -> None:
    ran = hcs("run", screen_folder / "SCREEN.yaml", "--threads", 2, **environment)
    assert ran.code == 0, ran.err
    told = hcs("export", "parquet", "latest", tmp_path / "out", **environment)
    assert told.code == 0, told.err

    assert digests_of(tmp_path / "out") == exported
    assert "run-1" in hcs("runs", **environment).out
    assert hcs("hits", "--q-max", 1, "--format", "csv", **environment).code == 0
    assert hcs("status", "latest", **environment).code == 0
    assert "is finished already" in hcs("run", screen_folder / "SCREEN.yaml", **environment).out


def test_parts_must_be_said_and_a_password_never_is(environment: dict[str, str]) -> None:
    ended = hcs("runs", "--catalog", "postgresql://me:sesame@127.0.0.1:1/hcs", cwd=Path("/"), HCS_PARTS="")

    assert ended.code == 2
    assert "--parts" in ended.err
    assert "sesame" not in ended.out + ended.err
