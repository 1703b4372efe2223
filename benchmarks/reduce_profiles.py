"""Memory and time of `hcs profiles reduce` on a made-up table that is larger than the memory it takes.

    python benchmarks/reduce_profiles.py [--wells 200000] [--features 2000] [--components 128] [--folder DIR]

The table is written plate by plate as Parquet of float32; the command runs in a process of its own, and its peak
resident memory is what the operating system says of it. That the numbers are right is what the tests see to.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

N_ON_PLATE = 384
N_CONTROLS = 32
PLATES_A_GROUP = 16


def write_table(path: Path, *, n_wells: int, n_features: int) -> None:
    """Write correlated profiles of plates, with controls, a few plates in memory at a time."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(40, n_features)).astype(np.float32)
    names = [f"F{feature:04}" for feature in range(n_features)]
    writer = None
    for first in range(0, n_wells, N_ON_PLATE * PLATES_A_GROUP):
        n = min(N_ON_PLATE * PLATES_A_GROUP, n_wells - first)
        rows = np.arange(first, first + n)
        values = rng.normal(size=(n, 40)).astype(np.float32) @ loadings
        values += rng.standard_normal((n, n_features), dtype=np.float32) * 3 + 100
        is_control = rows % N_ON_PLATE < N_CONTROLS
        about = {
            "Metadata_Plate": pa.array([f"P{row // N_ON_PLATE:05}" for row in rows]),
            "Metadata_pert_type": pa.array(np.where(is_control, "negcon", "trt")),
        }
        table = pa.table(about | {name: values[:, place] for place, name in enumerate(names)})
        writer = writer or pq.ParquetWriter(path, table.schema, compression="none", use_dictionary=False)
        writer.write_table(table, row_group_size=n)
    if writer is not None:
        writer.close()


def main() -> None:
    """Make the table, run the command, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--wells", type=int, default=200_000)
    parser.add_argument("--features", type=int, default=2_000)
    parser.add_argument("--components", type=int, default=128)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        source, target = Path(folder) / "all.parquet", Path(folder) / "reduced.parquet"
        write_table(source, n_wells=asked.wells, n_features=asked.features)
        print(f"{asked.wells:,} x {asked.features:,}: {source.stat().st_size / 2**20:,.0f} MiB of Parquet", flush=True)
        command = ["profiles", "reduce", source, target, "--components", asked.components, "--scratch", folder]
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "hcs.cli", *map(str, command), "--controls", "Metadata_pert_type == 'negcon'"],
            check=True,
        )
        seconds = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"{seconds:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU, peak {used.ru_maxrss / 2**10:,.0f} MiB")
        shape = pq.ParquetFile(target).metadata
        assert (shape.num_rows, shape.num_columns) == (asked.wells, asked.components + 2)


if __name__ == "__main__":
    main()
