"""Calls on treatments, as the API answers them."""

from __future__ import annotations

from typing import Any

from schemas.api import Hit


def made(number: int = 0, **changes: Any) -> Hit:
    plain: dict[str, Any] = {
        "treatment": f"C{number}@1", "perturbation": f"C{number}", "concentration_micromolar": 1.0, "dose_step": None,
        "control_type": "treatment", "profile": "combined", "n_replicates": 4, "n_plates": 2, "n_batches": 2,
        "n_controls": 16, "mean_average_precision": 0.8, "p_value": 0.001, "smallest_possible_p": 0.0001,
        "q_value": 0.01, "is_hit": True, "call": "active", "reason": None, "effect": 2.5, "cell_count_ratio": 0.9,
        "explained_by_count": "not_explained", "name": None, "smiles": None, "mechanism": "tubulin inhibitor",
        "mechanism_source": "annotated", "predicted_mechanism": None, "mechanism_evidence": None,
    }  # fmt: skip
    return Hit(**{**plain, **changes})
