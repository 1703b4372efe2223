"""`hcs mechanisms` on small finished runs that lie in a catalog."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from hcs.catalog import publish
from hcs.cli.main import app
from hcs.errors import NotFoundError, StorageError
from hcs.io.storage import join, write_atomically
from hcs.io.tables import embedding_table_bytes
from schemas.results import ProfileReceipt
from schemas.work import RunState

MECHANISMS = ("tubulin inhibitor", "HDAC inhibitor", "mitochondrial uncoupler")
COMPOUNDS = {f"{mechanism[0]}{number}": mechanism for mechanism in MECHANISMS for number in range(7)}
INACTIVE = [f"i{number}" for number in range(8)]
KEYS = ["plate", "well", "perturbation", "concentration_micromolar", "dose_step", "control_type"]


def wells_of_plate(make, barcode):
    """Every compound once, a positive control, and two negative ones."""
    kinds = [(name, "treatment") for name in [*COMPOUNDS, *INACTIVE]]
    kinds += [("t-control", "poscon"), ("DMSO", "negcon"), ("DMSO", "negcon")]
    rows = [
        {
            "plate": barcode,
            "well": f"{chr(65 + number // 12)}{number % 12 + 1:02d}",
            "perturbation": name,
            "concentration_micromolar": None if kind == "negcon" else 1.0,
            "control_type": kind,
        }
        for number, (name, kind) in enumerate(kinds)
    ]
    return make.wells(rows)


def profiles_of_wells(wells, *, seed=0):
    """Each mechanism has a direction; what is inactive has none."""
    rng = np.random.default_rng(seed)
    axes = {name: MECHANISMS.index(mechanism) for name, mechanism in COMPOUNDS.items()} | {"t-control": 0}
    pushes = [5 * np.eye(10)[axes[name]] if name in axes else np.zeros(10) for name in wells["perturbation"]]
    return np.array(pushes) + 0.3 * rng.standard_normal((wells.height, 10))


def calls_of(make, *, hits, mechanisms):
    rows = []
    for name in [*COMPOUNDS, *INACTIVE, "t-control"]:
        mechanism = mechanisms.get(name)
        is_hit = name in hits
        rows.append(
            {
                "perturbation": name,
                "control_type": "poscon" if name == "t-control" else "treatment",
                "name": name.upper(),
                "is_hit": is_hit,
                "call": "active" if is_hit else "inactive",
                "q_value": 0.01 if is_hit else 0.9,
                "mechanism": mechanism,
                "mechanism_source": "annotated" if mechanism else "none",
            }
        )
    return make.calls(rows)


ACTIVE = frozenset([*COMPOUNDS, "t-control"])
ANNOTATED = {name: mechanism for name, mechanism in COMPOUNDS.items() if name != "t6"}


@pytest.fixture
def finished(catalog, make):
    """Return a function that publishes a run of two plates in two batches."""

    def finish(*, hits=ACTIVE, mechanisms=ANNOTATED, batches=("b1", "b2"), profiles=("combined",), called=True):
        barcodes = [f"P{number}" for number in range(len(batches))]
        wells = pl.concat([wells_of_plate(make, barcode) for barcode in barcodes])
        plates = [make.plate(barcode, batch=batch) for barcode, batch in zip(barcodes, batches, strict=True)]
        run = make.run(catalog, barcodes=barcodes, plates=plates, wells=wells)
        content = embedding_table_bytes(wells.select(KEYS), profiles_of_wells(wells).astype(np.float32))
        receipts = []
        for name in profiles:
            path = f"{run.name}/profiles/{name}.parquet"
            write_atomically(join(catalog.parts_uri, path), content)
            digest = hashlib.sha256(content).hexdigest()
            receipts.append(
                ProfileReceipt(
                    name=name,
                    relative_path=path,
                    sha256=digest,
                    n_bytes=len(content),
                    n_rows=wells.height,
                    n_features=10,
                )
            )
        calls = calls_of(make, hits=hits, mechanisms=mechanisms)
        parts = [calls.with_columns(profile=pl.lit(name)) for name in profiles]
        publish(
            catalog,
            run.id,
            calls=pl.concat(parts) if called and parts else make.calls([]),
            neighbours=make.neighbours([]),
            profiles=receipts,
            state=RunState.COMPLETE,
        )
        return run

    return finish


@pytest.fixture
def command(catalog):
    """Return a function that gives the command, and returns how it ended."""

    def give(*arguments):
        ended = CliRunner().invoke(app, ["mechanisms", *arguments, "--catalog", catalog.location])
        if isinstance(ended.exception, Exception):
            raise ended.exception
        return ended

    return give


def told(ended):
    """What a run's groups are, as a script reads them."""
    found = json.loads(ended.stdout)
    return found, {row["figure"]: row for row in found["figures"]}


