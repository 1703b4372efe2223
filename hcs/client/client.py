"""The client: one method for each thing that can be asked, in the words of the API."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from hcs.client.access import check_key, key_at_hand, read_address
from hcs.client.plates import PlateQuestions
from hcs.client.results import ResultQuestions
from hcs.client.runs import RunQuestions
from hcs.client.transport import Transport
from hcs.settings import read_settings


class Client(RunQuestions, ResultQuestions, PlateQuestions):
    """Asks one API. It is a context manager, and may be used by several threads.

    Every method raises an `ApiError` where the API answers with a problem, a `NoAnswerError` where it does not answer
    for `patience` seconds, and an `AnswerError` where something else answers.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout: float = 30.0,
        patience: float = 60.0,
        insecure: bool = False,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            url: Where `hcs serve` serves; by default `HCS_API_URL`, else http://127.0.0.1:8000.
            key: What `hcs keys create` printed; by default `HCS_API_KEY`, else, where this machine is asked, the file
                `api-key` beside the SQLite catalog (`HCS_CATALOG`, else `hcs-data/catalog.sqlite`).
            timeout: Seconds that one request may wait for the next byte of its answer.
            patience: Seconds in which a request that is safe to send again is sent again.
            insecure: Whether the key may go through http:// to another machine, readable by whoever is on the way.

        Raises:
            UsageError: If the URL or the key is none, or the key would be readable on its way.
        """
        settings = read_settings()
        address = read_address(settings.api_url if url is None else url)
        found = key_at_hand(settings, address=address) if key is None else key
        shown = None if found is None else check_key(found, address=address, insecure=insecure)
        self._line = Transport(address, key=shown, timeout=timeout, patience=patience)

    def __repr__(self) -> str:
        return f"Client({self._line.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._line.close()
