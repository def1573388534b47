"""A verdict as others read it: the JSON that the journal keeps and MQTT carries. `verdict.schema.json` describes it."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from edge.domain import Verdict

SCHEMA = "linegate.verdict/1"
EPOCH_NAMESPACE = uuid.UUID("5d0f3f0e-7a53-4bb0-9d3b-6c6a8f1f3b0d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One verdict on its way out: its place in the station's gap-free order, and the payload."""

    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Who says it, the same for every verdict."""

    site: str
    line: str
    station: str
    recipe: str
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When it happened, seconds since 1970 (UTC)."""

    captured_s: float
    decided_s: float
    eject_s: float | None = None
    late: bool = False
    synchronized: bool = True


def encode(
    verdict: Verdict, speaker: Speaker, times: Times, *, sequence: int, part_id: uuid.UUID, image: str | None = None
) -> Record:
    """The wire format of one verdict, under 1 KiB. `image`: where its picture is, below the archive's folder."""
    low, high = verdict.limits
    model = verdict.model
    document = {
        "schema": SCHEMA,
        "site": speaker.site,
        "line": speaker.line,
        "station": speaker.station,
        "sequence": sequence,
        "part_id": str(part_id),
        "decision": verdict.decision.value,
        "evaluation": verdict.decision.evaluation,
        "label": verdict.label,
        "reason": verdict.reason,
        "score": verdict.score,
        "limits": {"reject": high, "pass": low},
        "views": verdict.views,
        "model": {"name": model.name, "version": model.version, "hash8": model.hash8},
        "recipe": speaker.recipe,
        "captured_at": iso(times.captured_s),
        "decided_at": iso(times.decided_s),
        "latency_ms": round((times.decided_s - times.captured_s) * 1000, 1),
        "eject_at": None if times.eject_s is None else iso(times.eject_s),
        "late": times.late,
        "replayed": False,
        "simulated": speaker.simulated,
        "clock_synchronized": times.synchronized,
        "image": image,
    }
    return Record(sequence=sequence, payload=json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())


def as_replayed(payload: bytes) -> bytes:
    """The same record, marked as sent again. Our own encoder wrote it, so one exact replacement is enough."""
    return payload.replace(b'"replayed":false', b'"replayed":true', 1)


def live_part_id(now_s: Callable[[], float] = time.time) -> uuid.UUID:
    """An identifier that is unique for ever and sorts by time (UUID version 7, RFC 9562)."""
    millis = int(now_s() * 1000).to_bytes(6, "big")
    random = bytearray(os.urandom(10))
    random[0] = random[0] & 0x0F | 0x70
    random[2] = random[2] & 0x3F | 0x80
    return uuid.UUID(bytes=millis + bytes(random))


def replay_part_id(speaker: Speaker, sequence: int) -> uuid.UUID:
    """The same identifier for the same part of the same clip, every time it is replayed."""
    return uuid.uuid5(EPOCH_NAMESPACE, f"{speaker.site}/{speaker.line}/{speaker.station}/{sequence}")


def iso(at_s: float) -> str:
    """A moment, seconds since 1970, as every payload writes it: UTC, to the millisecond."""
    moment = datetime.fromtimestamp(round(at_s, 3), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
