"""What can be asked of runs: submitted, followed, and ended."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

from hcs.client.asking import Asking, RunName, known
from hcs.client.submissions import Submitted, body_of
from hcs.client.waiting import wait_for
from schemas.api import Profile, ProfilePage, Run, RunPage, RunPlate, RunPlatePage, RunSummary
from schemas.api_plates import ScreenCheck, WellProgress
from schemas.screen import ScreenConfig

SECONDS_OF_A_CHECK = 600.0
"""In which every image of a screen can have been looked at, also after others have been checked."""


class RunQuestions(Asking):
    """Methods about runs."""

    def check(self, screen: Submitted, *, timeout: float = SECONDS_OF_A_CHECK) -> ScreenCheck:
        """Return what the check says of every plate of a screen, before anything runs; nothing is written.

        Args:
            screen: As `submit` takes it.
            timeout: Seconds to wait for the answer: the head of every image is read, and screens are checked in turn.
        """
        return self._line.ask(ScreenCheck, "POST", "checks", body=body_of(screen), timeout=timeout)

    def submit(self, screen: Submitted, *, new: bool = False, idempotency_key: str | None = None) -> Run:
        """Return the run that a dispatcher performs: a new one, or the one that there is of the same screen.

        Args:
            screen: A record, the fields of a SCREEN.yaml, or the path of one on this machine. Its places are read by
                the server: absolute paths or s3:// URIs under its roots. Relative places of a file start at the file.
            new: Whether the same screen is run once more.
            idempotency_key: A word of the caller's: the same request with the same word is carried out once. By default
                a new one, so that the client itself can safely send the request again.
        """
        headers = {"Idempotency-Key": str(uuid.uuid4()) if idempotency_key is None else idempotency_key}
        return self._line.ask(Run, "POST", "runs", parameters={"new": new}, headers=headers, body=body_of(screen))

    def runs(self) -> Iterator[RunSummary]:
        """Yield every run in any state, newest first."""
        return self._items(RunPage, "runs")

    def run(self, run: RunName = "latest") -> Run:
        """Return one run and how far it is; `latest` is the newest in any state."""
        return self._line.ask(Run, "GET", "runs", known(run))

    def screen_of(self, run: RunName = "latest") -> ScreenConfig:
        """Return the screen that a run was made of, as it was submitted."""
        return self._line.ask(ScreenConfig, "GET", "runs", known(run), "screen")

    def plates_of(self, run: RunName = "latest") -> list[RunPlate]:
        """Return the plates of a run by barcode."""
        return list(self._line.ask(RunPlatePage, "GET", "runs", known(run), "plates").items)

    def well_progress(self, run: RunName, barcode: str) -> WellProgress:
        """Return which wells of a plate wait, are under work, done or failed."""
        return self._line.ask(WellProgress, "GET", "runs", known(run), "plates", barcode, "progress")

    def profiles_of(self, run: RunName = "latest") -> list[Profile]:
        """Return which tables of well profiles a run published."""
        return list(self._line.ask(ProfilePage, "GET", "runs", known(run), "profiles").items)

    def wait(
        self, run: RunName, *, timeout: float | None = None, on_progress: Callable[[Run], None] | None = None
    ) -> Run:
        """Return a run as it is at its end, complete or not: look at its `state` and `notes`.

        Args:
            run: Which one.
            timeout: Seconds to wait, at most; None waits as long as it takes.
            on_progress: Called with the run at every look.

        Raises:
            WaitedTooLongError: If it is not at its end by then. The run goes on.
        """
        name = self.run().id if run == "latest" else run  # the next run is another one
        return wait_for(lambda: self.run(name), timeout=timeout, on_progress=on_progress)

    def cancel(self, run: RunName) -> Run:
        """Return a run that is cancelled: what is finished of it is kept."""
        return self._line.ask(Run, "POST", "runs", known(run), "cancel")

    def retry(self, run: RunName, *, only: str = "") -> Run:
        """Return a run whose failed units are tried again; `only` those whose reason holds a text."""
        return self._line.ask(Run, "POST", "runs", known(run), "retry", parameters={"only": only})

    def delete(self, run: RunName) -> None:
        """Delete a run and its files, for good. It takes a key with the scope admin."""
        self._line.send("DELETE", "runs", known(run))
