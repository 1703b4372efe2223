"""What `hcs k8s check` makes of places that hold nothing, and of definitions as a cluster prints them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from commands import hcs

DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "plates.example.org"},
    "spec": {
        "group": "example.org",
        "names": {"kind": "Plate", "plural": "plates"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": {"wells": {"type": "integer"}}}},
                    }
                },
            }
        ],
    },
}
PLATE = """\
apiVersion: example.org/v1
kind: Plate
metadata: {name: one, namespace: hcs}
spec: {wells: 384}
"""


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_place_without_an_object_is_refused_and_not_sound(tmp_path: Path, is_folder: bool) -> None:
    place = tmp_path / "place"
    if is_folder:
        place.mkdir()
    else:
        place.write_text("# nothing\n")

    ended = hcs("k8s", "check", place)

    assert (ended.code, ended.out) == (2, "")
    assert f"expected Kubernetes objects in {place}, got none" in ended.err


def test_definitions_may_be_the_list_that_a_cluster_prints(tmp_path: Path) -> None:
    file, folder = tmp_path / "plate.yaml", tmp_path / "crds"
    folder.mkdir()
    (folder / "all.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [DEFINITION]}))

    file.write_text(PLATE)
    sound = hcs("k8s", "check", file, "--crds", folder)
    file.write_text(PLATE.replace("wells", "wels"))
    broken = hcs("k8s", "check", file, "--crds", folder)

    assert (sound.code, sound.out) == (0, ""), sound.err
    assert broken.code == 4
    assert "[schema/unknown-field]" in broken.out


def test_without_definitions_it_is_said_how_to_name_or_leave_them(tmp_path: Path) -> None:
    (tmp_path / "plate.yaml").write_text(PLATE)

    without = hcs("k8s", "check", tmp_path / "plate.yaml")
    both = hcs("k8s", "check", tmp_path / "plate.yaml", "--crds", tmp_path, "--core-only")

    assert without.code == 4
    assert "--core-only" in without.out
    assert both.code == 2
    assert "got both" in both.err
