"""Fill the reference pages from the code, so that they cannot drift from it.

A page asks with a line `<!-- from the code: NAME -->`; NAME is a key of `PAGES`.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

MARKER = re.compile(r"^<!-- from the code: (?P<name>[a-z ]+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page with every marker replaced by what the code says."""
    return MARKER.sub(lambda match: PAGES[match["name"]](), markdown)


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
        for error in _families(HcsError)
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


def _option(option: Any) -> tuple[str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.param_type_name == "argument":
        names = f"`{option.make_metavar(None) if not option.metavar else option.metavar}`"
    choices = getattr(option.type, "choices", None)
    accepts = ", ".join(f"`{getattr(choice, 'value', choice)}`" for choice in choices) if choices else option.type.name
    if getattr(option, "is_flag", False):
        accepts = ""
    return names, accepts, getattr(option, "help", None) or ""


def commands() -> str:
    """Return every command with its arguments and options."""
    from typer.main import get_command

    from hcs.cli.main import app

    sections = []
    for words, command in _leaves(get_command(app), ()):
        text = inspect.cleandoc(command.help or "")
        sections.append(
            f"## `{' '.join(words)}`\n\n" + re.sub(r"^(Example: )(.*)$", r"\1`\2`", text, flags=re.MULTILINE)
        )
        rows = [_option(option) for option in command.params if option.name != "help"]
        if rows:
            sections.append(_table(("argument or option", "accepts", "meaning"), rows))
    return "\n\n".join(sections)


def _leaves(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    words = (*words, command.name)
    children = getattr(command, "commands", None)
    if children is None:
        yield words, command
    for name in children or ():
        yield from _leaves(children[name], words)


PAGES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "screen": screen,
    "acceptance": acceptance,
    "tables": tables,
    "errors": errors,
    "settings": settings,
}
