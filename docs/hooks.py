"""Fill the reference pages from the code, so that they cannot drift from it.

A page asks with a line `<!-- from the code: NAME -->`, where NAME is a key of `PAGES`, or with
`<!-- from the code: package NAME -->`, where NAME is a package whose modules are all listed.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

MARKER = re.compile(r"^<!-- from the code: (?P<name>[a-z]+)(?: (?P<package>[a-z.]+))? -->$", re.MULTILINE)
ROOT = Path(__file__).resolve().parents[1]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page with every marker replaced by what the code says."""
    return MARKER.sub(lambda match: package(match["package"]) if match["package"] else PAGES[match["name"]](), markdown)


def package(name: str) -> str:
    """Return one mkdocstrings block for every public module of a package; migrations are for alembic alone."""
    folder = ROOT / name.replace(".", "/")
    paths = (path.relative_to(folder).with_suffix("") for path in sorted(folder.rglob("*.py")))
    modules = [".".join(path.parts) for path in paths if path.stem[0] != "_" and "migrations" not in path.parts]
    return "\n\n".join(f"::: {name}.{module}" for module in modules)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), "|" + " --- |" * len(head), *(line(row) for row in rows)])


def _kind(schema: dict[str, Any]) -> str:
    """Return what a JSON Schema accepts, in words."""
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"])
    if "$ref" in schema:
        return f"`{schema['$ref'].rsplit('/', 1)[-1]}`"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if schema.get("type") == "object":
        return f"map to {_kind(schema.get('additionalProperties', {}))}"
    return str(schema.get("type", "anything")) + _limits(schema)


def _limits(schema: dict[str, Any]) -> str:
    words = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}
    return "".join(f", {word} {schema[key]:g}" for key, word in words.items() if key in schema)


def _default(name: str, field: dict[str, Any], required: Sequence[str]) -> str:
    if name in required:
        return "required"
    return f"`{json.dumps(field['default'])}`" if "default" in field and len(json.dumps(field["default"])) < 60 else ""


def _record(title: str, schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return f"## `{title}`\n\n{schema.get('description', '')}\n\nOne of {_kind(schema)}."
    rows = [
        (f"`{name}`", _kind(field), _default(name, field, schema.get("required", ())), field.get("description", ""))
        for name, field in schema["properties"].items()
    ]
    return f"## `{title}`\n\n{schema.get('description', '')}\n\n" + _table(
        ("field", "accepts", "default", "meaning"), rows
    )


def screen() -> str:
    """Return the fields of SCREEN.yaml, one section a record."""
    from schemas.screen import ScreenConfig

    schema = ScreenConfig.model_json_schema()
    records = {"ScreenConfig": schema, **schema["$defs"]}
    return "\n\n".join(_record(title, record) for title, record in records.items())


def acceptance() -> str:
    """Return the fields of the acceptance report as `hcs check --json` writes it."""
    from schemas.acceptance import AcceptanceReport

    schema = AcceptanceReport.model_json_schema()
    records = {"AcceptanceReport": schema, **schema["$defs"]}
    return "\n\n".join(_record(title, record) for title, record in records.items())


def _column(name: str, column: Any) -> tuple[str, str, str, str]:
    limits = [
        f"{label} {getattr(column, attribute)}"
        for label, attribute in (("at least", "min"), ("at most", "max"), ("above", "min_exclusive"))
        if getattr(column, attribute, None) is not None
    ]
    if getattr(column, "regex", None):
        limits.append(f"matches `{column.regex}`")
    if getattr(column, "categories", None):
        limits.append(", ".join(f"`{category}`" for category in column.categories))
    kind = type(column).__name__ + (", may be null" if column.nullable else "")
    return f"`{name}`" + (" (key)" if column.primary_key else ""), kind, "; ".join(limits), column.description or ""


def _contracts(module: ModuleType) -> list[tuple[str, Any]]:
    return [
        (title, item)
        for title, item in vars(module).items()
        if inspect.isclass(item) and item.__module__ == module.__name__ and hasattr(item, "primary_key")
    ]


def tables() -> str:
    """Return every table contract: its columns, keys, limits and rules."""
    import schemas.results
    import schemas.tables

    sections = []
    for title, contract in [*_contracts(schemas.tables), *_contracts(schemas.results)]:
        rows = [_column(name, column) for name, column in contract.columns().items()]
        rules = [name.replace("_", " ") for name in vars(contract).get("__dataframely_rules__", {})]
        sections.append(
            f"## `{title}`\n\n{inspect.getdoc(contract)}\n\n"
            + _table(("column", "type", "limits", "meaning"), rows)
            + "".join(f"\n\nRule: {rule}." for rule in rules)
        )
    return "\n\n".join(sections)


def _families(error: type) -> Iterator[type]:
    yield error
    for child in error.__subclasses__():
        yield from _families(child)


def errors() -> str:
    """Return every error of the project with the exit code that the command line gives it."""
    from hcs.errors import HcsError

    rows = [
        (f"`{error.__name__}`", f"`{error.__bases__[0].__name__}`", str(error.exit_code), inspect.getdoc(error) or "")
        for error in dict.fromkeys(_families(HcsError))  # some belong to two families
    ]
    return _table(("error", "is a", "exit code", "when"), rows)


def settings() -> str:
    """Return the environment variables that the entry points read."""
    from hcs.settings import Settings

    rows = [
        (f"`HCS_{name.upper()}`", f"`{field.default}`" if field.default is not None else "", field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return _table(("variable", "default", "meaning"), rows)


def commands() -> str:
    """Return what every command prints for `--help`."""
    from typer.testing import CliRunner

    from hcs.cli.main import app

    plain = CliRunner(env={"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"})
    sections = []
    for words in _words(app):
        asked = plain.invoke(app, [*words, "--help"])
        text = "\n".join(line.rstrip() for line in asked.output.strip().splitlines())
        sections.append(f"## `hcs {' '.join(words)}`\n\n```text\n{text}\n```")
    return "\n\n".join(sections)


def _words(app: Any) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command of a typer application, groups before their commands."""
    for command in app.registered_commands:
        yield (command.name or command.callback.__name__.replace("_", "-"),)
    for group in app.registered_groups:
        yield (group.name,)
        for words in _words(group.typer_instance):
            yield (group.name, *words)


def api() -> str:
    """Return every path of the API with its parameters."""
    from services.api.description import document

    rows = []
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            names = [f"`{one['name']}`" for one in operation.get("parameters", ()) if one["in"] != "path"]
            scope = operation["security"][0]["key"][0] if operation["security"] else "none"
            rows.append((f"`{method.upper()} {path}`", scope, ", ".join(names), operation["summary"]))
    return _table(("path", "scope", "parameters", "answers"), rows)


def problems() -> str:
    """Return every kind of problem that the API answers with."""
    from services.api.problems import KINDS

    return _table(
        ("status", "type", "title"), [(str(kind.status), f"`urn:hcs:{kind.word}`", kind.title) for kind in KINDS]
    )


PAGES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "screen": screen,
    "acceptance": acceptance,
    "tables": tables,
    "errors": errors,
    "settings": settings,
    "api": api,
    "problems": problems,
}
