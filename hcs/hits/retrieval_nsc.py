"""NSC and NSCB: does the nearest profile of another compound, in another batch, share a label?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError
from hcs.hits.finite import refuse_missing, row_name
from hcs.statistics.not_same import Retrieval, label_set, not_same_compound, not_same_compound_or_batch


@dataclass(frozen=True)
class NearestLabels:
    """What `nearest_labels` finds."""

    scores: pl.DataFrame
    """A row a score (`NSC`, `NSCB exact`, `NSCB strict`): `score, accuracy, n_right, n_queries, n_answerable,
    answerable_accuracy`."""
    confusion: pl.DataFrame
    """`score, label, nearest_label, n`: how many queries of a label have a nearest profile of the other."""


def nearest_labels(
    profiles: NDArray[np.float64],
    *,
    perturbations: Sequence[str],
    labels: Sequence[str],
    batches: Sequence[str] | None = None,
    between_batches: str = ",",
    left_out: Sequence[str] = (),
) -> NearestLabels:
    """Return NSC, and with batches both readings of NSCB, each with its confusion table.

    Where a perturbation was made in several batches, `batches` holds their list. Two lists are the same batch for the
    exact score if their texts are equal, which is what is usually published: a compound in all batches then is nobody's
    batch, and stays a candidate for everyone. For the strict score they are the same batch if they share one.

    A query whose label no candidate has is wrong, and `n_answerable` tells how many queries are not of that kind.

    Args:
        profiles: (N, D), finite, a row a treatment.
        perturbations: (N,), which compound a row is of.
        labels: (N,), several as "a|b", empty for none.
        batches: (N,), as "week1" or "week1,week2".
        between_batches: What stands between the batches of a row.
        left_out: Labels whose rows take no part, such as those that are in one batch alone.

    Raises:
        InputRejectedError: If a profile is not finite, no row has a label, or a row lacks its batch.
        UsageError: If a label is left out that no row has.
    """
    unwanted = _left_out(labels, left_out)
    used = [label if not (label_set(label) & unwanted) else "" for label in labels]
    _check(profiles, used, batches)
    found = {"NSC": not_same_compound(profiles, compounds=perturbations, labels=used)}
    if batches is not None:
        for name, between in (("NSCB exact", None), ("NSCB strict", between_batches)):
            found[name] = not_same_compound_or_batch(
                profiles, compounds=perturbations, labels=used, batches=batches, between_batches=between
            )
    return NearestLabels(
        scores=pl.DataFrame([_score(name, one) for name, one in found.items()], infer_schema_length=None),
        confusion=pl.concat([_confusion(name, one, used) for name, one in found.items()]),
    )


def _left_out(labels: Sequence[str], names: Sequence[str]) -> frozenset[str]:
    known = frozenset().union(*map(label_set, labels))
    for name in names:
        if not label_set(name) & known:
            raise UsageError(
                f"{name!r} is to be left out, but no row has this label; there are {', '.join(sorted(known))}"
            )
    return frozenset().union(*map(label_set, names))


def _check(profiles: NDArray[np.float64], labels: Sequence[str], batches: Sequence[str] | None) -> None:
    labelled = np.array([bool(label_set(label)) for label in labels], dtype=np.bool_)
    if not labelled.any():
        raise InputRejectedError(
            f"rows with a label are expected, but none of {len(labels)} has one; name the column of the labels, or "
            "leave fewer of them out"
        )
    refuse_missing(profiles, np.flatnonzero(labelled), name=row_name)
    if batches is not None:
        lacking = [row for row in np.flatnonzero(labelled).tolist() if not batches[row].strip()]
        if lacking:
            raise InputRejectedError(
                f"the batch of every row with a label is needed, but row {lacking[0] + 1} has none ({len(lacking)} "
                "rows like it); without one it cannot be known to be of another batch"
            )


def _score(name: str, found: Retrieval) -> dict[str, object]:
    n_answerable = int(found.is_answerable.sum())
    return {
        "score": name,
        "accuracy": found.accuracy,
        "n_right": int(found.is_right.sum()),
        "n_queries": found.n_queries,
        "n_answerable": n_answerable,
        "answerable_accuracy": float(found.is_right.sum()) / n_answerable if n_answerable else None,
    }


def _confusion(name: str, found: Retrieval, labels: Sequence[str]) -> pl.DataFrame:
    queries = np.flatnonzero(found.nearest >= 0)
    return (
        pl.DataFrame(
            {
                "score": [name] * len(queries),
                "label": [labels[row] for row in queries.tolist()],
                "nearest_label": [labels[row] for row in found.nearest[queries].tolist()],
            },
            schema={"score": pl.String, "label": pl.String, "nearest_label": pl.String},
        )
        .group_by("score", "label", "nearest_label")
        .agg(pl.len().cast(pl.Int64).alias("n"))
        .sort("label", "n", "nearest_label", descending=[False, True, False])
    )
