"""What really was on the belt, and how far the verdicts agree with it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.domain import Decision, SourceError, Verdict

SCHEMA = "linegate.truth/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TruePart:
    """One part that really crossed the gate."""

    number: int
    """1, 2, 3 … in the order of arrival at the gate."""
    label: str
    good: bool
    crossed_at_s: float
    """When its centre crossed the gate, on the clock of the frames."""
    lane: int = 0
    across_px: float = 0.0
    """Where its centre was across the belt, from the picture's edge."""
    speed_px_s: float = 0.0
    """Belt speed at the crossing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The parts that crossed the gate, in order of time; or only how many."""

    count: int
    parts: tuple[TruePart, ...] | None = None
    gate: float | None = None
    """At which share of the picture the crossings were taken; `None` when that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Verdicts set against the truth. What only single parts can tell is 0 when just a count is known."""

    parts: int
    """Parts that really passed."""
    missed: int
    """True parts without a verdict."""
    duplicates: int
    """Verdicts beyond the first about the same part."""
    phantom: int
    """Verdicts with no part anywhere near."""
    escapes: int
    """Defective parts that were passed."""
    overkill: int
    """Good parts that were rejected."""
    review: int
    """Matched parts that the machine left to a person: never counted as wrong."""

    @property
    def wrong(self) -> int:
        """Parts that were decided, and decided wrongly."""
        return self.escapes + self.overkill

    def summary(self) -> dict[str, int]:
        """What `summary.json` says about it."""
        return {
            "true_parts": self.parts,
            "missed": self.missed,
            "duplicates": self.duplicates,
            "phantom": self.phantom,
            "wrong": self.wrong,
            "escapes": self.escapes,
            "overkill": self.overkill,
        }


