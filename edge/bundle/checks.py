"""What a manifest may say: each value checked where it is read; all raise `ValueError` that names value and range."""

from __future__ import annotations

import base64
import binascii
from typing import Any


def text(value: Any, what: str) -> str:
    """A short printable text."""
    if not isinstance(value, str) or not value or len(value) > 200 or not value.isprintable():
        raise ValueError(f"{what} must be a short text, not {str(value)[:40]!r}")
    return value


def whole(value: Any, low: int, high: int, what: str) -> int:
    """A whole number between `low` and `high`, both allowed."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{what} is {str(value)[:40]}; allowed: whole numbers from {low} to {high}")
    return value


def within(value: Any, low: float, high: float, what: str) -> float:
    """A number between `low` and `high`, both allowed."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{what} is {str(value)[:40]}; allowed: {low:g} to {high:g}")
    return float(value)


def flag(value: Any, what: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{what} is {str(value)[:40]!r}; allowed: true, false")
    return value


def raw(value: Any, count: int, what: str) -> bytes:
    """`count` bytes that were written as base64."""
    try:
        found = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (ValueError, binascii.Error):
        found = b""
    if len(found) != count:
        raise ValueError(f"{what} must be {count} bytes in base64")
    return found
