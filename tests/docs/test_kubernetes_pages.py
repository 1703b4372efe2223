"""The pages for operators: what can be tried without a cluster is, and every name on them is one of the overlays."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import hcs, with_settings
from pages import DOCS
from postgres import databases

from hcs.cli.parsing import refusal_of
from hcs.simulation.deliver import simulate_screen
from hcs.simulation.design import small_design

INSTALLATION, RUNBOOK = (DOCS / "how-to" / name for name in ("run-on-kubernetes.md", "runbook.md"))
OVERLAYS = DOCS.parent / "k8s" / "overlays"
PAGES = pytest.mark.parametrize("page", [INSTALLATION, RUNBOOK], ids=lambda page: page.stem)

MADE_BY_OTHERS = {("deployment", "kuberay-operator"), ("deployment", "cnpg-controller-manager")}
SECRETS = {"hcs-ray-token", "hcs-catalog-app", "hcs-object-store-read", "hcs-object-store-write"}
KINDS = {"deploy": "deployment", "cluster.postgresql.cnpg.io": "cluster"}


def typed(page: Path) -> list[str]:
    """The lines behind a prompt."""
    return re.findall(r"^ *\$ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """The words after each `hcs`, here or in a pod."""
    found = [re.search(r"(?:^|-- |\| )hcs (.*)$", line) for line in typed(page)]
    return [shlex.split(match[1].split(" | ")[0]) for match in found if match]


def rendered(folder: Path) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which renders the overlays, is not installed")
    ended = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(ended.stdout))


@pytest.fixture(scope="module")
def names() -> set[tuple[str, str]]:
    """Kind and name of each object of the overlays."""
    objects = [made for overlay in ("dev", "prod") for made in rendered(OVERLAYS / overlay)]
    return {(made["kind"].lower(), made["metadata"]["name"]) for made in objects}


@PAGES
def test_every_command_of_ours_is_understood(page: Path) -> None:
    found = commands(page)

    assert len(found) >= 5
    assert {" ".join(words): refusal_of(words) for words in found} == {" ".join(words): None for words in found}


@PAGES
def test_every_object_that_is_named_is_there(page: Path, names: set[tuple[str, str]]) -> None:
    text = "\n".join(typed(page))
    kinds = r"deploy|deployment|job|service|statefulset|resourcequota|cluster\.postgresql\.cnpg\.io"
    by_slash = re.findall(rf"\b({kinds})/([a-z-]+)", text)
    by_words = re.findall(rf"\b({kinds}) (hcs[a-z-]*)", text)
    named = {(KINDS.get(kind, kind), name) for kind, name in (*by_slash, *by_words)}

    assert named
    assert named - names - MADE_BY_OTHERS == set()
    assert set(re.findall(r"\bsecret (?:generic )?(hcs[a-z-]*)", text)) <= SECRETS


def test_every_secret_that_pods_name_is_made_on_the_page_or_by_the_operator() -> None:
    def secrets(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from (part[key]["name"] for key in ("secretKeyRef", "secretRef") if key in part)
            yield from [part["secretName"]] if "secretName" in part else []
            part = list(part.values())
        if isinstance(part, list):
            for inner in part:
                yield from secrets(inner)

    needed = {name for overlay in ("dev", "prod") for name in secrets(rendered(OVERLAYS / overlay))}

    assert needed == SECRETS
    made = set(re.findall(r"create secret generic (\S+)", INSTALLATION.read_text(encoding="utf-8")))
    assert made == SECRETS


def test_the_patch_for_a_restore_leaves_one_way_to_begin(tmp_path: Path) -> None:
    (patch,) = re.findall(r"^ {4}```yaml\n(.*?)^ {4}```", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    shutil.copytree(OVERLAYS.parent, tmp_path / "k8s")
    overlay = tmp_path / "k8s" / "overlays" / "prod"
    (overlay / "restore-patch.yaml").write_text(re.sub("^ {4}", "", patch, flags=re.MULTILINE))
    said = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    said["patches"].append({"path": "restore-patch.yaml"})
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(said))

    (cluster,) = [made["spec"] for made in rendered(overlay) if made["kind"] == "Cluster"]

    (source,) = cluster["externalClusters"]
    assert list(cluster["bootstrap"]) == ["recovery"]
    assert cluster["bootstrap"]["recovery"]["source"] == source["name"]
    stores = source["barmanObjectStore"], cluster["backup"]["barmanObjectStore"]
    assert stores[0]["destinationPath"] == stores[1]["destinationPath"]
    assert stores[0]["serverName"] != stores[1]["serverName"], "it would write over what it reads"
    assert cluster["backup"]["retentionPolicy"] == "30d"


@pytest.mark.slow
def test_from_no_tables_to_the_first_hits(tmp_path: Path) -> None:
    """What the page types into pods, on a catalog that only the migration makes; `hcs work` stands for the RayJob."""
    screen = tmp_path / "kinase-pilot"
    simulate_screen(str(screen), design=small_design(plates=1, wells=24), seed=11, workers=1)
    with_settings(screen / "SCREEN.yaml", encoders=["named"])
    text = INSTALLATION.read_text(encoding="utf-8")
    steps = [
        shlex.split(line.replace("s3://screening-plates/kinase-pilot", str(screen)))
        for line in re.findall(r"^\$ kubectl -n hcs exec deploy/\S+ -- hcs (.*)$", text, re.MULTILINE)
    ]
    assert [step[0] for step in steps] == ["keys", "submit", "status", "hits"]
    with databases() as server:
        settings = {"HCS_CATALOG": server.make(), "HCS_PARTS": str(tmp_path / "parts"), "HCS_UPGRADE": "false"}
        assert hcs(*steps[0], **settings).code == 2
        assert hcs("catalog", "upgrade", **settings).code == 0
        assert hcs("catalog", "wait", "--seconds", "600", **settings).code == 0

        key, submitted, waits = (hcs(*step, **settings) for step in steps[:3])
        performed = hcs("work", "--once", **settings)
        hits = hcs(*steps[3], **settings)

    assert key.out.startswith("hcs_"), key.err
    assert (submitted.code, submitted.out) == (0, "run-1\n"), submitted.err
    assert waits.out.startswith("run-1: submitted"), waits.err
    assert (performed.code, performed.out) == (0, "run-1: complete\n"), performed.err
    assert hits.code == 0, hits.err
