from __future__ import annotations

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from hcs.catalog import EVERY_CALL, HitLimits, find_hits, get_run, publish
from hcs.catalog.migrations import HEAD
from hcs.catalog.models import Base
from hcs.hits.explain import sentences_of_call
from schemas.work import RunState


def config(connection):
    made = Config()
    made.set_main_option("script_location", "hcs.catalog:migrations")
    made.attributes["connection"] = connection
    return made


def objects(connection):
    """Every table and index as SQLite keeps them, clause by clause; constraints may stand in any order."""
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'"
    texts = {name: " ".join(sql.replace('"', "").split()) for name, sql in connection.execute(text(query))}
    return {name: sorted(sql.removesuffix(" )").split(", ")) for name, sql in texts.items()}


def test_the_newest_step_is_the_one_that_is_opened(catalog):
    assert ScriptDirectory.from_config(config(None)).get_heads() == [HEAD]


def test_the_steps_lead_to_the_tables_of_the_models(catalog):
    with catalog.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_steps_lead_to_the_tables_of_the_models_clause_by_clause(sqlite_catalog):
    with sqlite_catalog.reading() as connection:
        migrated = objects(connection)

    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        assert migrated == objects(connection)
    engine.dispose()


def test_the_steps_lead_back_to_nothing(catalog):
    with catalog.engine.connect() as connection, connection.begin():
        command.downgrade(config(connection), "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_every_constraint_has_a_name_that_a_later_step_can_use():
    for table in Base.metadata.tables.values():
        assert all(constraint.name for constraint in table.constraints)
        assert all(len(str(named.name)) < 63 for named in [*table.constraints, *table.indexes])


def test_calls_of_an_earlier_version_are_kept_and_say_that_nothing_was_tested(place, make):
    with place.open() as catalog:
        run_id = make.run(catalog).id
        calls = make.calls([{"perturbation": "A"}, {"perturbation": "B", "is_hit": False, "q_value": 0.3}])
        publish(catalog, run_id, calls=calls, neighbours=make.neighbours([]), profiles=[], state=RunState.COMPLETE)
        before = find_hits(catalog, EVERY_CALL)
        with catalog.engine.connect() as connection, connection.begin():
            command.downgrade(config(connection), "0007")
            columns = {column["name"] for column in inspect(connection).get_columns("calls")}

    with place.open(create=False) as catalog:
        after = find_hits(catalog, EVERY_CALL)
        assert find_hits(catalog, HitLimits(min_batches=1)).is_empty()
        kept = dict.fromkeys(("not_by_count", "not_one_channel", "not_flagged"), True)
        assert find_hits(catalog, HitLimits(q_max=1, **kept)).equals(after)
    added = [name for name in before.columns if name not in columns]
    assert len(added) == 14
    assert after.drop(added).equals(before.drop(added))
    assert after.select(added).null_count().row(0) == (2,) * 14
    assert all(said.startswith("not tested") for said in sentences_of_call(after.row(0, named=True))[1:])
    assert sentences_of_call(after.row(1, named=True))[1:] == ()


def test_a_catalog_of_an_earlier_version_is_brought_up_to_date_and_keeps_what_it_holds(place, make):
    with place.open() as catalog:
        run_id = make.run(catalog).id
        with catalog.engine.connect() as connection, connection.begin():
            command.downgrade(config(connection), "0001")

    with place.open(create=False) as catalog:
        assert get_run(catalog, run_id, finished=False).screen == "pilot"
        with catalog.reading() as connection:
            assert "ix_parts_run_id_kind" in {index["name"] for index in inspect(connection).get_indexes("parts")}
            assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
