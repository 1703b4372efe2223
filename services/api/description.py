"""What the API says of itself: OpenAPI 3.1, with every problem, header and link that an answer may have."""

from __future__ import annotations

import json
import sys
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.api import FieldError, Problem
from schemas.keys import Scope
from schemas.screen import ScreenConfig
from services.api.access import OPEN_PATHS
from services.api.problems import BY_STATUS, KINDS, MEDIA_TYPE, Kind

ABOUT = """Submit plates, and ask what was found: hits by mechanism, perturbations, plates, wells and pictures.

Every request but those for health carries `Authorization: Bearer KEY`. An answer that is no success is a problem as of
RFC 9457: programs match on `type`, people read `detail`, and `errors` points to fields. Names are verbatim, also where
they look like markup. A number that is not known is null.
"""
TAGS = {
    "runs": "Check or submit a screen, look how far it is, cancel it, try failures again, delete it.",
    "hits": "Which treatments are active, and what they do.",
    "perturbations": "Everything of one compound, ORF or guide.",
    "plates": "What was delivered, and what became of it.",
    "pictures": "Composed of the images that a run has read, as WebP.",
    "screens": "The projects of a catalog.",
    "health": "For whoever watches the process. Takes no key.",
}
KEY, READ, SUBMIT, ADMINISTER = "key", Scope.READ.value, Scope.SUBMIT.value, Scope.ADMIN.value
EVERY_PATH = (400, 401, 403, 404, 413, 422, 500, 503)
WITHOUT_KEY = (500, 503)
FURTHER = {
    ("/v1/checks", "post"): (408, 415),
    ("/v1/runs", "post"): (408, 409, 415),
    ("/v1/runs/{run}/cancel", "post"): (409,),
    ("/v1/runs/{run}/retry", "post"): (409,),
    ("/v1/runs/{run}", "delete"): (409,),
}
OF_PICTURES = (410, 429)
SUBMITTING = {
    ("/v1/checks", "post"),
    ("/v1/runs", "post"),
    ("/v1/runs/{run}/cancel", "post"),
    ("/v1/runs/{run}/retry", "post"),
}
TAKING_SCREENS = {("/v1/checks", "post"), ("/v1/runs", "post")}
ADMINISTERING = {("/v1/runs/{run}", "delete")}


REFERENCE = "#/components/schemas/{model}"
SUBMITTED = "Submitted"
SHORT_EXCLUSION = {
    "type": "object",
    "description": "The short form `BARCODE:WELL` -> reason.",
    "minProperties": 1,
    "maxProperties": 1,
    "propertyNames": {"pattern": "^.+:[A-Za-z]{1,2}[0-9]{2}$"},
    "additionalProperties": {"type": "string", "minLength": 1},
}
PLACE = r"^(/|file:///|s3://[a-z0-9])[ -~]*$"
EXAMPLE = {
    "screen": "kinase-pilot",
    "plates": [{"barcode": "BR00117035", "uri": "/data/BR00117035__2021-05-02", "batch": "2021_05_02"}],
    "platemaps": "/data/metadata/barcode_platemap.csv",
    "controls": {"negcon": ["DMSO"]},
}


def _header(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}}


