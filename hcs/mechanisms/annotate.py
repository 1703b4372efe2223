"""Names a mechanism for every call: the annotated one, or that of the nearest annotated hit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.mechanisms.consensus import Consensus, consensus_profiles
from hcs.statistics.consensus import Operation
from hcs.statistics.neighbours import nearest_neighbours
from hcs.statistics.not_same import label_set
from schemas.results import PublishedCalls
from schemas.tables import TreatmentCalls
from schemas.treatments import with_treatment_keys

N_EVIDENCE = 5
"""Annotated neighbours that stand as evidence beside a prediction."""


def annotate_calls(
    calls: dy.DataFrame[TreatmentCalls],
    profiles: NDArray[np.float64],
    wells: pl.DataFrame,
    *,
    operation: Operation = "median",
) -> dy.DataFrame[PublishedCalls]:
    """Return the calls with what is known of each perturbation and what its neighbours suggest.

    `mechanism` is the annotated one where there is one, else for a hit the predicted one. A treatment that is no hit is
    not given the mechanism of a neighbour: its profile is not known to differ from a control's.

    Args:
        calls: Of one profile.
        profiles: (N, D), the profile that was called, one row a well, in the order of `wells`.
        wells: `perturbation, concentration_micromolar, dose_step, control_type, mechanism, name, smiles`.
        operation: How the wells of a treatment become one profile.
    """
    known = _known(wells)
    hits = with_treatment_keys(calls).filter("is_hit")["treatment"]
    predicted = predict_mechanisms(
        consensus_profiles(profiles, wells, operation=operation),
        mechanisms={name: label for name, label in known.select("perturbation", "annotated").iter_rows() if label},
        hits=hits.to_list(),
    )
    annotated, suggested = pl.col("annotated"), pl.col("predicted_mechanism")
    frame = (
        with_treatment_keys(calls)
        .join(known, on="perturbation", how="left", maintain_order="left")
        .join(predicted, on="treatment", how="left", maintain_order="left")
        .with_columns(
            mechanism=pl.coalesce(annotated, suggested),
            mechanism_source=pl.when(annotated.is_not_null())
            .then(pl.lit("annotated"))
            .when(suggested.is_not_null())
            .then(pl.lit("predicted"))
            .otherwise(pl.lit("none")),
        )
    )
    return PublishedCalls.validate(frame.select(PublishedCalls.column_names()), cast=True)


def predict_mechanisms(
    consensus: Consensus, *, mechanisms: Mapping[str, str], hits: Sequence[str], top: int = N_EVIDENCE
) -> pl.DataFrame:
    """Return the mechanism of the nearest annotated hit for every hit, its own annotation hidden.

    The neighbours are the other perturbations that have an annotation and are hits themselves, each at its most similar
    dose. An annotated treatment that is no hit says nothing: it did not do here what it is annotated for. The first
    neighbour decides (1-NN of Ljosa et al. 2013, J Biomol Screen 18:1321, never by the same compound); the others are
    evidence. There is no prediction without a neighbour of positive similarity.

    Args:
        consensus: Profiles of the treatments.
        mechanisms: Perturbation -> mechanism; several are joined by `|`.
        hits: Keys of treatments that are hits.
        top: Neighbours kept as evidence.

    Returns:
        `treatment, predicted_mechanism, mechanism_evidence`, one row a hit with a prediction, sorted. The evidence is a
        JSON object: the `neighbours` with `treatment`, `mechanism` and `similarity`, and their `agreement`, the share
        of them that have a label in common with the first, itself included.
    """
    is_hit = consensus.treatments["treatment"].is_in(list(hits)).to_numpy()
    is_annotated = consensus.treatments["perturbation"].is_in(list(mechanisms)).to_numpy()
    queries, references = np.flatnonzero(is_hit), np.flatnonzero(is_hit & is_annotated)
    groups = consensus.perturbation_numbers
    near = nearest_neighbours(
        consensus.profiles[queries],
        consensus.profiles[references],
        query_groups=groups[queries],
        reference_groups=groups[references],
        top=top,
    )
    names, perturbations = consensus.treatments["treatment"], consensus.treatments["perturbation"]
    predictions = []
    for query, rows, similarities in zip(queries.tolist(), near.rows, near.similarities, strict=True):
        evidence = [
            {"treatment": names[row], "mechanism": mechanisms[perturbations[row]], "similarity": similarity}
            for row, similarity in zip(references[rows[rows >= 0]].tolist(), similarities.tolist(), strict=False)
            if similarity > 0
        ]
        if evidence:
            predictions.append((names[query], evidence[0]["mechanism"], _as_json(evidence)))
    schema = {"treatment": pl.String, "predicted_mechanism": pl.String, "mechanism_evidence": pl.String}
    return pl.DataFrame(predictions, schema=schema, orient="row")


def _as_json(evidence: Sequence[Mapping[str, str | float]]) -> str:
    first = label_set(str(evidence[0]["mechanism"]))
    agreeing = [bool(first & label_set(str(neighbour["mechanism"]))) for neighbour in evidence]
    content = {"agreement": round(sum(agreeing) / len(agreeing), 3), "neighbours": list(evidence)}
    return json.dumps(content, ensure_ascii=False)


def _known(wells: pl.DataFrame) -> pl.DataFrame:
    """Return name, SMILES and annotated mechanism of every perturbation; where wells disagree the first by name."""
    texts = [
        pl.col(column).cast(pl.String).str.strip_chars().replace("", None).drop_nulls().min().alias(alias)
        for column, alias in (("name", "name"), ("smiles", "smiles"), ("mechanism", "annotated"))
    ]
    return wells.filter(pl.col("perturbation").is_not_null()).group_by("perturbation").agg(texts)
