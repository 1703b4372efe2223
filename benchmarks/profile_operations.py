"""The operations that `profiles.py` times, as we do them and as pycytominer does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

PLATE, CONTROLS = "Metadata_Plate", "Metadata_control"
REPLICATE = ["Metadata_layout", "Metadata_Well"]


class Screen(NamedTuple):
    """Profiles, and what is in the wells."""

    metadata: pl.DataFrame
    values: NDArray[np.float32]
    features: list[str]


@dataclass(frozen=True)
class Operation:
    """One operation of both sides. Nothing is imported before one of them is asked for."""

    ours: Callable[[], Callable[[Screen], Any]]
    """Imports, and returns what is timed."""
    peer: Callable[[], Callable[[Any], Any]]
    """The same on a table of pandas."""
    tolerance: float = 1e-5
    """Largest difference, over the size of the value or `scale`."""
    scale: float = 1.0
    sites: int = 1
    pairs: int = 0
    rows_of: int | None = None
    """Wells, however many plates were asked for, rounded up to plates."""
    comparable: Callable[[Any], NDArray[Any]] = np.asarray

    def side(self, name: str) -> tuple[Callable[[Screen], Any], Callable[[Any], Any]]:
        """Return what turns the screen into the type of the side, and what is timed."""
        return (lambda screen: screen, self.ours()) if name == "ours" else (as_pandas(), self.peer())

    def shape(self, n_plates: int, n_features: int) -> tuple[int, int]:
        """Return the plates and features of the screen."""
        return (self.rows_of // 384 if self.rows_of else n_plates), n_features


def as_pandas() -> Callable[[Screen], Any]:
    """Return what makes the table that the peer takes; it shares the memory of the profiles."""
    import pandas as pd

    def make(screen: Screen) -> Any:
        metadata = pd.DataFrame(screen.metadata.to_dict(as_series=False))
        return pd.concat([metadata, pd.DataFrame(screen.values, columns=screen.features, copy=False)], axis=1)

    return make


def features_of(table: Any) -> list[str]:
    """Return the names of the profile's columns."""
    return [column for column in table.columns if not column.startswith("Metadata_")]


def our_normalization(
    method: str, *, on_controls: bool, in_place: bool = False
) -> Callable[[], Callable[[Screen], Any]]:
    """Return an operation of ours, plate by plate. In place, rounds after the first normalize what is normalized."""

    def load() -> Callable[[Screen], Any]:
        from hcs.profiling.groups import group_rows
        from hcs.profiling.scaling import normalize_groups

        def perform(screen: Screen) -> NDArray[Any]:
            fitted = screen.metadata[CONTROLS].to_numpy() if on_controls else None
            groups = group_rows(screen.metadata, [PLATE])
            out = screen.values if in_place else None
            return normalize_groups(screen.values, groups, method=method, is_fitted=fitted, out=out).values

        return perform

    return load


def peer_normalization(method: str, *, on_controls: bool) -> Callable[[], Callable[[Any], Any]]:
    """Return the peer's, which its users run on every plate, and then put the plates together."""

    def load() -> Callable[[Any], Any]:
        import pandas as pd
        from pycytominer import normalize

        def perform(table: Any) -> NDArray[Any]:
            samples = CONTROLS if on_controls else "all"
            features = features_of(table)
            metadata = [column for column in table.columns if column.startswith("Metadata_")]
            parts = [
                normalize(part, features=features, meta_features=metadata, samples=samples, method=method)
                for _, part in table.groupby(PLATE)
            ]
            return pd.concat(parts)

        return perform

    return load


def profile_values(made: Any) -> NDArray[Any]:
    """Return the numbers of either side's result."""
    return made if isinstance(made, np.ndarray) else made[features_of(made)].to_numpy()


def our_sphering(*, in_place: bool = False) -> Callable[[], Callable[[Screen], Any]]:
    """Return ours: fitted on all controls. In place, rounds after the first sphere what is sphered."""

    def load() -> Callable[[Screen], Any]:
        from hcs.profiling.sphere import fit_sphering, sphere

        def perform(screen: Screen) -> NDArray[Any]:
            controls = screen.values[screen.metadata[CONTROLS].to_numpy()]
            return sphere(screen.values, fit_sphering(controls), out=screen.values if in_place else None)

        return perform

    return load