HEADERS = {
    "Location": _header("Path of the run.", pattern="^/v1/runs/run-[0-9]+$"),
    "Retry-After": _header("Seconds after which it is worth asking again.", pattern="^[0-9]+$"),
    "Link": _header('The next page, as `<...>; rel="next"`; absent on the last one.'),
    "ETag": _header("Changes with the picture."),
    "Cache-Control": _header("How long the picture may be kept."),
    "WWW-Authenticate": _header("How to come in."),
    "Allow": _header("The methods that the path knows."),
}
HEADERS_OF_PROBLEMS = {401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After",), 503: ("Retry-After",)}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "`ETag` of the picture that is held already.",
    "schema": {"type": "string"},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="hcs",
            version=app.version,
            summary="The open platform for high-content screening.",
            description=ABOUT,
            routes=app.routes,
            tags=[{"name": name, "description": text} for name, text in TAGS.items()],
            license_info={"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        )
        app.openapi_schema = _completed(document)
    return app.openapi_schema


def document() -> dict[str, Any]:
    """Return the OpenAPI document without a catalog behind it."""
    from services.api.app import make_app  # noqa: PLC0415 - the application describes itself by this module

    return describe(make_app(None))


def main() -> None:
    """Write the document to stdout, as it is committed."""
    sys.stdout.write(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= _submitted() | {"Problem": _plain(Problem), "FieldError": _plain(FieldError)}
    components["schemas"] = dict(sorted(schemas.items()))
    components["securitySchemes"] = {
        KEY: {"type": "http", "scheme": "bearer", "description": "A key that `hcs keys create` made."}
    }
    components["responses"] = {kind.word: _problem(kind) for kind in KINDS}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _complete(path, method, operation)
    return document


def _plain(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=REFERENCE, mode="serialization")
    schema.pop("$defs", None)
    return schema


def _submitted() -> dict[str, Any]:
    """Return the schemas of a SCREEN.yaml as it is submitted, under names of their own: answers hold every default."""
    _, found = models_json_schema([(ScreenConfig, "validation")], ref_template=REFERENCE)
    text = json.dumps(found["$defs"])
    for name in found["$defs"]:
        text = text.replace(f'"{REFERENCE.format(model=name)}"', f'"{REFERENCE.format(model=SUBMITTED + name)}"')
    schemas = {SUBMITTED + name: schema for name, schema in json.loads(text).items()}
    fields = schemas[f"{SUBMITTED}ScreenConfig"]["properties"]
    _say_what_places_are(schemas)
    for name, short in (("encoders", {"type": "string", "minLength": 1}), ("exclude_wells", SHORT_EXCLUSION)):
        fields[name]["items"] = {"anyOf": [fields[name]["items"], short]}
    return schemas


def _say_what_places_are(schemas: dict[str, Any]) -> None:
    """Add to every field that is read as a place how places are spelled."""
    screen = schemas[f"{SUBMITTED}ScreenConfig"]["properties"]
    plate = schemas[f"{SUBMITTED}PlateEntry"]["properties"]
    encoder = schemas[f"{SUBMITTED}EncoderChoice"]["properties"]
    for field in (screen["platemaps"], screen["annotations"], plate["uri"], encoder["weights"]):
        for choice in field.get("anyOf", [field]):
            for inner in (choice, choice.get("items", {}), choice.get("additionalProperties", {})):
                if isinstance(inner, dict) and inner.get("type") == "string":
                    inner["pattern"] = PLACE


def _problem(kind: Kind) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": kind.title,
        "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model="Problem")}}},
    }
    names = HEADERS_OF_PROBLEMS.get(kind.status, ())
    return answer | ({"headers": {name: HEADERS[name] for name in names}} if names else {})


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Add to an operation what its function does not say: its key, its problems, its body, headers and links."""
    is_open = path in OPEN_PATHS
    scope = ADMINISTER if (path, method) in ADMINISTERING else SUBMIT if (path, method) in SUBMITTING else READ
    operation["security"] = [] if is_open else [{KEY: [scope]}]
    for parameter in operation.get("parameters", ()):
        _leave_out_null(parameter["schema"])
    responses = operation["responses"]
    responses.pop("422", None)
    usual = (500,) if path == "/healthz" else WITHOUT_KEY if is_open else EVERY_PATH
    of_pictures = OF_PICTURES if path.endswith(".webp") else ()
    for status in sorted({*usual, *of_pictures, *FURTHER.get((path, method), ())}):
        responses[str(status)] = {"$ref": f"#/components/responses/{BY_STATUS[status].word}"}
    if path.endswith(".webp"):
        responses["304"] = {"description": "The picture with this tag is still the same", "headers": _of("ETag")}
        operation["parameters"].append(IF_NONE_MATCH)
    responses["default"] = {"$ref": "#/components/responses/bad-request"}
    operation["responses"] = dict(sorted(responses.items()))
    if (path, method) in TAKING_SCREENS:
        operation["requestBody"] = _screen_as_body()
    if (path, method) == ("/v1/runs", "post"):
        _complete_submission(operation)
    for status in ("200", "202"):
        if status in responses:
            _add_headers(path, method, status, responses[status])
            _add_links(path, method, responses[status])


def _leave_out_null(schema: dict[str, Any]) -> None:
    """Say what a parameter is when it is given: to leave it out is another thing than to send null."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del schema["anyOf"]
        schema |= choices[0]


def _screen_as_body() -> dict[str, Any]:
    return {
        "required": True,
        "description": "A SCREEN.yaml as JSON; its URIs are absolute.",
        "content": {
            "application/json": {
                "schema": {"$ref": REFERENCE.format(model=f"{SUBMITTED}ScreenConfig")},
                "examples": {"one plate": {"value": EXAMPLE}},
            }
        },
    }


def _complete_submission(operation: dict[str, Any]) -> None:
    answer = operation["responses"]["202"]
    answer["description"] = "A dispatcher performs this run"
    operation["responses"]["200"] = {**answer, "description": "The run that there is of this screen or request"}


def _add_headers(path: str, method: str, status: str, answer: dict[str, Any]) -> None:
    if path == "/v1/runs/{run}/map":
        answer.update({"headers": _of("Retry-After")} if status == "202" else {})
    elif method == "post" and path.startswith("/v1/runs"):
        answer["headers"] = _of("Location", "Retry-After")
    elif path in {"/v1/runs/{run}", "/v1/runs/{run}/plates/{barcode}/progress"}:
        answer["headers"] = _of("Retry-After")
    elif path in {"/v1/hits", "/v1/runs"}:
        answer["headers"] = _of("Link")
    elif path.endswith(".webp"):
        answer["headers"] = _of("ETag", "Cache-Control")


def _add_links(path: str, method: str, answer: dict[str, Any]) -> None:
    """Say which requests an answer leads to."""
    if method == "post" and path.startswith("/v1/runs"):
        answer["links"] = {
            name: {"operationId": operation, "parameters": {"run": "$response.body#/id"}}
            for name, operation in (("look", "one_run"), ("cancel", "cancel"), ("retry", "retry"), ("delete", "delete"))
        }
    elif path == "/v1/plates/{barcode}":
        itself = {"path.barcode": "$response.body#/barcode"}
        answer["links"] = {name: {"operationId": name, "parameters": itself} for name in ("wells", "measures", "sheet")}
    elif path == "/v1/perturbations/{perturbation}":
        itself = {"path.perturbation": "$response.body#/perturbation"}
        answer["links"] = {"neighbours": {"operationId": "neighbours", "parameters": itself}}


def _of(*names: str) -> dict[str, Any]:
    return {name: HEADERS[name] for name in names}


if __name__ == "__main__":
    main()
