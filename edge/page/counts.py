"""The counts that people see, and the check that they add up. Not thread-safe: the board's lock guards it."""

from __future__ import annotations

from collections import Counter, deque

from edge.domain import Decision, Verdict

WINDOW_S = 60.0
SHORTEST_S = 5.0
"""A rate is told only once it rests on so many seconds."""


class PartCounts:
    """Parts since the start, by decision and class."""

    def __init__(self) -> None:
        self.entered = 0
        self.decided = 0
        self._in_order = True
        self._counts: Counter[tuple[str, str]] = Counter()
        self._latencies_s: deque[float] = deque(maxlen=200)
        self._fell_s: deque[float] = deque(maxlen=2000)
        self._first_s = 0.0

    def add(self, verdict: Verdict, latency_s: float, now_s: float) -> None:
        """Count one verdict that fell at `now_s` on the board's clock."""
        if not self.decided:
            self._first_s = now_s
        self.decided += 1
        self._in_order &= verdict.number == self.decided
        self._counts[verdict.decision.value, verdict.label] += 1
        self._latencies_s.append(latency_s)
        self._fell_s.append(now_s)

    @property
    def is_conserved(self) -> bool:
        """Each part has had exactly one verdict, in order, and no more verdicts fell than parts came."""
        return self._in_order and self.decided <= self.entered

    def told(self, now_s: float) -> dict[str, object]:
        """The counts for JSON."""
        by_decision = {each.value: 0 for each in Decision}
        by_label: dict[str, dict[str, int]] = {each.value: {} for each in Decision}
        for (decision, label), count in sorted(self._counts.items()):
            by_decision[decision] += count
            by_label[decision][label] = count
        latencies_s = sorted(self._latencies_s)
        return {
            "entered": self.entered,
            "decided": self.decided,
            "on_the_way": max(0, self.entered - self.decided),
            **by_decision,
            "by_label": by_label,
            "per_minute": self._per_minute(now_s),
            "latency_ms": round(latencies_s[len(latencies_s) // 2] * 1000, 1) if latencies_s else None,
        }

    def _per_minute(self, now_s: float) -> float | None:
        oldest_s = self._fell_s[0] if len(self._fell_s) == self._fell_s.maxlen else self._first_s
        span_s = min(WINDOW_S, now_s - oldest_s)
        if not self.decided or span_s < SHORTEST_S:
            return None
        return round(sum(at_s >= now_s - span_s for at_s in self._fell_s) * 60 / span_s, 1)
