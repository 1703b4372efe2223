from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from sqlalchemy import func, select

from hcs.catalog import catalog_id, cursor_secret, open_catalog
from hcs.catalog.models import Identity


def test_a_catalog_is_the_same_for_whoever_opens_it(catalog, place):
    first = catalog_id(catalog), cursor_secret(catalog)

    with place.open() as again:
        assert (catalog_id(again), cursor_secret(again)) == first
    assert len(bytes.fromhex(first[0])) == 16
    assert len(first[1]) == 32


def test_two_catalogs_are_not_the_same(tmp_path):
    with open_catalog(str(tmp_path / "a.sqlite")) as one, open_catalog(str(tmp_path / "b.sqlite")) as other:
        assert catalog_id(one) != catalog_id(other)
        assert cursor_secret(one) != cursor_secret(other)


def test_those_who_ask_first_at_once_are_told_the_same(place):
    barrier = Barrier(4)

    def ask(_):
        with place.open() as catalog:
            barrier.wait(30)
            return catalog_id(catalog), cursor_secret(catalog)

    with ThreadPoolExecutor(4) as pool:
        told = set(pool.map(ask, range(4)))

    assert len(told) == 1
    with place.open() as catalog, catalog.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(Identity)) == 1
