"""Fetches the files of sites from a store ahead of those who decode them, several at once.

A request waits for most of its time. What lies on this machine is left to whoever decodes it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial

from hcs.io.pixels import Fetched, fetch_file, files_of_site
from hcs.io.storage import is_remote, reads_at_once
from hcs.pipeline.ahead import in_order
from hcs.pipeline.stopwatch import Stopwatch
from schemas.work import PlaneRef, UnitSpec

Planes = tuple[PlaneRef, ...]
SiteKey = tuple[str, int]


def fetch_sites(
    spec: UnitSpec, sites: Iterable[tuple[SiteKey, Planes]], *, watch: Stopwatch
) -> Generator[tuple[SiteKey, Planes, Mapping[str, Fetched] | None]]:
    """Yield sites with the content of their files, each fetched once; None where they lie on this machine.

    The files of one site are fetched side by side, and those of the next sites meanwhile, as many as `reads_at_once`.

    Args:
        spec: Names the root and the channels.
        sites: In the order wanted.
        watch: Counts the time, and tells it to stop.

    Raises:
        StoreUnavailableError: If the store cannot be read from.
        InputChangedError: If a file is another one than was listed.
    """
    if not is_remote(spec.root):
        for key, planes in sites:
            yield key, planes, None
        return
    each = [(key, planes, files_of_site(planes, channels=spec.channels)) for key, planes in sites]
    files = [plane for _, _, own in each for plane in own.values()]
    fetch = partial(_fetch, spec.root, watch)
    with closing(in_order(fetch, files, threads=reads_at_once(spec.root))) as contents:
        for key, planes, own in each:
            yield key, planes, {path: next(contents) for path in own}


def fetch_site(root: str, planes: Planes, *, channels: Sequence[str]) -> Mapping[str, Fetched] | None:
    """Return the content of the files of one site, fetched side by side; None where they lie on this machine."""
    if not is_remote(root):
        return None
    files = files_of_site(planes, channels=channels)
    contents = in_order(partial(fetch_file, root), files.values(), threads=min(len(files), reads_at_once(root)))
    return dict(zip(files, contents, strict=True))


def _fetch(root: str, watch: Stopwatch, plane: PlaneRef) -> Fetched:
    watch.stop_if_cancelled()
    with watch.time("fetch", f"{plane.well} site {plane.site}"):
        return fetch_file(root, plane)
