"""What a SCREEN.yaml says, wherever its text came from."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import yaml
from pydantic import ValidationError

from hcs.errors import ScreenFileError
from schemas.screen import EncoderChoice, PlateEntry, Record, ScreenConfig

MAX_SCREEN_BYTES = 10 << 20
MAX_SCREEN_VALUES = 1_000_000

FILL_IN = "FILL_IN"
"""What `hcs init` writes where a person has to say something."""

_NULLS = ("~", "null", "Null", "NULL", "")


class _PlainLoader(yaml.SafeLoader):
    """Reads every plain scalar as the string that stands there; only null is special.

    YAML 1.1 would turn the batch 2021_05_02 into a number, the plate 0123 into 83 and the channel `no` into false.
    The model knows which fields are numbers and converts them.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}  # noqa: RUF012 (PyYAML's own name and form)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; unlike PyYAML, refuse a key that is given twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _null_or_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str | None:
    plain = node.style is None
    return None if plain and node.value in _NULLS else str(node.value)


_PlainLoader.add_constructor("tag:yaml.org,2002:str", _null_or_text)


def parse_screen(data: bytes, *, name: str) -> ScreenConfig:
    """Return the screen that the text of a SCREEN.yaml describes, its places as they stand there.

    Args:
        data: The text, in UTF-8.
        name: What the file is called in messages.

    Raises:
        ScreenFileError: If it does not say what it must; names file, field, expected and got.
    """
    content = _read_mapping(data, name)
    try:
        return ScreenConfig.model_validate(content)
    except ValidationError as error:
        raise ScreenFileError(f"{name}: {'; '.join(_explanations(error))}") from error


def screen_yaml(config: ScreenConfig) -> str:
    """Return a SCREEN.yaml that `load_screen` reads back as the same screen; what is a default is left out."""
    content = config.model_dump(mode="json", exclude_defaults=True)
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return text


def with_places(config: ScreenConfig, change: Callable[[str], str]) -> ScreenConfig:
    """Return a screen in which every place (plates, platemaps, annotations, weights) is what a function makes of it."""

    def entry(plate: PlateEntry) -> PlateEntry:
        return plate.model_copy(update={"uri": change(plate.uri)})

    def choice(encoder: EncoderChoice) -> EncoderChoice:
        return encoder.model_copy(update={"weights": change(encoder.weights)}) if encoder.weights else encoder

    def several(paths: str | tuple[str, ...] | dict[str, str] | None) -> Any:
        if isinstance(paths, dict):
            return {barcode: change(path) for barcode, path in paths.items()}
        if isinstance(paths, tuple):
            return tuple(change(path) for path in paths)
        return paths and change(paths)

    changed = {
        "plates": tuple(entry(plate) for plate in config.plates),
        "platemaps": several(config.platemaps),
        "annotations": several(config.annotations),
        "encoders": tuple(choice(encoder) for encoder in config.encoders),
    }
    return config.model_copy(update={name: value for name, value in changed.items() if value != getattr(config, name)})


def _read_mapping(data: bytes, name: str) -> dict[Any, Any]:
    if len(data) > MAX_SCREEN_BYTES:
        raise ScreenFileError(f"{name}: expected a SCREEN.yaml of at most {MAX_SCREEN_BYTES} bytes, got {len(data)}")
    try:
        content = yaml.load(data, Loader=_PlainLoader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ScreenFileError(f"{name}: expected YAML; {_yaml_problem(error)}") from error
    if not isinstance(content, dict):
        raise ScreenFileError(f"{name}: expected fields such as `screen:` and `plates:`, got {type(content).__name__}")
    _refuse_bombs(content, name)
    _refuse_unfilled(content, name)
    return content


def _yaml_problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split()) or type(error).__name__
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', None) or 'a mistake'}"


def _refuse_bombs(content: Any, path: str) -> None:
    """Refuse anchors that expand without end (`&a [*a, *a]`), before anything walks through them."""
    waiting = [content]
    for _ in range(MAX_SCREEN_VALUES):
        if not waiting:
            return
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    raise ScreenFileError(f"{path}: expected at most {MAX_SCREEN_VALUES} values, its anchors expand to more")


def _refuse_unfilled(content: dict[Any, Any], path: str) -> None:
    """Refuse what `hcs init` left to a person: a stain of that name would be taken for one."""
    places = list(_unfilled(content))
    if places:
        raise ScreenFileError(
            f"{path}: expected what the comments ask for, but {FILL_IN} still stands at {', '.join(places)}; fill it "
            "in, or leave the field out where it is not needed"
        )


def _unfilled(value: Any, place: str = "") -> Iterator[str]:
    if value == FILL_IN:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _unfilled(item, f"{place}.{key}" if place else str(key))


def _explanations(error: ValidationError, *, at_most: int = 10) -> Iterator[str]:
    """Yield one explanation a mistake: the field, what was expected, what came, and the nearest name."""
    mistakes = error.errors(include_url=False, include_context=False)
    places = [mistake["loc"] for mistake in mistakes]
    mistakes = [item for item in mistakes if item["type"] != "too_short" or not _has_inner(places, item["loc"])]
    for mistake in mistakes[:at_most]:
        field = ".".join(str(part) for part in mistake["loc"]) or "the file"
        if mistake["type"] == "extra_forbidden":
            yield f"{field} is not a field{_nearest(str(mistake['loc'][-1]))}"
        elif mistake["type"] == "missing":
            yield f"{field} is missing"
        else:
            got = repr(mistake["input"])
            yield f"{field}: {mistake['msg'].lower()}, got {got if len(got) <= 80 else got[:77] + '...'}"
    if len(mistakes) > at_most:
        yield f"and {len(mistakes) - at_most} more"


def _has_inner(places: Iterable[tuple[int | str, ...]], outer: tuple[int | str, ...]) -> bool:
    """Return whether another mistake lies inside: a list is called too short because its item was refused."""
    return any(len(place) > len(outer) and place[: len(outer)] == outer for place in places)


def _nearest(name: str) -> str:
    near = fields_near(name)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def fields_near(name: str) -> list[str]:
    """Return the fields of a SCREEN.yaml, at most two, that somebody who wrote another name may have meant."""
    models: list[type[Record]] = [ScreenConfig, *_records(ScreenConfig)]
    known = sorted({field for model in models for field in model.model_fields})
    return difflib.get_close_matches(name[:100], known, n=2)


def _records(model: type[Record]) -> Iterator[type[Record]]:
    """Yield the records inside a record."""
    for field in model.model_fields.values():
        candidates: tuple[Any, ...] = (field.annotation, *getattr(field.annotation, "__args__", ()))
        yield from (item for item in candidates if isinstance(item, type) and issubclass(item, Record))
