"""What a field of the configuration may say of itself: its range and unit, its allowed words."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def number(default: float, low: float, high: float, unit: str) -> Any:
    """A field that holds a number between `low` and `high`, both allowed."""
    return field(default=default, metadata={"low": low, "high": high, "unit": unit})


def choice(default: str, *allowed: str) -> Any:
    """A field that holds one of a few words."""
    return field(default=default, metadata={"allowed": allowed})


def name(default: str) -> Any:
    """A field that becomes part of MQTT topics and file names: letters, digits, `-`, `_` and `.`."""
    return field(default=default, metadata={"name": True})


def hosts() -> Any:
    """A field that holds host names with commas between them, or nothing."""
    return field(default="", metadata={"hosts": True})


def share() -> Any:
    """A field `[left, top, right, bottom]` as shares of the picture; the default is all of it."""
    return field(default=(0.0, 0.0, 1.0, 1.0), metadata={"region": True})
