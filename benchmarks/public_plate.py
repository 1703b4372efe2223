"""A public plate scored by the commands of `hcs` and by copairs 0.5.5: the tables of the how-to.

    python benchmarks/public_plate.py [--data ../shared/data]

The plate is SQ00015054 of LINCS, as cytominer-eval has it. Prints what is called of its 58 compounds, doses taken for
replicates, as delivered and after a median polish; what DMSO wells that lie as the doses of a compound do look like, if
they are taken for a compound; and its mechanisms.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from hcs.cli.main import app
from hcs.io.tables import read_table
from hcs.statistics.robust import spatial_median

PLATE = "profiles_lincs_plate/SQ00015054_normalized_feature_select.csv.gz"
COMPOUND, DOSE, WELL, MECHANISM = (
    "Metadata_broad_sample",
    "Metadata_mmoles_per_liter",
    "Metadata_Well",
    "Metadata_moa",
)
IS_DMSO = f"{COMPOUND} == 'DMSO'"
BLOCKS = {
    f"{row}{first:02d} to {row}{first + 5:02d}": [f"{row}{column:02d}" for column in range(first, first + 6)]
    for row, first in (("A", 1), ("B", 1), ("F", 7), ("J", 13))
}
"""All of the plate's DMSO wells, six neighbours of a row at a time."""
NULL_SIZE = 10_000


def command(*arguments: str) -> list[dict[str, object]]:
    """Return the table that `hcs` prints, or none if it writes a file."""
    ended = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return json.loads(ended.stdout) if "json" in arguments else []


def activity(source: str, *options: str, controls: str = IS_DMSO) -> list[dict[str, object]]:
    """Return the calls of `hcs score activity`."""
    named = ("--perturbation", COMPOUND, "--controls", controls)
    return command("score", "activity", source, *named, *options, "--format", "json")


def controls_without(wells: list[str]) -> str:
    """Return the selection of all DMSO wells but these."""
    return f"{IS_DMSO} and not {WELL} in [{', '.join(repr(well) for well in wells)}]"


def activity_of_copairs(
    source: str, keys: list[str], *, without: list[str] | None = None, centred: bool = False
) -> pd.DataFrame:
    """Return copairs' own table of groups with the same `keys`, DMSO the negatives.

    Args:
        source: Table of profiles.
        keys: Columns that replicates share.
        without: DMSO wells that are taken for a compound.
        centred: Whether the spatial median of the controls is subtracted from all wells.
    """
    from copairs.map import average_precision, mean_average_precision

    table = read_table(source).to_pandas()
    meta = table.filter(like="Metadata_").copy()
    values = table.drop(columns=meta.columns).to_numpy(dtype=np.float64)
    is_control = ((meta[COMPOUND] == "DMSO") & ~meta[WELL].isin(without or [])).to_numpy()
    if centred:
        values = values - spatial_median(values[is_control])
    # A control is a compound of its own, so that no two of them are replicates.
    meta.loc[is_control, COMPOUND] = [f"control {number}" for number in range(is_control.sum())]
    meta["is_control"] = is_control.astype(int)
    scored = average_precision(meta, values, keys, [], ["Metadata_Plate"], ["is_control"], progress_bar=False)
    with tempfile.TemporaryDirectory() as cache:
        return mean_average_precision(
            scored[scored["is_control"] == 0],
            keys,
            null_size=NULL_SIZE,
            threshold=0.05,
            seed=0,
            progress_bar=False,
            cache_dir=cache,
        )


def consistency_of_copairs(source: str) -> pd.DataFrame:
    """Return copairs' own table of mechanisms; doses of one compound are not one another's positives."""
    from copairs.map import mean_average_precision, multilabel

    table = read_table(source).to_pandas()
    table = table[table[MECHANISM].notna()].reset_index(drop=True)
    meta = table.filter(like="Metadata_").copy()
    values = table.drop(columns=meta.columns).to_numpy(dtype=np.float64)
    meta[MECHANISM] = meta[MECHANISM].str.split("|")
    different = [COMPOUND]
    each = multilabel.average_precision(
        meta, values, [MECHANISM], different, [], [MECHANISM], multilabel_col=MECHANISM, progress_bar=False
    )
    with tempfile.TemporaryDirectory() as cache:
        return mean_average_precision(
            each, [MECHANISM], null_size=NULL_SIZE, threshold=0.05, seed=0, progress_bar=False, cache_dir=cache
        )


def print_activity(sources: dict[str, str]) -> None:
    """Print how many compounds are called, and the p-values of DMSO wells that are taken for a compound."""
    print("| 58 compounds, 24 controls | `hcs` | `hcs --null copairs` | copairs | copairs, centred on the controls |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, source in sources.items():
        ours = [sum(bool(row["is_hit"]) for row in activity(source, *o)) for o in ((), ("--null", "copairs"))]
        theirs = [
            int(activity_of_copairs(source, [COMPOUND], centred=centred)["below_corrected_p"].sum())
            for centred in (False, True)
        ]
        print(f"| called, {name} | {' | '.join(str(number) for number in ours + theirs)} |", flush=True)
    print("\n| DMSO wells as a compound | mAP | p, `hcs` | p, copairs | polished: mAP | p, `hcs` | p, copairs |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for block, wells in BLOCKS.items():
        cells = []
        for source in sources.values():
            calls = activity(source, controls=controls_without(wells))
            [mine] = [row for row in calls if row["perturbation"] == "DMSO"]
            theirs = activity_of_copairs(source, [COMPOUND], without=wells).set_index(COMPOUND).loc["DMSO"]
            cells += [f"{mine['mean_average_precision']:.2f}", f"{mine['p_value']:.2g}", f"{theirs['p_value']:.2g}"]
        print(f"| {block} | {' | '.join(cells)} |", flush=True)


def print_consistency(source: str) -> None:
    """Print the mechanisms, by both."""
    options = ("--label", MECHANISM, "--multilabel", "|", "--perturbation", COMPOUND, "--format", "json")
    ours = {row["label"]: row for row in command("score", "consistency", source, *options)}
    print("\n| label | mAP, `hcs` | mAP, copairs | p, copairs | q, copairs | p, `hcs` | q, `hcs` |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for _, peer in consistency_of_copairs(source).sort_values("p_value").iterrows():
        mine = ours[peer[MECHANISM]]
        print(
            f"| {peer[MECHANISM]} | {mine['mean_average_precision']:.4f} | {peer['mean_average_precision']:.4f} | "
            f"{peer['p_value']:.2g} | {peer['corrected_p_value']:.2g} | {mine['p_value']:.2g} | {mine['q_value']:.2g} |"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with the plate")
    source = str(parser.parse_args().data / PLATE)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(limits=1):
        polished, doses = f"{scratch}/polished.parquet", f"{scratch}/doses.parquet"
        command("profiles", "correct", source, polished, "--method", "median-polish", "--controls", IS_DMSO)
        print_activity({"as delivered": source, "polished": polished})
        by_dose = activity_of_copairs(source, [COMPOUND, DOSE])
        print(f"\ncopairs by compound and dose: {len(by_dose)} groups of two wells or more")
        command("profiles", "consensus", source, doses, "--by", COMPOUND, "--by", DOSE, "--by", MECHANISM)
        print_consistency(doses)


if __name__ == "__main__":
    main()
