"""Calls on treatments, as the API answers them."""

from __future__ import annotations

from typing import Any

from hcs.hits.explain import doubts_of_call, sentences_of_call
from schemas.api import Hit

UNTESTED = dict.fromkeys(
    ("p_position", "smallest_possible_p_position", "position_verdict", "explained_by_count", "n_other_positions",
     "other_positions_precision", "channel_verdict", "channel", "batch_verdict", "n_batches_testable",
     "n_batches_holding", "quality_verdict", "n_judged", "n_flagged", "flagged_share_of_controls")
)  # fmt: skip
"""What a run of an earlier version says of a hit."""


def made(number: int = 0, **changes: Any) -> Hit:
    plain: dict[str, Any] = {
        "treatment": f"C{number}@1", "perturbation": f"C{number}", "concentration_micromolar": 1.0, "dose_step": None,
        "control_type": "treatment", "profile": "combined", "n_replicates": 4, "n_plates": 2, "n_batches": 2,
        "n_controls": 16, "mean_average_precision": 0.8, "p_value": 0.001, "smallest_possible_p": 0.0001,
        "p_position": 0.002, "smallest_possible_p_position": 0.0002, "position_verdict": "corrected",
        "q_value": 0.01, "is_hit": True, "call": "active", "reason": None, "effect": 2.5, "cell_count_ratio": 0.9,
        "explained_by_count": "not_explained", "n_other_positions": 0, "other_positions_precision": None,
        "channel_verdict": "several_channels", "channel": "DNA", "batch_verdict": "every_batch",
        "n_batches_testable": 2, "n_batches_holding": 2, "quality_verdict": "as_controls", "n_judged": 4,
        "n_flagged": 0, "flagged_share_of_controls": 0.0, "name": None, "smiles": None,
        "mechanism": "tubulin inhibitor", "mechanism_source": "annotated",
        "predicted_mechanism": None, "mechanism_evidence": None,
    }  # fmt: skip
    call = {**plain, **changes}
    return Hit(**{"doubts": doubts_of_call(call), "explanations": sentences_of_call(call), **call})