def test_a_cluster_is_named_by_its_most_enriched_mechanism(finished, command):
    finished()

    found, figures = told(command("--format", "json"))

    rows = found["clusters"]
    assert sorted(row["mechanism"] for row in rows if row["cluster"]) == sorted(MECHANISMS)
    tubulin = next(row for row in rows if row["mechanism"] == "tubulin inhibitor")
    assert tubulin["members"] == "T-CONTROL; T0; T1; T2; T3; T4; T5; T6"
    assert (tubulin["cluster"], tubulin["size"], tubulin["n_with_mechanism"]) == (1, 8, 6)
    assert tubulin["share_annotated"] == pytest.approx(6 / 8)
    assert tubulin["q_value"] < 0.01
    assert figures["treatments"]["value"] == 22
    for name in ("adjusted_rand_index", "not_same_compound", "not_same_compound_or_batch"):
        assert figures[name]["value"] == pytest.approx(1)
        assert figures[name]["shuffled"] < 0.5
    assert {row["treatment"] for row in found["members"]} == {f"{name}@1" for name in ACTIVE}
    assert found["notes"] == []


def test_the_same_question_has_the_same_answer_to_the_byte_and_a_seed_changes_the_picture(finished, command):
    finished()

    first = command("--format", "json").stdout_bytes

    assert command("--format", "json").stdout_bytes == first
    assert command("--format", "json", "--seed", "1").stdout_bytes != first


def test_a_person_sees_two_tables(finished, command):
    finished()

    ended = command()

    assert ended.stdout.startswith("run-1, profile combined, hits ")
    assert "HDAC inhibitor" in ended.stdout
    assert "beside the mean of 200 shuffles" in ended.stdout
    assert "not_same_compound_or_batch" in ended.stdout
    assert ended.stderr == ""


def test_all_treatments_may_be_clustered_and_what_is_long_is_shortened_for_people_alone(finished, command):
    finished(mechanisms={})

    _, figures = told(command("--all", "--format", "json"))
    rows = pl.read_csv(io.BytesIO(command("--all", "--format", "csv").stdout_bytes))

    assert figures["treatments"]["value"] == 30
    assert rows["size"].sum() == 30
    assert sum(len(members.split("; ")) for members in rows["members"]) == 30


def test_noise_is_a_row_of_its_own_and_counted(finished, command):
    finished()

    found, figures = told(command("--all", "--format", "json"))

    noise = [row for row in found["clusters"] if row["cluster"] is None]
    assert sum(row["size"] for row in noise) == figures["noise"]["value"]
    assert sum(row["size"] for row in found["clusters"]) == 30
    assert figures["noise"]["value"] == sum(row["cluster"] is None for row in found["members"])


def test_the_clusters_are_written_to_a_file(finished, command, tmp_path):
    finished()

    ended = command("--output", str(tmp_path / "clusters.parquet"))

    assert pl.read_parquet(tmp_path / "clusters.parquet")["cluster"].drop_nulls().to_list() == [1, 2, 3]
    assert "rows written to" in ended.stderr


def test_without_hits_nothing_is_clustered_and_the_reader_is_told_what_to_do(finished, command):
    finished(hits=frozenset())

    ended = command("--format", "json")

    found, figures = told(ended)
    assert (found["clusters"], found["members"]) == ([], [])
    assert ended.stderr == "no treatment is a hit on combined: --all clusters the others too\n"
    assert figures["treatments"]["value"] == 0
    assert figures["not_same_compound"]["value"] is None


def test_few_hits_are_not_clustered_with_a_reason(finished, command):
    finished(hits=frozenset(["t0", "t1", "H0"]))

    ended = command()

    assert ended.stderr == "nothing is clustered: 3 treatments are too few: two clusters take at least 6\n"
    assert ended.exit_code == 0


def test_without_annotations_there_are_clusters_and_reasons(finished, command):
    finished(mechanisms={})

    found, figures = told(command("--format", "json"))

    assert [row["mechanism"] for row in found["clusters"]] == [None] * len(found["clusters"])
    assert figures["clusters"]["value"] == 3
    assert figures["adjusted_rand_index"]["value"] is None
    assert "none has an annotated mechanism" in figures["not_same_compound"]["reason"]


@pytest.mark.parametrize("batches", [("b1", "b1"), (None, None)])
def test_one_batch_has_no_figure_across_batches(finished, command, batches):
    finished(batches=batches)

    _, figures = told(command("--format", "json"))

    assert figures["not_same_compound"]["value"] == pytest.approx(1)
    assert figures["not_same_compound_or_batch"]["value"] is None
    assert figures["not_same_compound_or_batch"]["reason"].startswith("all wells are of one batch")


def test_an_unknown_profile_is_answered_with_those_there_are(finished, command):
    finished(profiles=("combined", "named"))

    with pytest.raises(NotFoundError, match="no calls on the profile 'nmaed'; it has combined, named"):
        command("--profile", "nmaed")


def test_a_run_in_which_nothing_was_profiled_is_refused(finished, command):
    finished(profiles=())

    with pytest.raises(NotFoundError, match=r"run-1 has no profile 'combined'; it has none, and `hcs status run-1`"):
        command()


def test_a_run_that_is_not_finished_is_refused(catalog, make, command):
    make.run(catalog)

    with pytest.raises(NotFoundError, match="finished"):
        command()
    with pytest.raises(NotFoundError, match="run-1 is running and has published no results yet"):
        command("--run", "run-1")


def test_a_profile_that_is_not_what_was_registered_is_refused(finished, command, catalog):
    run = finished()
    write_atomically(join(catalog.parts_uri, f"{run.name}/profiles/combined.parquet"), b"torn")

    with pytest.raises(StorageError, match=r"combined\.parquet"):
        command()