def write(path: Path, truth: Truth, about: dict[str, Any]) -> None:
    """Write the truth of a simulated clip as JSON; `about` says how the clip was made."""
    record = {
        "schema": SCHEMA,
        "gate": truth.gate,
        "count": truth.count,
        "about": about,
        "parts": [asdict(part) for part in truth.parts or ()],
    }
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path, clip_name: str) -> Truth:
    """Read the JSON that `linegate simulate` writes, or a CSV with the columns `file` and `parts_crossing_line`.

    `clip_name` picks the row of the CSV; raises `SourceError`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); give another file with --truth") from None
    except UnicodeDecodeError:
        raise SourceError(f"{path}: is not text; give a truth.json or a CSV with --truth") from None
    return _from_json(text, path) if text.lstrip().startswith("{") else _from_csv(text, path, clip_name)


def compare(verdicts: Sequence[Verdict], truth: Truth, until_s: float = math.inf) -> Comparison:
    """Match verdicts to true parts one to one by the time of crossing, and count what is left over.

    Both orders of time are kept. Parts that crossed after `until_s`, the time of the last frame, do not count.
    """
    if truth.parts is None:
        return _compared_counts(len(verdicts), truth.count)
    parts = sorted((part for part in truth.parts if part.crossed_at_s <= until_s), key=lambda part: part.crossed_at_s)
    ordered = sorted(verdicts, key=lambda verdict: verdict.captured_at_s)
    seen_s, true_s = [each.captured_at_s for each in ordered], [each.crossed_at_s for each in parts]
    reach_s = _reach_s(parts)
    pairs = _matched(seen_s, true_s, reach_s)
    spare_s = [seen_s[row] for row in sorted(set(range(len(seen_s))) - {row for row, _ in pairs})]
    duplicates = sum(any(abs(at_s - true) <= reach_s for true in true_s) for at_s in spare_s)
    matched = [(ordered[row].decision, parts[column]) for row, column in pairs]
    escapes, overkill = _errors(matched)
    return Comparison(
        parts=len(parts),
        missed=len(parts) - len(pairs),
        duplicates=duplicates,
        phantom=len(spare_s) - duplicates,
        escapes=escapes,
        overkill=overkill,
        review=sum(decision is Decision.REVIEW for decision, _ in matched),
    )


def _compared_counts(counted: int, true: int) -> Comparison:
    missed, extra = max(0, true - counted), max(0, counted - true)
    return Comparison(parts=true, missed=missed, duplicates=extra, phantom=0, escapes=0, overkill=0, review=0)


SIDE_BY_SIDE_S = 0.04
"""Parts that cross within this time of each other are told apart by nothing that a verdict says."""


def _errors(matched: Sequence[tuple[Decision, TruePart]]) -> tuple[int, int]:
    """`(escapes, overkill)`; among parts that crossed side by side only the numbers of good and bad can be held."""
    groups: list[list[tuple[Decision, TruePart]]] = []
    for pair in matched:
        if groups and pair[1].crossed_at_s - groups[-1][-1][1].crossed_at_s <= SIDE_BY_SIDE_S:
            groups[-1].append(pair)
        else:
            groups.append([pair])
    escapes = overkill = 0
    for group in groups:
        decisions = [decision for decision, _ in group]
        good = sum(part.good for _, part in group)
        escapes += max(0, decisions.count(Decision.PASS) - good)
        overkill += max(0, decisions.count(Decision.REJECT) - (len(group) - good))
    return escapes, overkill


def _reach_s(parts: Sequence[TruePart]) -> float:
    """How far a verdict may be off its part: half of the smaller gaps in a lane, and at most a second."""
    gaps: list[float] = []
    last_s: dict[int, float] = {}
    for part in parts:
        if part.lane in last_s:
            gaps.append(part.crossed_at_s - last_s[part.lane])
        last_s[part.lane] = part.crossed_at_s
    return min(1.0, sorted(gaps)[len(gaps) // 10] / 2) if gaps else 1.0


def _matched(seen_s: Sequence[float], true_s: Sequence[float], reach_s: float) -> list[tuple[int, int]]:
    """Pairs `(seen, true)` in order of both times: as many as possible, and among those the closest."""
    pairs: list[tuple[int, int]] = []
    row = column = 0
    for seen, true in _apart(seen_s, true_s, reach_s):
        pairs += [(row + r, column + c) for r, c in _matched_here(seen, true, reach_s)]
        row, column = row + len(seen), column + len(true)
    return pairs


def _apart(
    seen_s: Sequence[float], true_s: Sequence[float], reach_s: float
) -> Iterator[tuple[list[float], list[float]]]:
    """Cut both wherever nothing happens for longer than the reach: no pair can span that."""
    seen: list[float] = []
    true: list[float] = []
    last_s = -math.inf
    for at_s, is_true in sorted([(at_s, False) for at_s in seen_s] + [(at_s, True) for at_s in true_s]):
        if at_s - last_s > reach_s and (seen or true):
            yield seen, true
            seen, true = [], []
        (true if is_true else seen).append(at_s)
        last_s = at_s
    yield seen, true


def _matched_here(seen_s: list[float], true_s: list[float], reach_s: float) -> list[tuple[int, int]]:
    rows, columns = len(seen_s), len(true_s)
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for row in range(rows - 1, -1, -1):
        for column in range(columns - 1, -1, -1):
            apart = abs(seen_s[row] - true_s[column]) / reach_s
            # Any pair is worth more than the closeness of another.
            paired = best[row + 1][column + 1] + columns + 1 - apart if apart <= 1 else 0.0
            best[row][column] = max(best[row + 1][column], best[row][column + 1], paired)
    pairs, row, column = [], 0, 0
    while row < rows and column < columns:
        if best[row][column] == best[row][column + 1]:
            column += 1
        elif best[row][column] == best[row + 1][column]:
            row += 1
        else:
            pairs.append((row, column))
            row, column = row + 1, column + 1
    return pairs


def _from_json(text: str, path: Path) -> Truth:
    try:
        record = json.loads(text)
        parts = tuple(TruePart(**part) for part in record["parts"])
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']!r}")
        return Truth(count=len(parts), parts=parts, gate=record["gate"])
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{path}: is no truth of a simulated clip ({error}); write it with linegate simulate"
        ) from None


def _from_csv(text: str, path: Path, clip_name: str) -> Truth:
    rows = list(csv.DictReader(text.splitlines()))
    if not rows or not {"file", "parts_crossing_line"} <= rows[0].keys():
        raise SourceError(f"{path}: needs the columns file and parts_crossing_line")
    for row in rows:
        if row["file"] == clip_name:
            return Truth(count=_whole(row["parts_crossing_line"], path, clip_name), gate=_share(row.get("line")))
    raise SourceError(f"{path}: says nothing about {clip_name}; add a row for it")


def _whole(text: str | None, path: Path, clip_name: str) -> int:
    if text is None or not text.strip().isdigit():
        raise SourceError(f"{path}: parts_crossing_line of {clip_name} is {text!r}; give a whole number")
    return int(text)


def _share(line: str | None) -> float | None:
    """`x=0.50` as 0.5."""
    value = (line or "").partition("=")[2]
    try:
        return float(value)
    except ValueError:
        return None
