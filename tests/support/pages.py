"""Pages of the documentation, typed: what they tell people to type is run, and what they show is what comes out.

Run are the blocks `console` (lines that begin with `$ `) and `python`; a block `text` right behind `python` is what it
printed. `...` stands for what a page leaves out. Blanks and the frames of tables do not count. `hcs serve` and a
`hcs work` that does not end stay in the background, and are ended with the page.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wheels import REPOSITORY

from hcs.client import Client

DOCS = REPOSITORY / "docs"
HOST = "127.0.0.1"
SHOWN_PORT = 8000
SECONDS = 120

_BLOCK = re.compile(r"^```(?P<kind>\w+)[^\n]*\n(?P<text>.*?)^```$(?P<behind>\n*(?=```))?", re.MULTILINE | re.DOTALL)
_STAYS = re.compile(r"hcs (?:serve|work(?!.*--once))")
_FRAME = re.compile(r"^[┏┓┡┩└┘━─┳╇┴╋┼├┤┴┬\s]+$")


@dataclass(frozen=True)
class Step:
    """One command or block of Python, what the page shows of it, and the line that it stands at."""

    kind: str
    typed: str
    shown: str
    line: int


def steps_of(page: str) -> list[Step]:
    """Return what a page tells people to type, in its order."""
    steps: list[Step] = []
    may_be_output = False
    for block in _BLOCK.finditer(page):
        kind, text = block["kind"], block["text"]
        line = page.count("\n", 0, block.start()) + 1
        if kind == "console":
            steps += _commands(text, line)
        elif kind == "python":
            steps.append(Step(kind, text, "", line))
        elif kind == "text" and may_be_output:
            steps[-1] = Step("python", steps[-1].typed, text, steps[-1].line)
        may_be_output = kind == "python" and block["behind"] is not None
    return steps


def _commands(text: str, line: int) -> Iterator[Step]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.split("\n")
        n_typed = next(index for index, one in enumerate(lines, start=1) if not one.endswith("\\"))
        yield Step("console", "\n".join(lines[:n_typed]), "\n".join(lines[n_typed:]), line)


def is_shown(shown: str, came: str) -> bool:
    """Return whether something came out as a page shows it."""
    pattern = re.escape(_plain(shown)).replace(r"\.\.\.", ".*?")
    return re.fullmatch(pattern, _plain(came), flags=re.DOTALL) is not None


def _plain(text: str) -> str:
    lines = (line for line in text.splitlines() if line.strip() and not _FRAME.match(line))
    return "\n".join(" ".join(line.replace("┃", "│").split()) for line in lines)


@dataclass
class Reader:
    """Somebody who types a page, in a folder of their own."""

    folder: Path
    names: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    python: Callable[[str], str] | None = None
    _assigned: list[str] = field(default_factory=list)
    _background: list[tuple[subprocess.Popen[bytes], Path]] = field(default_factory=list)
    _namespace: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take a free port, and make `hcs` and `python` those of this checkout."""
        if not self.port:
            with socket.create_server((HOST, 0)) as free:
                self.port = free.getsockname()[1]
        tools = self.folder / ".tools"
        tools.mkdir()
        for name, arguments in {"hcs": "-m hcs.cli", "python": ""}.items():
            (tools / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments} "$@"\n')
            (tools / name).chmod(0o755)
        (tools / ".curlrc").write_text("silent\nfail-with-body\n")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HCS_")},
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "CURL_HOME": str(tools),
            "no_proxy": "*",
            "COLUMNS": "300",
            "NO_COLOR": "1",
            "HCS_API_URL": f"http://{HOST}:{self.port}",
            **self.environment,
        }

    def read(self, page: str) -> int:
        """Type all of a page; return how many steps that were."""
        steps = steps_of(page)
        for step in steps:
            self._type(step)
        return len(steps)

    def end(self) -> None:
        """End what stays in the background, each as Ctrl-C does, and the connections of clients."""
        for made in self._namespace.values():
            if isinstance(made, Client):
                made.close()
        for process, _ in reversed(self._background):
            process.send_signal(signal.SIGINT)
        for process, _ in reversed(self._background):
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)

    def _type(self, step: Step) -> None:
        if step.kind == "python":
            came, code = (self.python or self._execute)(step.typed), 0
        elif _STAYS.match(step.typed):
            came, code = self._leave_running(step), 0
        else:
            came, code = self._run(self._as_here(step.typed))
        came = self._as_there(came)
        is_problem_shown = '"status":' in step.shown.replace(" ", "")
        assert code == 0 or is_problem_shown, f"line {step.line}: {step.typed}\nended with {code}: {came}"
        assert not step.shown.strip() or is_shown(step.shown, came), (
            f"line {step.line}: {step.typed}\nshown:\n{_plain(step.shown)}\ncame:\n{_plain(came)}"
        )

    def _run(self, command: str) -> tuple[str, int]:
        if re.match(r"(?:export )?[A-Z_]+=", command):
            self._assigned.append(command)
        script = "\n".join([*(one for one in self._assigned if one != command), command])
        ended = subprocess.run(
            ["bash", "-fc", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self.environment,
            timeout=SECONDS,
            check=False,
        )
        return ended.stdout.decode(errors="replace"), ended.returncode

    def _leave_running(self, step: Step) -> str:
        """Return what a command has said when it has said what the page shows, or for as long as one may wait."""
        command = self._as_here(step.typed)
        if command.startswith("hcs serve"):
            command += f" --port {self.port}"
        said = self.folder / ".tools" / f"{len(self._background)}.txt"
        script = "\n".join([*self._assigned, f"exec {command}"])
        with said.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-fc", script],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,
            )
        self._background.append((process, said))
        give_up = time.monotonic() + SECONDS
        came = ""
        while time.monotonic() < give_up and process.poll() is None:
            came = self._as_there(said.read_text(errors="replace"))
            if is_shown(f"{step.shown}\n...", came) or is_shown(step.shown, came):
                return step.shown
            time.sleep(0.1)
        return f"{came}\n(it ended with {process.poll()})"

    def _execute(self, code: str) -> str:
        printed = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(printed), _variables(self.environment):
            exec(compile(self._as_here(code), "<page>", "exec"), self._namespace)  # noqa: S102 - what the page says
        return printed.getvalue()

    def _as_here(self, text: str) -> str:
        text = text.replace(f"{HOST}:{SHOWN_PORT}", f"{HOST}:{self.port}")
        for theirs, ours in self.names.items():
            text = text.replace(theirs, ours)
        return text

    def _as_there(self, text: str) -> str:
        return text.replace(f"{HOST}:{self.port}", f"{HOST}:{SHOWN_PORT}").replace(str(self.folder), "...")


@contextlib.contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update({name: value for name, value in values.items() if name.startswith("HCS_")})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
