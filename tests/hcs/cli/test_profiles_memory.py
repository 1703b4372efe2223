"""A million rows of profiles pass `hcs profiles` in bounded memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

N_ROWS, N_FEATURES, N_BY_PLATE = 1_000_000, 8, 384
MOST_MIB = 1_024
"""Of the whole process; 650 to normalize and 570 to select were measured. The features are 31 as they are stored."""
CHILD = """
import re, sys
from hcs.cli.main import app
app(sys.argv[1:], standalone_mode=False)
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1], file=sys.stderr)
"""


def peak_mib(folder: Path, *arguments: str) -> float:
    """Return the most memory that a command has had, as Linux counts it."""
    one_thread = os.environ | {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, "profiles", *arguments],
        cwd=folder,
        env=one_thread,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return int(re.findall(r"^\d+$", ended.stderr, flags=re.MULTILINE)[-1]) / 1024


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells how much memory a process has had")
def test_a_million_rows_are_normalized_and_selected_within_a_gibibyte(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    row = np.arange(N_ROWS)
    values = rng.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32) + row[:, None] // N_BY_PLATE % 7
    values[:, 7] = values[:, 6] * 2
    pl.DataFrame(
        {
            "Metadata_Plate": pl.Series(row // N_BY_PLATE).cast(pl.String),
            "Metadata_kind": np.where(row % N_BY_PLATE < 32, "negcon", "treatment"),
        }
    ).with_columns(pl.Series(f"F{i}", values[:, i]) for i in range(N_FEATURES)).write_parquet(tmp_path / "in.parquet")

    controls = ("--controls", "Metadata_kind == 'negcon'")
    normalizing = peak_mib(tmp_path, "normalize", "in.parquet", "normalized.parquet", *controls)
    operations = ("--operation", "drop_na_columns,variance_threshold,correlation_threshold")
    selecting = peak_mib(tmp_path, "select", "normalized.parquet", "selected.parquet", *operations)

    made = pl.read_parquet(tmp_path / "selected.parquet")
    assert made.shape == (N_ROWS, 2 + N_FEATURES - 1)
    first = made.filter(Metadata_Plate="5", Metadata_kind="negcon").select(pl.col("^F.$").median()).to_numpy()
    np.testing.assert_allclose(first, 0.0, atol=1e-5)
    assert 64 < normalizing < MOST_MIB
    assert 64 < selecting < MOST_MIB
