"""Contracts of what a finished run publishes: calls with their annotation, neighbours, and files of profiles."""

from __future__ import annotations

import dataframely as dy
import polars as pl
from pydantic import Field

from schemas.screen import Record
from schemas.tables import TreatmentCalls

MECHANISM_SOURCES = ("annotated", "predicted", "none")


class PublishedCalls(TreatmentCalls):
    """Stop 7: a call beside what is known of the perturbation."""

    name = dy.String(nullable=True, description="What people call the perturbation.")
    smiles = dy.String(nullable=True)
    mechanism = dy.String(nullable=True, description="Annotated, else predicted; several are joined by |.")
    mechanism_source = dy.Enum(MECHANISM_SOURCES)
    predicted_mechanism = dy.String(nullable=True, description="From neighbours, the own annotation hidden.")
    mechanism_evidence = dy.String(nullable=True, description="A JSON object: what the prediction rests on.")

    @dy.rule()
    def a_mechanism_says_where_it_comes_from(cls) -> pl.Expr:  # noqa: D102, N805
        return pl.col("mechanism").is_null() == (pl.col("mechanism_source") == "none")


class TreatmentNeighbours(dy.Schema):
    """Stop 7: the most similar treatments of a treatment, nearest first."""

    profile = dy.String(primary_key=True)
    treatment = dy.String(primary_key=True, description="A key of `schemas.treatments`.")
    rank = dy.Int32(primary_key=True, min=1)
    neighbour = dy.String(description="A key of `schemas.treatments`.")
    similarity = dy.Float64(description="Cosine, in [-1, 1] up to rounding.")


class ProfileReceipt(Record):
    """One file of well profiles that a run wrote; visible only once its row is committed."""

    name: str = Field(min_length=1, description="An encoder, or combined.")
    relative_path: str = Field(description="Under the parts folder.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    n_bytes: int = Field(ge=0)
    n_rows: int = Field(ge=0)
    n_features: int = Field(ge=0)
