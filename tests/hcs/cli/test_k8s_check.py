"""`hcs k8s check` as people and CI use it, and what reads command lines without running them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from commands import hcs
from typer.testing import CliRunner, Result
from wheels import REPOSITORY

from hcs.cli import k8s
from hcs.cli.parsing import refusal_of
from hcs.errors import MissingFileError, UsageError

SOUND = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: some-settings, namespace: hcs}
data: {HCS_OFFLINE: "true"}
"""
BROKEN = SOUND.replace("\ndata:", "\ndatum:").replace("namespace: hcs", "namespace: default")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text(SOUND, encoding="utf-8")
    return file


def check(*arguments: object, stdin: str | None = None) -> Result:
    app = typer.Typer()
    k8s.register(app)
    ended = CliRunner().invoke(app, ["k8s", "check", *map(str, arguments)], input=stdin)
    if isinstance(ended.exception, Exception):
        raise ended.exception
    return ended


def test_a_sound_manifest_ends_with_zero_and_says_how_much_was_looked_at(manifest: Path) -> None:
    ended = check(manifest)

    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "1 object, 0 findings" in ended.stderr


def test_findings_are_sentences_and_end_with_four() -> None:
    ended = check("-", stdin=BROKEN)

    assert ended.exit_code == 4
    assert ended.stdout.splitlines() == [
        "ConfigMap/some-settings datum: expected a field that Kubernetes 1.33 knows (nearest: data), got datum; "
        "remove it or mend its name [schema/unknown-field]",
        "ConfigMap/some-settings metadata.namespace: expected a namespace of our own, got default; "
        "set `namespace` in the kustomization [policy/namespace]",
    ]


def test_machines_get_the_same_as_json_and_csv(manifest: Path) -> None:
    manifest.write_text(BROKEN, encoding="utf-8")

    (verdict,) = json.loads(check(manifest, "--format", "json").stdout)
    table = check(manifest, "--format", "csv").stdout.splitlines()

    assert [one["rule"] for one in verdict["findings"]] == ["schema/unknown-field", "policy/namespace"]
    assert (verdict["place"], verdict["objects"]) == (str(manifest), 1)
    assert len(table) == 3


def test_a_folder_is_one_set_and_each_place_is_its_own(manifest: Path) -> None:
    (manifest.parent / "again.yaml").write_text(SOUND, encoding="utf-8")

    both = check(manifest.parent)
    apart = check(manifest, manifest.parent / "again.yaml")

    assert "[schema/twice]" in both.stdout
    assert (both.exit_code, apart.exit_code) == (4, 0)


def test_an_overlay_is_rendered_as_its_user_would_do_it() -> None:
    ended = hcs("k8s", "check", REPOSITORY / "k8s" / "overlays" / "dev", "--core-only", "--kubernetes", "1.35")

    assert (ended.code, ended.out) == (0, "")
    assert "0 findings" in ended.err


def test_another_version_of_kubernetes_is_asked_alone(manifest: Path) -> None:
    manifest.write_text(BROKEN, encoding="utf-8")

    assert "Kubernetes 1.30 knows" in check(manifest, "--kubernetes", "1.30").stdout
    with pytest.raises(UsageError, match=r"1\.37"):
        check(manifest, "--kubernetes", "1.99")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: [", "YAML"),
        ("just: words\n", "apiVersion, kind and metadata"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {}\n", "metadata.name"),
        (SOUND + "kind: Secret\n", "twice"),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_paragraph(manifest: Path, text: str, said: str) -> None:
    manifest.write_text(text, encoding="utf-8")

    with pytest.raises(UsageError, match=said):
        check(manifest)


def test_what_is_not_there_or_cannot_be_rendered_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="not there"):
        check(tmp_path / "none.yaml")
    (tmp_path / "kustomization.yaml").write_text("resources: [none.yaml]\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"none\.yaml"):
        check(tmp_path)


def test_a_table_that_is_none_is_refused(manifest: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.yml"
    for text, said in (
        ("in: 7\n", "in"),
        ("peers: {a: {address: nowhere}}\n", "address"),
        ("in: {a: {web: []}}", "web"),
    ):
        table.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=said):
            check(manifest, "--reach", table)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("serve --host 0.0.0.0 --port 8000", None),
        ("work --run run-7 --executor ray --address auto", None),
        ("k8s dispatch --alive", None),
        ("--version", None),
        ("serve --help", None),
        ("serve --hosts 0.0.0.0", "--hosts"),
        ("serve --port many", "--port"),
        ("k8s", "missing"),
        ("", "missing"),
        ("serf", "serf"),
        ("runs extra", "extra"),
    ],
)
def test_a_command_line_is_read_and_not_run(
    line: str, expected: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal_of(line.split())

    assert said is None if expected is None else expected in str(said)
    assert capsys.readouterr() == ("", "")
