"""Looks, decides and acts, once a second. Everything it does may be done again, and by two at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from hcs.catalog import (
    Catalog,
    Dispatch,
    OpenRun,
    begin_dispatch,
    catalog_id,
    cluster_time,
    dispatches,
    end_dispatch,
    fail_undispatched,
    note_dispatch,
    open_runs,
)
from hcs.errors import (
    HcsError,
    KubernetesBusyError,
    KubernetesConflictError,
    KubernetesError,
    KubernetesNotAllowedError,
    KubernetesNotFoundError,
    KubernetesUnreachableError,
    UsageError,
)
from hcs.k8s.api import RayJobs
from hcs.k8s.rayjob import name_prefix, render
from hcs.pipeline.on_kubernetes import job_of
from schemas.work import DispatchState
from services.dispatcher.k8s.decide import (
    Begin,
    Create,
    Delete,
    End,
    GiveUp,
    Missing,
    Note,
    Patience,
    Sight,
    decide,
)
from services.dispatcher.k8s.pausing import Pauses
from services.dispatcher.k8s.seen import is_of, seen, selector_of
from services.dispatcher.k8s.view import View

log = structlog.get_logger(__name__)

ROUND_SECONDS = 1
MAX_CREATES = 10
"""RayJobs that are made in one round, so that a crowd of runs does not keep it from following those that go on."""

SECONDS_OF_ACTING = 30.0
"""How long a round asks the cluster for one thing after another where each answer is slow; the rest is decided anew in
the next. A probe takes a round that goes on for minutes for one that hangs."""

OF_EVERYBODY = (KubernetesUnreachableError, KubernetesBusyError, KubernetesNotAllowedError)
"""What is no matter of one RayJob: the next one is not even tried."""


ASKING = (Begin, Create, Missing, Delete)
"""Actions that ask the cluster."""


@dataclass
class RayJobDispatcher:
    """Keeps one RayJob for every open run of a catalog.

    Attributes:
        catalog: Where runs are submitted.
        rayjobs: The namespace that they are performed in.
        template: The name of the suspended RayJob that is the template.
        patience: How long what is waited for.
        round_seconds: How long a look takes that sees nothing.
        seconds_of_acting: How long a round acts on the cluster before it looks again.
    """

    catalog: Catalog
    rayjobs: RayJobs
    template: str
    patience: Patience = field(default_factory=Patience)
    round_seconds: int = ROUND_SECONDS
    seconds_of_acting: float = SECONDS_OF_ACTING
    pauses: Pauses = field(default_factory=Pauses)
    _over_since: Mapping[str, float] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find out which catalog it is."""
        self._id = catalog_id(self.catalog)
        self._view = View(self.rayjobs, selector=selector_of(self._id))

    def work(self, *, touch: Callable[[], None]) -> None:
        """Go on until somebody interrupts.

        Args:
            touch: Called after every round, also one that came to nothing: a new process would fare no better.
        """
        while True:
            started = time.monotonic()
            try:
                self.round()
                self._tell("catalog", "")
                pause = self.round_seconds - (time.monotonic() - started)
            except HcsError as error:  # of the catalog: those of the cluster are noted with the runs
                self._tell("catalog", str(error))
                pause = self.pauses.begin("catalog")
            else:
                self.pauses.end("catalog")
            touch()
            time.sleep(max(0.0, pause))

    def round(self) -> None:
        """Look once, and do what there is to do.

        Raises:
            HcsError: If the catalog cannot be used.
        """
        sight = self._look()
        decision = decide(sight, over_since=self._over_since, patience=self.patience)
        self._over_since = decision.over_since
        left = MAX_CREATES
        give_up = time.monotonic() + self.seconds_of_acting
        for action in decision.actions:
            if isinstance(action, ASKING) and time.monotonic() >= give_up:
                continue
            match action:
                case Begin(run):
                    if left > 0 and self._begin(run, is_blind=sight.rayjobs is None, trouble=sight.trouble):
                        left -= 1
                case Create(run, dispatch):
                    if left > 0 and self._create(run, dispatch):
                        left -= 1
                case Note(dispatch, state, words):
                    note_dispatch(self.catalog, dispatch.run_id, dispatch.attempt, state=state, message=words)
                case End(dispatch, words):
                    self._end(dispatch, words)
                case Missing(dispatch):
                    self._missing(dispatch)
                case Delete(rayjob, why):
                    self._delete(rayjob.name, rayjob.uid, why)
                case GiveUp(run, reason):
                    if fail_undispatched(self.catalog, run.run.id, reason=reason):
                        log.warning("a run is given up", run=run.run.name, reason=reason)

    def _look(self) -> Sight:
        """Return what is there, in the order that `decide` relies on."""
        rayjobs, trouble = None, ""
        try:
            if self.pauses.is_over("cluster"):
                rayjobs = [seen(item) for item in self._view.look(seconds=self.round_seconds)]
                self.pauses.end("cluster")
            else:
                trouble = self._said.get("cluster", "")
        except KubernetesError as error:
            trouble = str(error)
            self.pauses.begin("cluster", at_least=error.retry_after)
        self._tell("cluster", trouble)
        going_on = dispatches(self.catalog, ended=False)
        known = {dispatch.name for dispatch in going_on}
        is_some_left = any(rayjob.name not in known for rayjob in rayjobs or ())
        ended = dispatches(self.catalog, ended=True) if is_some_left else []
        return Sight(
            rayjobs=rayjobs,
            going_on=going_on,
            ended=ended,
            runs=open_runs(self.catalog),
            now=cluster_time(self.catalog),
            trouble=trouble,
        )

    def _begin(self, run: OpenRun, *, is_blind: bool, trouble: str) -> bool:
        """Write a dispatch down, and then make its RayJob; return whether there was one to make."""
        dispatch = begin_dispatch(self.catalog, run.run.id, prefix=name_prefix(self._id))
        if dispatch is None:  # another dispatcher was faster, or the run has ended
            return False
        log.info("a run is dispatched", run=run.run.name, rayjob=dispatch.name)
        if is_blind:
            return self._note_asked(dispatch, trouble)
        return self._create(run, dispatch)

    def _create(self, run: OpenRun, dispatch: Dispatch) -> bool:
        """Make a RayJob, or find it made; return whether it was tried."""
        if not self.pauses.is_over("creates"):
            self._note_asked(dispatch, self._said.get("creates", ""))
            return False
        if not self.pauses.is_over(dispatch.name):
            return False
        try:
            self._make(run, dispatch)
        except (KubernetesError, UsageError) as error:
            key = "creates" if isinstance(error, OF_EVERYBODY) else dispatch.name
            self.pauses.begin(key, at_least=getattr(error, "retry_after", None))
            self._tell(key, str(error))
            self._note_asked(dispatch, str(error))
            return True
        for key in ("creates", dispatch.name):
            self.pauses.end(key)
            self._tell(key, "")
        return True

    def _note_asked(self, dispatch: Dispatch, words: str) -> bool:
        state = DispatchState.ASKED
        return note_dispatch(self.catalog, dispatch.run_id, dispatch.attempt, state=state, message=words or None)

    def _make(self, run: OpenRun, dispatch: Dispatch) -> None:
        body = render(self._template(), job_of(run.run, catalog=self._id, attempt=dispatch.attempt))
        try:
            self.rayjobs.create(body)
            log.info("a RayJob is created", run=run.run.name, rayjob=dispatch.name)
        except KubernetesConflictError:
            self._adopt(dispatch)

    def _template(self) -> Mapping[str, Any]:
        try:
            return self.rayjobs.get(self.template)
        except KubernetesNotFoundError as error:
            raise KubernetesNotFoundError(
                f"the namespace {self.rayjobs.namespace!r} has no RayJob {self.template!r}, which is the template of "
                "all runs: apply your overlay with `kubectl apply -k`, or name another RayJob by --template."
            ) from error

    def _adopt(self, dispatch: Dispatch) -> None:
        """Take what has the name of a dispatch for its RayJob, if it is."""
        try:
            found = self.rayjobs.get(dispatch.name)
        except KubernetesNotFoundError:
            return  # it left a moment ago: the next round makes it
        if is_of(found, dispatch, catalog=self._id):
            log.info("a RayJob was there already", rayjob=dispatch.name)
            self._view.forget()
            return
        self._end(
            dispatch,
            f"a RayJob named {dispatch.name!r} was there that is not of this run: whose is it? The next one gets "
            "another name",
        )

    def _missing(self, dispatch: Dispatch) -> None:
        """End a dispatch whose RayJob is gone, as the API itself says."""
        try:
            found = self.rayjobs.get(dispatch.name)
        except KubernetesNotFoundError:
            self._end(dispatch, "its RayJob is gone: somebody deleted it before its run was at its end")
        except KubernetesError as error:
            self._tell(dispatch.name, str(error))
        else:
            self._view.forget()  # a look that was late: the next one lists
            if not is_of(found, dispatch, catalog=self._id):
                self._end(dispatch, f"its RayJob was replaced by another one of the name {dispatch.name!r}")

    def _delete(self, name: str, uid: str, why: str) -> None:
        if not self.pauses.is_over(f"delete {uid}"):
            return
        try:
            self.rayjobs.delete(name, uid=uid)
        except (KubernetesNotFoundError, KubernetesConflictError):
            self._view.forget()
        except KubernetesError as error:
            self.pauses.begin(f"delete {uid}", at_least=error.retry_after)
            self._tell(f"delete {name}", str(error))
            return
        else:
            log.info("a RayJob is deleted", rayjob=name, why=why)
        self.pauses.end(f"delete {uid}")
        self._tell(f"delete {name}", "")

    def _end(self, dispatch: Dispatch, words: str) -> None:
        if end_dispatch(self.catalog, dispatch.run_id, dispatch.attempt, message=words):
            log.info("a dispatch has ended", run=f"run-{dispatch.run_id}", rayjob=dispatch.name, why=words)

    def _tell(self, subject: str, trouble: str) -> None:
        """Log a trouble once, and its end."""
        before = self._said.get(subject, "")
        if trouble == before:
            return
        if trouble:
            self._said[subject] = trouble
            log.warning("trouble", subject=subject, reason=trouble)
        else:
            del self._said[subject]
            log.info("trouble is over", subject=subject)
