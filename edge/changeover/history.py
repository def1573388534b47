"""What happened on this shelf: one line per event, appended, so that a torn line costs that line alone."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge.bundle import Shelf

log = logging.getLogger(__name__)

LIMIT_BYTES = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one model did while it was live."""

    parts: int = 0
    reject: int = 0
    review: int = 0
    failed: int = 0
    """Parts for which the model did not answer."""
    late: int = 0
    """Answers that took longer than they may."""
    took_ms: float = 0.0
    """Of all answers together."""

    def add(self, other: Tally) -> None:
        """Count the other's parts here too."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def rate(self, what: str) -> float:
        """The share of parts that were `reject`, `review`, `failed` or `late`; 0 without parts."""
        return float(getattr(self, what)) / self.parts if self.parts else 0.0


class History:
    """`history.jsonl` on the shelf. Several processes append to it; nobody's verdict depends on it."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.path: Path = shelf.root / "history.jsonl"

    def add(self, event: str, slot: str, **more: Any) -> None:
        """Note an event; raises `OSError`. What became live is synced: a rollback may have to go by it."""
        document = {"at": round(time.time(), 3), "event": event, "slot": slot, **more}
        line = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
        self._shorten()
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
            if event == "live":
                os.fsync(handle)
        finally:
            os.close(handle)
        self._shelf.entrust(self.path)

    def note(self, event: str, slot: str, **more: Any) -> None:
        """`add`, for one who has more important things to do than to fail."""
        try:
            self.add(event, slot, **more)
        except OSError as error:
            log.warning("%s: cannot be written (%s)", self.path, error.strerror)

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Everything that is kept, oldest first; what cannot be read is left out."""
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                document = json.loads(line)
            except ValueError:
                continue
            if isinstance(document, dict) and {"at", "event", "slot"} <= set(document):
                yield document

    def tally(self, slot: str, newest: int = 0) -> Tally:
        """What a model did here in all, or with (at least) its `newest` parts."""
        total = Tally()
        names = {each.name for each in fields(Tally)}
        for event in reversed([each for each in self.events() if each["event"] == "ran" and each["slot"] == slot]):
            total.add(Tally(**{key: value for key, value in event.items() if key in names and _is_count(value)}))
            if newest and total.parts >= newest:
                break
        return total

    def lived(self) -> list[str]:
        """Every model that was ever made live, the latest first, each once."""
        return list(dict.fromkeys(each["slot"] for each in reversed(list(self.events())) if each["event"] == "live"))

    def went_live(self, slot: str) -> Mapping[str, Any]:
        """How a model last became live: `at`, seconds since 1970, `how`, and perhaps `by` and `why`; empty: unknown."""
        found = [each for each in self.events() if each["event"] == "live" and each["slot"] == slot]
        return found[-1] if found else {}

    def _shorten(self) -> None:
        """Keep the newer half of a file that has grown too long."""
        try:
            if self.path.stat().st_size < LIMIT_BYTES:
                return
        except OSError:
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        fresh = self.path.with_name(".link-history")
        fresh.write_bytes(b"".join(lines[len(lines) // 2 :]))
        fresh.replace(self.path)


def minute(at_s: float) -> str:
    """A moment in Unix seconds for people, as `2026-11-24 09:31 UTC`."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
