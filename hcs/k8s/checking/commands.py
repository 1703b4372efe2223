"""Command lines in the objects, read by the command line itself: no option that it does not know."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hcs.k8s.checking.finding import Finding
from hcs.k8s.checking.objects import Object, dig, dotted, kind, title
from hcs.k8s.checking.pods import RAY_JOBS, Pods

CommandParser = Callable[[Sequence[str]], str | None]
"""Takes what follows `hcs` and returns what is wrong with it, or None."""

COMMAND = "hcs"
_SHELLS = {"sh", "bash", "dash", "ash"}
_REFERENCE = re.compile(r"(?<!\$)\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_HOOKS = (
    ("startupProbe", "exec", "command"),
    ("livenessProbe", "exec", "command"),
    ("readinessProbe", "exec", "command"),
    ("lifecycle", "preStop", "exec", "command"),
    ("lifecycle", "postStart", "exec", "command"),
)


def check_commands(objects: list[Object], pods: list[Pods], *, parse: CommandParser) -> Iterator[Finding]:
    """Return a finding for each command line of ours that our own parser refuses."""
    for one in pods:
        for path, container in one.containers():
            for where, words in _lines(container, path):
                yield from _check_line(words, one.owner_title, where, parse)
                yield from _check_variables(words, container, one.owner_title, where)
    for item in objects:
        if kind(item) in RAY_JOBS:
            yield from _check_entrypoint(item, parse)


def _lines(container: dict[str, Any], path: str) -> Iterator[tuple[str, list[str]]]:
    command, arguments = container.get("command") or [], container.get("args") or []
    if command:
        yield f"{path}.command", [*map(str, command), *map(str, arguments)]
    elif arguments and _is_ours(str(container.get("image", ""))):
        yield f"{path}.args", [COMMAND, *map(str, arguments)]  # our images start `hcs`
    for keys in _HOOKS:
        words = dig(container, *keys)
        if words:
            yield f"{path}.{dotted(keys)}", list(map(str, words))


def _is_ours(image: str) -> bool:
    last = image.rpartition("/")[2]
    return re.split(r"[:@]", last)[0].startswith(COMMAND)


def _check_line(words: list[str], item: str, path: str, parse: CommandParser) -> Iterator[Finding]:
    program = words[0].rpartition("/")[2] if words else ""
    if program in _SHELLS and any(re.search(rf"\b{COMMAND} ", word) for word in words[1:]):
        yield Finding(
            item,
            path,
            "command/shell",
            "a list of words that starts with hcs",
            f"a script: {' '.join(words)[:100]}",
            "write the command as a list, so that it can be checked and gets its signals",
        )
    elif program == COMMAND:
        said = parse(words[1:])
        if said is not None:
            yield _refused(item, path, words, said)


def _check_entrypoint(item: Object, parse: CommandParser) -> Iterator[Finding]:
    path = (*RAY_JOBS[kind(item)], "entrypoint")
    text = str(dig(item, *path) or "")
    try:
        words = shlex.split(text)
    except ValueError as error:
        words = []
        yield _refused(title(item), dotted(path), [text], str(error))
    if words and words[0] != COMMAND:
        yield Finding(title(item), dotted(path), "command/entrypoint", "a command line of hcs", text[:100],
                      "start it with hcs, so that the image needs nothing else")  # fmt: skip
    elif words:
        said = parse(words[1:])
        if said is not None:
            yield _refused(title(item), dotted(path), words, said)


def _refused(item: str, path: str, words: list[str], said: str) -> Finding:
    return Finding(
        item,
        path,
        "command/refused",
        "a command line that hcs understands",
        f"`{' '.join(words)[:120]}`: {said}",
        "see `hcs COMMAND --help`",
    )


def _check_variables(words: list[str], container: dict[str, Any], item: str, path: str) -> Iterator[Finding]:
    known = {one.get("name") for one in container.get("env") or ()}
    for word in words:
        for variable in _REFERENCE.findall(word):
            if variable not in known and not container.get("envFrom"):
                yield Finding(item, path, "command/variable", "a variable of the container's env", f"$({variable})",
                              "add it to env, or write $$( for the text itself")  # fmt: skip
