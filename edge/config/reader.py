"""YAML into the sections; every mistake is reported, with its line."""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from edge.config import together
from edge.config.sections import Config


class ConfigError(Exception):
    """All mistakes found in one file, one line each, ready to be printed."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def load(path: Path) -> Config:
    """Read a configuration file; raises `ConfigError` with every mistake in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror}); give another file with --config"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text; save it as UTF-8"]) from None
    return parse(text, str(path))


def parse(text: str, origin: str = "config") -> Config:
    """Read configuration from text; `origin` is the name that mistakes begin with."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{origin}:{mark.line + 1}" if mark else origin
        raise ConfigError([f"{where}: is not YAML ({error.problem}); mind the indentation"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{origin}: is not YAML ({' '.join(str(error).split())})"]) from None
    reader = _Reader(origin)
    config = typing.cast(Config, reader.section(Config, root, "") if root is not None else Config())
    mistakes = reader.mistakes or [f"{origin}: {each}" for each in together.mistakes(config)]
    if mistakes:
        raise ConfigError(mistakes)
    return config


def keys(section: type = Config, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Every key with its field, as `("mqtt.tls.ca_file", field)`, in the order of the file."""
    for each, kind in _fields(section):
        path = f"{prefix}{each.name}"
        if dataclasses.is_dataclass(kind):
            yield from keys(typing.cast(type, kind), f"{path}.")
        else:
            yield path, each


def _fields(section: type) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    kinds = typing.get_type_hints(section)
    for each in dataclasses.fields(section):
        yield each, kinds[each.name]


class _Reader:
    """Walks the YAML nodes (which know their lines) beside the dataclasses (which know what is allowed)."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.mistakes: list[str] = []

    def wrong(self, node: yaml.Node, path: str, problem: str) -> None:
        self.mistakes.append(f"{self.origin}:{node.start_mark.line + 1}: {path}{': ' if path else ''}{problem}")

    def section(self, kind: type, node: yaml.Node, path: str) -> Any:
        """Build one dataclass; on a mistake the default stays, so that later mistakes are found too."""
        if _is_null(node):
            return kind()
        if not isinstance(node, yaml.MappingNode):
            self.wrong(
                node, path.removesuffix("."), "must be a section with keys, such as " + ", ".join(_names(kind)[:3])
            )
            return kind()
        known = {each.name: (each, hint) for each, hint in _fields(kind)}
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in values:
                self.wrong(key_node, f"{path}{key}", "is given twice; keep one")
            elif key not in known:
                self.wrong(key_node, f"{path}{key}", "is not a known key" + _nearest(key, tuple(known)))
            else:
                each, hint = known[key]
                if dataclasses.is_dataclass(hint):
                    values[key] = self.section(typing.cast(type, hint), value_node, f"{path}{key}.")
                else:
                    values[key] = self.value(each, hint, value_node, f"{path}{key}")
        return kind(**values)

    def value(self, each: dataclasses.Field[Any], hint: Any, node: yaml.Node, path: str) -> Any:
        try:
            return _checked(each, hint, _plain(node))
        except ValueError as problem:
            self.wrong(node, path, str(problem))
            return each.default


def _plain(node: yaml.Node) -> Any:
    try:
        return _construct(node)
    except (yaml.YAMLError, ValueError):
        raise ValueError("cannot be read; write a plain value") from None


def _construct(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    finally:
        loader.dispose()


def _checked(each: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    """The value in the field's own type; raises `ValueError` with what is allowed."""
    if isinstance(hint, types.GenericAlias):
        return _region(value)
    if hint is bool:
        if not isinstance(value, bool):
            raise ValueError(f"is {reprlib.repr(value)}; allowed: true, false")
        return value
    if hint is str:
        return _word(each, value)
    return _number(each, hint, value)


def _number(each: dataclasses.Field[Any], hint: Any, value: Any) -> float | int:
    low, high, unit = (each.metadata[key] for key in ("low", "high", "unit"))
    allowed = f"allowed: {low:g} to {high:g}{' ' + unit if unit else ''}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"is {reprlib.repr(value)}, not a number; {allowed}")
    if not low <= value <= high:
        raise ValueError(f"is {value:g}; {allowed}")
    if hint is int and value != int(value):
        raise ValueError(f"is {value:g}, not a whole number; {allowed}")
    return int(value) if hint is int else float(value)


def _word(each: dataclasses.Field[Any], value: Any) -> str:
    allowed = each.metadata.get("allowed")
    if allowed and value not in allowed:
        raise ValueError(
            f"is {reprlib.repr(value)}; allowed: {', '.join(allowed)}{_nearest(str(value), list(allowed))}"
        )
    if not isinstance(value, str):
        raise ValueError(f"is {reprlib.repr(value)}, not text; put it in quotes")
    if each.metadata.get("name") and not (value and all(c.isascii() and (c.isalnum() or c in "-_.") for c in value)):
        raise ValueError(f"is {reprlib.repr(value)}; allowed: letters, digits, - _ . (it becomes part of topics)")
    if each.metadata.get("hosts") and not all(_is_host(part.strip()) for part in value.split(",") if part.strip()):
        raise ValueError(f"is {reprlib.repr(value)}; allowed: host names with commas between, without http:// and port")
    return value


def _is_host(text: str) -> bool:
    return len(text) <= 253 and all(c.isascii() and (c.isalnum() or c in "-._") for c in text)


def _region(value: Any) -> tuple[float, float, float, float]:
    allowed = "[left, top, right, bottom] with 0 <= left < right <= 1, 0 <= top < bottom <= 1"
    problem = f"is {reprlib.repr(value)}; allowed: {allowed}"
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError(problem)
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in value):
        raise ValueError(problem)
    left, top, right, bottom = (float(each) for each in value)
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(problem)
    return left, top, right, bottom


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _names(kind: type) -> list[str]:
    return [each.name for each in dataclasses.fields(kind)]


def _nearest(word: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(allowed)}"
