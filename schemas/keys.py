"""What somebody with a key may do, and what became of a key."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """What a key is good for: `read` asks, `submit` also starts, cancels and retries runs, `admin` also all else."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"


INCLUDED_SCOPES: dict[Scope, tuple[Scope, ...]] = {
    Scope.READ: (Scope.READ,),
    Scope.SUBMIT: (Scope.READ, Scope.SUBMIT),
    Scope.ADMIN: (Scope.READ, Scope.SUBMIT, Scope.ADMIN),
}
"""What a scope includes: each one all that stand before it."""


class KeyState(StrEnum):
    """Whether a key opens anything: only a valid one does."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"
