"""Fields of a recipe: what each may hold, and how YAML is read into them, every mistake named with its line."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from dataclasses import field
from typing import Any

import yaml

Pairs = tuple[tuple[str, str], ...]
"""A field that is a mapping of words in YAML, in its order."""


def number(default: float, low: float, high: float) -> Any:
    """A field that holds a number between `low` and `high`, both allowed."""
    return field(default=default, metadata={"low": low, "high": high})


def choice(default: str, *allowed: str) -> Any:
    """A field that holds one of a few words."""
    return field(default=default, metadata={"allowed": allowed})


def section(kind: type, node: yaml.Node, path: str, origin: str, mistakes: list[str]) -> Any:
    """Build one dataclass from a YAML mapping; on a mistake the default stays, so that later ones are found too."""
    if not isinstance(node, yaml.MappingNode):
        mistakes.append(f"{origin}:{node.start_mark.line + 1}: {path or 'recipe'}: must be a section with keys")
        return kind()
    hints = typing.get_type_hints(kind)
    known = {each.name: each for each in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, where = str(key_node.value), f"{origin}:{key_node.start_mark.line + 1}: {path}{key_node.value}"
        if key in values:
            mistakes.append(f"{where}: is given twice; keep one")
        elif key not in known:
            mistakes.append(f"{where}: is not a known key{_nearest(key, list(known))}")
        elif dataclasses.is_dataclass(hints[key]):
            values[key] = section(hints[key], value_node, f"{path}{key}.", origin, mistakes)
        else:
            try:
                values[key] = _checked(known[key], hints[key], _plain(value_node))
            except ValueError as problem:
                mistakes.append(f"{where}: {problem}")
    return kind(**values)


def _plain(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    except yaml.YAMLError:
        raise ValueError("cannot be read; write a plain value") from None
    finally:
        loader.dispose()


def _checked(each: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    if hint is bool:
        if not isinstance(value, bool):
            raise ValueError(f"is {value!r}; allowed: true, false")
        return value
    if hint is str:
        return _word(each, value)
    if hint == Pairs:
        return _pairs(value)
    if hint == tuple[float, ...]:
        if not isinstance(value, list) or not all(isinstance(each, int | float) for each in value):
            raise ValueError(f"is {value!r}; allowed: a list of numbers")
        return tuple(float(each) for each in value)
    if hint not in (int, float):
        return _words(value)
    low, high = each.metadata["low"], each.metadata["high"]
    if isinstance(value, bool) or not isinstance(value, int | float) or (hint is int and value != int(value)):
        raise ValueError(f"is {value!r}; allowed: {'whole ' if hint is int else ''}numbers from {low:g} to {high:g}")
    if not low <= value <= high:
        raise ValueError(f"is {value:g}; allowed: {low:g} to {high:g}")
    return hint(value)


def _word(each: dataclasses.Field[Any], value: Any) -> str:
    allowed = each.metadata.get("allowed")
    if allowed and value not in allowed:
        raise ValueError(f"is {value!r}; allowed: {', '.join(allowed)}")
    if not isinstance(value, str):
        raise ValueError(f"is {value!r}, not text; put it in quotes")
    return value


def _words(value: Any) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(each, str) for each in words):
        raise ValueError(f"is {value!r}; allowed: a list of words (put yes, no and numbers in quotes)")
    return tuple(words)


def _pairs(value: Any) -> Pairs:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError(f"is {value!r}; allowed: a section of NAME: WORD (put yes, no and numbers in quotes)")
    return tuple((str(name), word) for name, word in value.items())


def _nearest(word: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(allowed)}"
