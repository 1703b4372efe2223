"""Custom objects against a definition of our own, and KubeRay's samples in shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hcs.errors import MissingFileError
from hcs.k8s.checking.custom import check_custom, with_defaults
from hcs.k8s.checking.finding import Finding, Unchecked

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size", "least"],
            "x-kubernetes-validations": [
                {"rule": "self.least <= self.most", "message": "least must not be above most"},
                {"rule": "!has(self.__namespace__) || self.__namespace__ != 'default'"},
                {"rule": "self.size == oldSelf.size"},
                {"rule": "isURL(self.size)"},
            ],
            "properties": {
                "size": {"type": "string", "pattern": "^[a-z]+$"},
                "least": {"type": "integer", "format": "int32", "default": 0},
                "most": {"type": "integer", "default": 5},
                "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "namespace": {"type": "string"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "maybe": {"type": "string", "nullable": True},
                "nested": {
                    "type": "object",
                    "default": {},
                    "properties": {"deep": {"type": "boolean", "default": True}},
                },
            },
        }
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "spec": {
            "group": "things.example.org",
            "names": {"kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "schema": {"openAPIV3Schema": SCHEMA}},
                         {"name": "v0", "served": False, "schema": {"openAPIV3Schema": SCHEMA}}],
        },
    }  # fmt: skip
    (tmp_path / "things.yaml").write_text(yaml.safe_dump(definition), encoding="utf-8")
    return tmp_path


def thing(version: str = "v1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"things.example.org/{version}",
        "kind": "Thing",
        "metadata": {"name": "one", "namespace": "hcs", "labels": {"a": "b"}},
        "spec": {"size": "small", **spec},
    }


def findings(folder: Path, item: dict[str, Any]) -> set[tuple[str, str]]:
    said = check_custom([item], definitions=folder)
    return {(one.path, one.rule) for one in said if isinstance(one, Finding)}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, set()),
        ({"port": 80}, set()),
        ({"port": "web"}, set()),
        ({"port": 1.5}, {("spec.port", "schema/value")}),
        ({"labels": {"any": "text"}}, set()),
        ({"labels": {"any": 1}}, {("spec.labels.any", "schema/value")}),
        ({"free": {"any": {"thing": [1]}}}, set()),
        ({"maybe": None}, set()),
        ({"least": None}, set()),  # dropped, and the default takes its place
        ({"least": 2**31}, {("spec.least", "schema/value")}),
        ({"sizes": 1}, {("spec.sizes", "schema/unknown-field")}),
        ({"nested": {"deeper": True}}, {("spec.nested.deeper", "schema/unknown-field")}),
        ({"size": None}, {("spec.size", "schema/required")}),
        ({"size": "Small"}, {("spec.size", "schema/value")}),
        ({"least": 6}, {("spec", "schema/cel")}),
        ({"least": 3, "most": 3}, set()),
        ({"namespace": "default"}, {("spec", "schema/cel")}),
        ({"namespace": "hcs"}, set()),
    ],
)
def test_an_object_is_held_against_its_definition(
    folder: Path, spec: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    assert findings(folder, thing(**spec)) == expected


def test_rules_that_are_not_evaluated_are_listed_with_their_reason(folder: Path) -> None:
    said = [one for one in check_custom([thing()], definitions=folder) if isinstance(one, Unchecked)]

    assert {one.rule.split("(")[0].split()[0] for one in said} == {"self.size", "isURL"}
    assert any("as it was" in one.reason for one in said)
    assert any("cel-python" in one.reason for one in said)


def test_a_kind_or_version_without_a_definition_is_a_finding(folder: Path) -> None:
    stranger = {**thing(), "kind": "Something"}

    assert findings(folder, stranger) == {("apiVersion", "schema/unknown-kind")}
    assert findings(folder, thing("v0")) == {("apiVersion", "schema/unknown-kind")}
    assert {one.rule for one in check_custom([thing()], definitions=None)} == {"schema/unknown-kind"}


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="--crds"):
        list(check_custom([thing()], definitions=tmp_path / "none"))


def test_defaults_fill_what_is_not_said_and_change_nothing_else() -> None:
    item = thing(most=7)

    filled = with_defaults(item, SCHEMA)

    assert filled["spec"] == {"size": "small", "most": 7, "least": 0, "nested": {"deep": True}}
    assert item == thing(most=7)
    assert with_defaults(filled, SCHEMA) == filled
