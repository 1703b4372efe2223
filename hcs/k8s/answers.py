"""What a refusal of the Kubernetes API means, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hcs.errors import (
    KubernetesBusyError,
    KubernetesConflictError,
    KubernetesError,
    KubernetesGoneError,
    KubernetesInvalidError,
    KubernetesNotAllowedError,
    KubernetesNotFoundError,
    KubernetesQuotaError,
)
from hcs.k8s.meaning import quoted, text_in

REFUSAL_BYTES = 1024 * 1024

_EXPLAINED: Mapping[int, tuple[type[KubernetesError], str]] = {
    400: (KubernetesInvalidError, "Correct the template of runs, with `hcs k8s check`."),
    401: (
        KubernetesNotAllowedError,
        "Its token is unknown, or has ended: does the pod mount the token of its ServiceAccount?",
    ),
    403: (
        KubernetesNotAllowedError,
        "Does the RoleBinding give the dispatcher's ServiceAccount the Role for RayJobs in this namespace?",
    ),
    404: (
        KubernetesNotFoundError,
        "Is it there, is the namespace the right one, and is KubeRay installed in the cluster?",
    ),
    409: (KubernetesConflictError, "Somebody else was faster: look at what is there."),
    410: (KubernetesGoneError, "What is there is listed anew."),
    422: (KubernetesInvalidError, "Correct the template of runs, with `hcs k8s check`."),
    429: (KubernetesBusyError, "It is asked again later."),
}
_BROKEN = (KubernetesBusyError, "The API has a trouble of its own; it is asked again later.")
_ELSE = (KubernetesError, "Look at the log of the Kubernetes API.")


def refusal(
    asked: str, status: int, said: Mapping[str, Any] | None, *, retry_after: str | None = None
) -> KubernetesError:
    """Return the error of an answer that is none of success.

    Args:
        asked: The request.
        status: HTTP's number.
        said: The `Status` that came with it, if one did.
        retry_after: The header, in seconds.
    """
    message = quoted(text_in(said, "message")) or text_in(said, "reason") or "without a word"
    kind, advice = _EXPLAINED.get(status, _BROKEN if status >= 500 else _ELSE)
    if status == 403 and "exceeded quota" in message:
        kind, advice = KubernetesQuotaError, "It is asked for again when others have ended; or raise the quota."
    error = kind(
        f"the Kubernetes API answered {status} to {asked!r}: {message.rstrip('.')}. {advice}",
        retry_after=_seconds(retry_after),
    )
    if isinstance(error, KubernetesNotAllowedError):
        error.is_unknown = status == 401
    return error


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.strip().isdecimal() else None
