"""What the API says of itself is true and complete."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from wheels import REPOSITORY

from services.api.description import ADMINISTERING, EVERY_PATH, FURTHER, SUBMITTING, document
from services.api.problems import KINDS

COMMITTED = REPOSITORY / "schemas" / "openapi.json"
PATHS = document()["paths"]
OPERATIONS = [(path, method) for path, item in PATHS.items() for method in item]


def test_the_committed_description_is_that_of_the_code():
    made = subprocess.run(
        [sys.executable, "-m", "services.api.description"], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )

    assert made.stdout == COMMITTED.read_text(encoding="utf-8"), "make openapi"


def test_it_is_openapi_3_1_and_served_as_it_is(server):
    with server.client() as nobody:
        served = nobody.get("/v1/openapi.json").json()

    assert served == json.loads(COMMITTED.read_text(encoding="utf-8"))
    assert served["openapi"].startswith("3.1.")


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_says_what_it_does_and_how_it_may_fail(path, method):
    operation = PATHS[path][method]

    assert operation["summary"]
    assert operation["description"]
    assert len(operation["tags"]) == 1
    assert "500" in operation["responses"]
    if path.startswith("/v1/"):
        assert {str(status) for status in EVERY_PATH} <= set(operation["responses"])
        assert operation["security"][0]["key"]
    for parameter in operation.get("parameters", ()):
        assert parameter.get("description"), parameter["name"]


def test_every_field_of_every_answer_and_of_a_screen_says_what_it_means():
    schemas = document()["components"]["schemas"]

    silent = [
        f"{record}.{name}"
        for record, schema in schemas.items()
        for name, field in schema.get("properties", {}).items()
        if not field.get("description")
    ]

    assert len(schemas) > 30
    assert silent == []


def test_what_is_said_of_single_operations_is_said_of_operations_that_there_are():
    assert {*FURTHER, *SUBMITTING, *ADMINISTERING} <= set(OPERATIONS)


def test_every_reference_leads_somewhere():
    text = COMMITTED.read_text(encoding="utf-8")
    whole = json.loads(text)

    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        place = whole
        for part in reference.split("/"):
            place = place[part]
    for operation in re.findall(r'"operationId": "(\w+)"', text):
        assert operation in {item[method]["operationId"] for item in PATHS.values() for method in item}


def test_kinds_of_problems_have_a_status_and_a_word_of_their_own():
    assert len({kind.status for kind in KINDS}) == len({kind.word for kind in KINDS}) == len(KINDS)
