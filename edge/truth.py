"""What really was on the belt, and how far the verdicts agree with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.domain import Decision, Verdict

SCHEMA = "linegate.truth/1"


class TruthError(Exception):
    """A truth file that cannot be used: one line with what, where and what to do."""


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

    `clip_name` picks the row of the CSV; raises `TruthError`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TruthError(f"{path}: cannot be read ({error.strerror}); give another file with --truth") from None
    except UnicodeDecodeError:
        raise TruthError(f"{path}: is not text; give a truth.json or a CSV with --truth") from None
    return _from_json(text, path) if text.lstrip().startswith("{") else _from_csv(text, path, clip_name)


def compare(verdicts: Sequence[Verdict], truth: Truth) -> Comparison:
    """Match verdicts to true parts one to one by the time of crossing, and count what is left over.

    Both orders of time are kept; parts side by side may be matched either way, whichever agrees better.
    """
    if truth.parts is None:
        missed, extra = max(0, truth.count - len(verdicts)), max(0, len(verdicts) - truth.count)
        return Comparison(
            parts=truth.count, missed=missed, duplicates=extra, phantom=0, escapes=0, overkill=0, review=0
        )
    parts = sorted(truth.parts, key=lambda part: part.crossed_at_s)
    tolerance_s = _tolerance_s(parts)
    ordered = sorted(verdicts, key=lambda verdict: verdict.captured_at_s)
    pairs = _matched([verdict.captured_at_s for verdict in ordered], [part.crossed_at_s for part in parts], tolerance_s)
    taken = {row for row, _ in pairs}
    spare = [verdict for row, verdict in enumerate(ordered) if row not in taken]
    near = sum(any(abs(each.captured_at_s - p.crossed_at_s) <= tolerance_s for p in parts) for each in spare)
    decided = [(ordered[row].decision, parts[column].good) for row, column in pairs]
    escapes, overkill = _errors([ordered[row] for row, _ in pairs], [parts[column] for _, column in pairs])
    return Comparison(
        parts=len(parts),
        missed=len(parts) - len(pairs),
        duplicates=near,
        phantom=len(spare) - near,
        escapes=escapes,
        overkill=overkill,
        review=sum(decision is Decision.REVIEW for decision, _ in decided),
    )


SIDE_BY_SIDE_S = 0.04
"""Parts that cross within this time of each other cannot be told apart by time alone."""


def _errors(verdicts: Sequence[Verdict], parts: Sequence[TruePart]) -> tuple[int, int]:
    """`(escapes, overkill)`; inside a group that crossed together only the numbers of good and bad are compared."""
    escapes = overkill = start = 0
    for end in range(1, len(parts) + 1):
        together = end < len(parts) and parts[end].crossed_at_s - parts[end - 1].crossed_at_s <= SIDE_BY_SIDE_S
        if together:
            continue
        decisions = [verdict.decision for verdict in verdicts[start:end]]
        bad = sum(not part.good for part in parts[start:end])
        rejected, passed = decisions.count(Decision.REJECT), decisions.count(Decision.PASS)
        overkill += max(0, rejected - bad)
        escapes += max(0, passed - (end - start - bad))
        start = end
    return escapes, overkill


def _tolerance_s(parts: Sequence[TruePart]) -> float:
    """Half of a usual gap between parts in one lane, so that a neighbour is never mistaken for the part itself."""
    gaps: list[float] = []
    last: dict[int, float] = {}
    for part in parts:
        if part.lane in last:
            gaps.append(part.crossed_at_s - last[part.lane])
        last[part.lane] = part.crossed_at_s
    gaps.sort()
    return min(1.0, gaps[len(gaps) // 10] / 2) if gaps else 1.0


def _matched(seen_s: Sequence[float], true_s: Sequence[float], tolerance_s: float) -> list[tuple[int, int]]:
    """Pairs `(seen, true)` that keep both orders: as many as possible, then as close as possible."""
    rows, columns = len(seen_s), len(true_s)
    # A pair is worth more than any closeness; the table is banded by the tolerance through the worth alone.
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for row in range(rows - 1, -1, -1):
        for column in range(columns - 1, -1, -1):
            apart = abs(seen_s[row] - true_s[column])
            value = max(best[row + 1][column], best[row][column + 1])
            if apart <= tolerance_s:
                value = max(value, best[row + 1][column + 1] + 2 - apart / tolerance_s)
            best[row][column] = value
    pairs, row, column = [], 0, 0
    while row < rows and column < columns:
        if best[row][column] == best[row + 1][column]:
            row += 1
        elif best[row][column] == best[row][column + 1]:
            column += 1
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
        raise TruthError(
            f"{path}: is no truth of a simulated clip ({error}); write it with linegate simulate"
        ) from None


def _from_csv(text: str, path: Path, clip_name: str) -> Truth:
    rows = list(csv.DictReader(text.splitlines()))
    if not rows or not {"file", "parts_crossing_line"} <= rows[0].keys():
        raise TruthError(f"{path}: needs the columns file and parts_crossing_line")
    for row in rows:
        if row["file"] == clip_name:
            return Truth(count=_whole(row["parts_crossing_line"], path, clip_name), gate=_share(row.get("line")))
    raise TruthError(f"{path}: says nothing about {clip_name}; add a row for it")


def _whole(text: str, path: Path, clip_name: str) -> int:
    if not text.strip().isdigit():
        raise TruthError(f"{path}: parts_crossing_line of {clip_name} is {text!r}; give a whole number")
    return int(text)


def _share(line: str | None) -> float | None:
    """`x=0.50` as 0.5."""
    value = (line or "").partition("=")[2]
    try:
        return float(value)
    except ValueError:
        return None
