"""What has become of a unit: an outcome with its reason, or an error that is no unit's fault."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from hcs.errors import CancelledError, EngineError, HcsError, InputChangedError, StorageError, WeightsError
from schemas.work import Receipt, UnitOutcome, UnitSpec

log = structlog.get_logger(__name__)


def outcome_of(spec: UnitSpec, perform: Callable[[], Receipt]) -> UnitOutcome:
    """Return the outcome of a unit: its receipt, or the reason why there is none.

    Raises:
        StorageError: A disk that is full or closed is not the unit's fault, nor is a store that does not answer.
        InputChangedError: Nor is an image that somebody exchanged: a run never mixes two versions of its input.
        WeightsError: Nor are weights that do not fit: no unit could be done with them.
        EngineError: Nor is an engine that cannot honour the pin.
        CancelledError: The unit was asked to stop; it is not a failure either.
    """
    try:
        return UnitOutcome(key=spec.key, receipt=perform())
    except (StorageError, InputChangedError, CancelledError, WeightsError, EngineError):
        raise
    except HcsError as error:
        return UnitOutcome(key=spec.key, reason=str(error))
    except Exception as error:
        log.debug("unit raised", plate=spec.plate, key=spec.key, exc_info=True)
        return UnitOutcome(key=spec.key, reason=f"{type(error).__name__}: {error}")
