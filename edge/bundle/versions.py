"""Which of two versions of a model is the newer one."""

from __future__ import annotations

import re

Rank = tuple[tuple[int, int, str], ...]


def rank(version: str) -> Rank:
    """What versions are ordered by: numbers as numbers, and a word (`rc`, `beta`) before the end, the end before a
    number: 1.0-rc2 < 1.0 < 1.0.1 < 1.10 < 2026.11.24."""
    parts = re.findall(r"\d+|[a-z]+", version.lower())
    return *((2, int(each), "") if each.isdigit() else (0, 0, each) for each in parts), (1, 0, "")


def is_older(version: str, than: str) -> bool:
    """Whether `version` comes before `than`."""
    return rank(version) < rank(than)
