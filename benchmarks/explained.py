"""What else explains a hit, where it is known: verdicts on simulated cytotoxics and on compounds that glow.

    python benchmarks/explained.py [--seeds 10] [--mixes many few]

Screens of 5 plates x 384 wells: 32 negative controls, 110 compounds of which 30 are active without losing cells, 5
glow in one channel, and some kill: `many` has 15 generic cytotoxics and 5 of each of three mechanisms that kill with a
phenotype of their own, `few` 3 and 1 of each; all leave 30 to 70 % of the cells. 100 features, robust z on the controls
of each plate, hits at q <= .05. `matched` are hits with at least 8 wells of 3 other perturbations with counts near
theirs.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hcs.hits.activity import call_activity
from hcs.hits.count import count_ratios, has_count_matches
from hcs.hits.fluorescence import channels_of_effects
from hcs.hits.hit_pool import HitPool
from hcs.hits.treatments import ScreenWells, screen_wells
from hcs.profiling.normalize import robust_z
from hcs.simulation.cytotoxics import Cytotoxics, CytotoxicScreen, simulate_cytotoxics
from hcs.simulation.profiles import ProfileDesign

DESIGN = ProfileDesign(
    n_plates=5, n_features=100, n_compounds=110, n_mechanisms=10, active_share=30 / 110, toxic_share=0.0, n_negcon=32
)
MIXES = {"many": Cytotoxics(n_glowing=5), "few": Cytotoxics(n_generic=3, n_specific=1, n_glowing=5)}
KINDS = ("generic", "specific", "active", "glowing", "inactive")
VERDICTS = ("explained", "not_explained", "cannot_tell")
Q_MAX = 0.05


def called(screen: CytotoxicScreen) -> tuple[ScreenWells, pl.DataFrame]:
    """Return the wells as calls see them, and the hits with their kind."""
    z = robust_z(
        screen.profiles,
        plates=screen.wells["plate"].to_list(),
        is_negcon=(screen.wells["control_type"] == "negcon").to_numpy(),
    ).values
    dose = pl.lit(None, dtype=pl.Float64)
    wells = screen.wells.drop("row", "column").with_columns(concentration_micromolar=dose, dose_step=dose)
    calls = call_activity(z, wells, profile_name="simulated", q_max=Q_MAX, seed=0)
    hits = calls.filter((pl.col("control_type") == "treatment") & pl.col("is_hit"))
    truth = screen.truth.select("perturbation", "kind", "channel")
    # No channels are told to the calls, whose column of that name is empty.
    return screen_wells(z, wells), hits.drop("channel").join(truth, on="perturbation")


def verdicts_of(seed: int, cytotoxics: Cytotoxics) -> pl.DataFrame:
    """Return a row a hit: kind, verdicts on count and channel, whether other wells have such counts."""
    screen = simulate_cytotoxics(DESIGN, cytotoxics=cytotoxics, seed=seed)
    wells, hits = called(screen)
    ratios = count_ratios(wells.cell_counts, wells.plates, wells.is_negcon)
    rows = {item.perturbation: item.wells for item in wells.treatments}
    return hits.select("perturbation", "kind", "channel", "explained_by_count").with_columns(
        is_matched=pl.Series([has_count_matches(wells, ratios, rows[name]) for name in hits["perturbation"]]),
        shows=pl.Series([_shows(wells, rows[name], screen.channels) for name in hits["perturbation"]]),
    )


def _shows(wells: ScreenWells, replicates: NDArray[np.intp], channels: dict[str, list[int]]) -> str:
    controls = wells.negcons_of(wells.plates[replicates])
    pool = HitPool(
        wells.profiles[replicates][None], wells.plates[replicates], wells.profiles[controls], wells.plates[controls]
    )
    effect = channels_of_effects(pool, channels=channels, seed=0)[0]
    return f"{effect.verdict} {effect.channel}" if effect.verdict == "one_channel" else effect.verdict


def rows_of(found: pl.DataFrame, mix: str) -> Iterator[str]:
    """Yield the shares of verdicts, a row a kind of compound."""
    for kind in KINDS:
        hits = found.filter(pl.col("kind") == kind)
        if hits.is_empty():
            continue
        matched = hits.filter("is_matched")
        counts, of_matched = (Counter(table["explained_by_count"].to_list()) for table in (hits, matched))
        shares = "".join(f"{counts[verdict] / hits.height:>15.3f}" for verdict in VERDICTS)
        shares += "".join(f"{of_matched[verdict] / max(1, matched.height):>15.3f}" for verdict in VERDICTS)
        yield f"{mix:<6}{kind:<10}{hits.height:>6}{shares}{matched.height:>9}"


def channel_rows(found: pl.DataFrame) -> Iterator[str]:
    """Yield where hits show, a row a kind of compound."""
    for kind in KINDS:
        hits = found.filter(pl.col("kind") == kind)
        if hits.is_empty():
            continue
        is_right = (pl.lit("one_channel ") + pl.col("channel").fill_null("none")) == pl.col("shows")
        share = hits.select(
            one=pl.col("shows").str.starts_with("one_channel").mean(),
            right=is_right.mean(),
            several=(pl.col("shows") == "several_channels").mean(),
            neither=(pl.col("shows") == "cannot_tell").mean(),
        ).row(0)
        yield f"{kind:<10}{hits.height:>6}" + "".join(f"{value:>18.3f}" for value in share)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="screens of each mix")
    parser.add_argument("--mixes", nargs="+", choices=list(MIXES), default=list(MIXES))
    options = parser.parse_args()
    start, everything = time.perf_counter(), []
    print(
        f"{'mix':<6}{'kind':<10}{'hits':>6}"
        + "".join(f"{v:>15}" for v in VERDICTS)
        + "   ... of matched"
        + " " * 32
        + "hits"
    )
    with threadpool_limits(limits=1):
        for mix in options.mixes:
            found = pl.concat([verdicts_of(seed, MIXES[mix]) for seed in range(options.seeds)])
            everything.append(found)
            for row in rows_of(found, mix):
                print(row, flush=True)
    print(f"\n{'kind':<10}{'hits':>6}{'one channel':>18}{'the right one':>18}{'several':>18}{'cannot tell':>18}")
    for row in channel_rows(pl.concat(everything)):
        print(row)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