def peer_sphering() -> Callable[[Any], Any]:
    """Return the peer's."""
    from pycytominer import normalize

    return lambda table: normalize(
        table,
        features=features_of(table),
        meta_features=[column for column in table.columns if column.startswith("Metadata_")],
        samples=CONTROLS,
        method="spherize",
    )


def our_selection(step: str) -> Callable[[], Callable[[Screen], Any]]:
    """Return ours."""

    def load() -> Callable[[Screen], Any]:
        from hcs.profiling.select import select_features

        return lambda screen: (
            select_features(screen.values, screen.features, steps=[step]).report.filter("is_kept")["feature"].to_list()
        )

    return load


def peer_selection(operation: str) -> Callable[[], Callable[[Any], Any]]:
    """Return the peer's."""

    def load() -> Callable[[Any], Any]:
        from pycytominer import feature_select

        return lambda table: features_of(feature_select(table, features=features_of(table), operation=operation))

    return load


def our_groups(operation: str, by: list[str]) -> Callable[[], Callable[[Screen], Any]]:
    """Return ours: one row a group."""

    def load() -> Callable[[Screen], Any]:
        from hcs.profiling.aggregate import aggregate_groups
        from hcs.profiling.groups import group_rows
        from hcs.statistics.consensus import consensus_of_groups

        def perform(screen: Screen) -> NDArray[Any]:
            groups = group_rows(screen.metadata, by)
            if operation == "modz":
                return consensus_of_groups(screen.values, groups.order, groups.starts, operation="modz")
            return aggregate_groups(screen.values, groups, operation=operation).values

        return perform

    return load


def peer_groups(operation: str, by: list[str]) -> Callable[[], Callable[[Any], Any]]:
    """Return the peer's."""

    def load() -> Callable[[Any], Any]:
        from pycytominer import aggregate, consensus

        function = consensus if operation == "modz" else aggregate
        return lambda table: function(table, by, operation=operation, features=features_of(table)).sort_values(by)

    return load


OPERATIONS: dict[str, Operation] = {
    "mad_robustize": Operation(
        our_normalization("mad_robustize", on_controls=True),
        peer_normalization("mad_robustize", on_controls=True),
        comparable=profile_values,
    ),
    "mad_robustize, in place": Operation(
        our_normalization("mad_robustize", on_controls=True, in_place=True),
        peer_normalization("mad_robustize", on_controls=True),
        comparable=profile_values,
    ),
    "standardize": Operation(
        our_normalization("standardize", on_controls=True),
        peer_normalization("standardize", on_controls=True),
        comparable=profile_values,
    ),
    "standardize, in place": Operation(
        our_normalization("standardize", on_controls=True, in_place=True),
        peer_normalization("standardize", on_controls=True),
        comparable=profile_values,
    ),
    "inverse_normal": Operation(
        our_normalization("inverse_normal", on_controls=False),
        peer_normalization("inverse_normal", on_controls=False),
        # A tenth of the features has ties, where the peer may be a rank too high or low. Of two equal lowest
        # values it makes the end of the scale in float64, in float32 not always.
        comparable=lambda made: np.clip(np.delete(profile_values(made), np.s_[::10], axis=1), -2.75, 2.75),
        tolerance=2e-2,
    ),
    "spherize": Operation(our_sphering(), peer_sphering, comparable=profile_values, tolerance=5e-3),
    "spherize, in place": Operation(
        our_sphering(in_place=True), peer_sphering, comparable=profile_values, tolerance=5e-3
    ),
    "frequency": Operation(our_selection("frequency"), peer_selection("frequency_threshold")),
    "correlation": Operation(our_selection("correlation"), peer_selection("correlation_threshold")),
    "correlation, 50,000 pairs": Operation(
        our_selection("correlation"), peer_selection("correlation_threshold"), pairs=50_000, rows_of=1920
    ),
    "aggregate median": Operation(
        our_groups("median", [PLATE, "Metadata_Well"]),
        peer_groups("median", [PLATE, "Metadata_Well"]),
        sites=4,
        comparable=profile_values,
    ),
    "consensus median": Operation(
        our_groups("median", REPLICATE), peer_groups("median", REPLICATE), comparable=profile_values
    ),
    "modz": Operation(our_groups("modz", REPLICATE), peer_groups("modz", REPLICATE), comparable=profile_values),
}
