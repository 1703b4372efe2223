"""Finds the files that a table names by paths of another machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

_DEEPEST = 12


@dataclass(frozen=True, slots=True)
class DeclaredFile:
    """A file as a table names it: its folder as (part, part, ...) and its name."""

    folder: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class FolderMatch:
    """Which delivered folder a declared one is, and how many of its last parts agree."""

    folder: str
    n_agreeing: int
    n_parts: int


def declared_file(folder: str, name: str) -> DeclaredFile:
    """Return the parts of a path as any machine writes it: POSIX, Windows, relative, or `file:`."""
    joined = f"{folder.removeprefix('file:')}/{name}".replace("\\", "/")
    parts = [part for part in joined.split("/") if part not in ("", ".", "..")]
    return DeclaredFile(tuple(parts[:-1]), parts[-1] if parts else "")


def declared_url(url: str) -> DeclaredFile:
    """Return the parts of a URL, bucket included."""
    _, _, path = url.rpartition("://")
    return declared_file("", unquote(path))


def match_folders(
    declared: Iterable[DeclaredFile], delivered: Iterable[str], *, root: str
) -> dict[tuple[str, ...], FolderMatch]:
    """Return for each declared folder the delivered folder with the longest agreeing end that holds its files.

    A folder of which only the end differs from what another declared folder matches better is left out: a plate that
    was not delivered must not get the images of its neighbour. So is one that two delivered folders match equally.

    Args:
        declared: Files as the table names them.
        delivered: Paths under the root, with forward slashes.
        root: Where the delivery lies: its own last parts count as agreeing too.

    Returns:
        Declared folder -> match; folders without one are absent.
    """
    names_of: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for file in declared:
        names_of[file.folder].add(file.name)
    held: dict[str, set[str]] = defaultdict(set)
    for path in delivered:
        folder, _, name = path.rpartition("/")
        held[folder].add(name)
    by_end = _folders_by_end(held, root)
    matches = {folder: _best_match(folder, names, by_end, held) for folder, names in names_of.items()}
    closest: dict[str, int] = defaultdict(int)
    for match in matches.values():
        if match is not None:
            closest[match.folder] = max(closest[match.folder], match.n_agreeing)
    return {
        folder: match
        for folder, match in matches.items()
        if match is not None and match.n_agreeing == closest[match.folder]
    }


def _folders_by_end(held: Mapping[str, set[str]], root: str) -> dict[tuple[str, ...], list[str]]:
    above = tuple(part for part in root.replace("\\", "/").split("/") if part)
    by_end: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for folder in sorted(held):
        parts = (*above, *(part for part in folder.split("/") if part))
        for length in range(min(len(parts), _DEEPEST) + 1):
            by_end[parts[len(parts) - length :]].append(folder)
    return by_end


def _best_match(
    folder: tuple[str, ...],
    names: set[str],
    by_end: Mapping[tuple[str, ...], Sequence[str]],
    held: Mapping[str, set[str]],
) -> FolderMatch | None:
    for length in range(min(len(folder), _DEEPEST), -1, -1):
        candidates = [
            item for item in by_end.get(folder[len(folder) - length :], ()) if not names.isdisjoint(held[item])
        ]
        if not candidates:
            continue
        most = max(len(names & held[item]) for item in candidates)
        best = [item for item in candidates if len(names & held[item]) == most]
        if len(best) > 1:
            return None
        return FolderMatch(best[0], length, len([part for part in best[0].split("/") if part]))
    return None
