"""The audit of three real batches of JUMP-MOA, beside the profiles as they were delivered.

    python benchmarks/audit_jump_moa.py FOLDER

FOLDER holds the `*_normalized_feature_select_negcon_batch.csv.gz` of the three batches. They are audited with the
features that all three have, as delivered and without the features that hold outliers (`drop_outliers`); retrieval is
of compounds that the rule did not look at, in another batch and another well. Next come the paired difference to
the delivered profiles, with a bootstrap interval over these compounds, then controls by position (.069 by chance), LISI
and Cohen's d.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from hcs.io.tables import read_table
from hcs.profiling.audit.audit import BY_SIMPLICITY, Audit, audit_profiles
from hcs.profiling.audit.told import verdict
from hcs.profiling.audit.wells import AuditColumns, audit_wells, perturbation_order
from hcs.profiling.corrections.registry import CORRECTIONS
from hcs.profiling.join import join_profiles
from hcs.profiling.matrix import ProfileMatrix, profile_matrix
from hcs.profiling.select import select_features
from hcs.statistics.bootstrap import bootstrap_interval

COLUMNS = AuditColumns(
    batch="Metadata_batch", perturbation="Metadata_broad_sample", plate="Metadata_Plate", well="Metadata_Well"
)


def without_outliers(profiles: ProfileMatrix) -> ProfileMatrix:
    """Return the profiles without features that hold values beyond 500."""
    kept = select_features(profiles.values, profiles.features, steps=["drop_outliers"]).kept
    names = tuple(name for name, is_kept in zip(profiles.features, kept, strict=True) if is_kept)
    return ProfileMatrix(profiles.metadata, profiles.values[:, kept], names)


def audited(profiles: ProfileMatrix) -> tuple[Audit, np.ndarray]:
    """Return the audit, and the compounds that it reports on."""
    is_negcon = (profiles.metadata["Metadata_control_type"] == "negcon").fill_null(value=False).to_numpy()
    wells = audit_wells(profiles.metadata, profiles.values, columns=COLUMNS, is_negcon=is_negcon)
    made = audit_profiles(profiles.values, wells, corrections={name: CORRECTIONS[name] for name in BY_SIMPLICITY})
    order = perturbation_order(wells.perturbations, seed=made.seed)
    return made, order[len(order) // 2 :]


def main() -> None:
    """Audit and print a table."""
    profiles = join_profiles([profile_matrix(read_table(str(path))) for path in sorted(Path(sys.argv[1]).glob("*.gz"))])
    delivered, reported = audited(profiles)
    base = delivered.methods[0].retrieval.by_label[reported]
    for title, (made, _) in {
        "as delivered": (delivered, reported),
        "without outliers": audited(without_outliers(profiles)),
    }.items():
        sys.stdout.write(f"{title}: {verdict(made)}\n")
        sys.stdout.writelines(f"  {sentence}\n" for sentence in (made.layout.sentence, *made.notes))
        for one in made.methods:
            less = bootstrap_interval(one.retrieval.by_label[reported] - base, np.random.default_rng(0))
            sys.stdout.write(
                f"| {one.method} | {one.reported.mean:.3f} [{one.reported.low:.3f}, {one.reported.high:.3f}] "
                f"| {less.mean:+.3f} [{less.low:+.3f}, {less.high:+.3f}] | {one.biology.position_matched:.3f} "
                f"| {one.mixing.diversity:.2f} | {one.biology.distance:.2f} |\n"
            )


if __name__ == "__main__":
    main()
