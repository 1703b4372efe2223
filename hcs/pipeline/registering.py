"""Which run of the catalog a prepared run is: the one of the same configuration, or a new one."""

from __future__ import annotations

from hcs import __version__
from hcs.catalog import Catalog, PlateOfRun, Registration, configuration_sha256, register_run
from hcs.pipeline.ownership import claim_parts
from hcs.pipeline.submission import PreparedRun


def configuration_of(prepared: PreparedRun) -> str:
    """Return the digest that two runs of the same configuration have in common."""
    return configuration_sha256(
        prepared.config,
        plates=_plates_of_run(prepared),
        wells=prepared.wells,
        encoders=prepared.encoders,
        pin=prepared.pin,
    )


def register(
    catalog: Catalog, prepared: PreparedRun, *, new: bool = False, submitted: int | None = None
) -> Registration:
    """Return the run of this screen in the catalog.

    Args:
        catalog: Where to register.
        prepared: What the run is.
        new: Whether a new run is made; else it is the one that is there for the same configuration, if there is one.
        submitted: The submitted run that it is, whatever else there is.

    Raises:
        ConflictError: If the catalog's folder of parts belongs to another catalog; nothing is registered.
    """
    claim_parts(catalog)
    return register_run(
        catalog,
        prepared.config,
        plates=_plates_of_run(prepared),
        wells=prepared.wells,
        encoders=prepared.encoders,
        pin=prepared.pin,
        code_version=__version__,
        new=new,
        submitted=submitted,
    )


def _plates_of_run(prepared: PreparedRun) -> list[PlateOfRun]:
    """Return the plates that take part, with what the catalog remembers of each."""
    planned = {plate.plate: plate for plate in prepared.plates}
    return [
        PlateOfRun(
            entry=examined.entry.model_copy(update={"barcode": examined.plate, "uri": planned[examined.plate].root}),
            layout=examined.report.layout,
            manifest_sha256=planned[examined.plate].manifest_sha256,
            report=examined.report,
        )
        for examined in prepared.examined
        if examined.report is not None and examined.plate in planned
    ]
