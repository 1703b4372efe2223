"""Asks a server at a fixed rate, whether it keeps up or not, and counts from the moment when an answer was due."""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

CLIENTS = 40
"""Connections; a request that finds all of them waiting for answers waits too, and that counts."""


@dataclass(frozen=True)
class Question:
    """A path, and which route of the table it belongs to."""

    route: str
    path: str


@dataclass(frozen=True)
class Answer:
    """What came of a question; `seconds` are since it was due."""

    route: str
    seconds: float
    status: int
    content: bytes


class Asker:
    """Connections to one server, kept open."""

    def __init__(self, address: tuple[str, int], key: str) -> None:
        """Connect when there is something to ask."""
        self._address, self._headers = address, {"Authorization": f"Bearer {key}"}

    def one(self, path: str) -> bytes:
        """Return the content of one answer.

        Raises:
            RuntimeError: If it is none that was asked for.
        """
        answer = _ask(self._connect(), self._headers, Question("", path), due=time.perf_counter())
        if answer.status != 200:
            raise RuntimeError(f"{path}: expected 200, got {answer.status}: {answer.content[:300]!r}")
        return answer.content

    def at_rate(self, questions: Sequence[Question], *, rate: float) -> list[Answer]:
        """Return the answers to questions that are asked at equal intervals, so many a second."""
        todo: SimpleQueue[tuple[float, Question] | None] = SimpleQueue()
        answers: list[Answer] = []
        threads = [threading.Thread(target=self._serve, args=(todo, answers)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        begin = time.perf_counter() + 0.2
        for number, question in enumerate(questions):
            due = begin + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            todo.put((due, question))
        for _ in threads:
            todo.put(None)
        for thread in threads:
            thread.join()
        if len(answers) < len(questions):
            raise RuntimeError(f"expected {len(questions)} answers, got {len(answers)}: a connection broke")
        return answers

    def _serve(self, todo: SimpleQueue[tuple[float, Question] | None], answers: list[Answer]) -> None:
        connection = self._connect()
        while (item := todo.get()) is not None:
            due, question = item
            try:
                answers.append(_ask(connection, self._headers, question, due=due))
            except (http.client.RemoteDisconnected, ConnectionError):  # the server had closed it while nobody asked
                connection.close()
                answers.append(_ask(connection, self._headers, question, due=due))
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._address, timeout=60)


def _ask(connection: http.client.HTTPConnection, headers: dict[str, str], question: Question, *, due: float) -> Answer:
    connection.request("GET", question.path, headers=headers)
    response = connection.getresponse()
    content = response.read()
    return Answer(question.route, time.perf_counter() - due, response.status, content)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
