"""What a Sparkplug B edge node says and in which order. Knows nothing of sockets or threads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from edge.message import Record
from edge.sinks.outbox import Letter
from edge.sinks.sparkplug_wire import DataType, Metric, Value, encode

REBIRTH = "Node Control/Rebirth"
CAMERA_LOST = "camera lost"
"""What `line` says in the state while the device, the camera, is not there."""

VERDICT: dict[str, tuple[str, DataType]] = {
    "Verdict/Sequence": ("sequence", DataType.INT64),
    "Verdict/Part ID": ("part_id", DataType.STRING),
    "Verdict/Decision": ("decision", DataType.STRING),
    "Verdict/Evaluation": ("evaluation", DataType.INT64),
    "Verdict/Label": ("label", DataType.STRING),
    "Verdict/Reason": ("reason", DataType.STRING),
    "Verdict/Score": ("score", DataType.DOUBLE),
    "Verdict/Recipe": ("recipe", DataType.STRING),
    "Verdict/Late": ("late", DataType.BOOLEAN),
    "Verdict/Simulated": ("simulated", DataType.BOOLEAN),
    "Verdict/Latency": ("latency_ms", DataType.DOUBLE),
}
"""Metric: field of the verdict, and type."""

COUNTERS = {
    "Counters/Parts": "parts",
    "Counters/Pass": "pass",
    "Counters/Reject": "reject",
    "Counters/Review": "review",
}
STATE = {"State/Line": "line", "State/Model": "model"}


class EdgeNode:
    """One connection's worth of messages: NBIRTH, DBIRTH, DDATA, DDEATH and NDEATH with their `seq` and `bdSeq`.

    The device dies when its camera is lost, and is born again with it; between the two it has no data. Everything is
    sent with QoS 0 and not retained, as the specification says; only the death, as the broker's last will, has QoS 1.
    """

    def __init__(self, *, node: str, device: str, version: str, birth: int) -> None:
        """`birth`: the `bdSeq`, 0 to 255, which ties a death to its birth."""
        self._node, self._device, self._version, self._birth = node, device, version, birth
        self._seq = 0
        self.alive = True
        """The device is there; while it is not, no verdict may be told."""
        self._shown: dict[str, Metric] = {
            **{name: _unknown(name, kind) for name, (_, kind) in VERDICT.items()},
            **{name: _unknown(name, DataType.INT64) for name in COUNTERS},
            **{name: _unknown(name, DataType.STRING) for name in STATE},
        }

    def death(self, now_ms: int) -> Letter:
        """NDEATH: the last will, and the last word of an orderly stop."""
        metrics = [Metric(name="bdSeq", type=DataType.INT64, value=self._birth, at_ms=now_ms)]
        return Letter(topic=f"NDEATH/{self._node}", payload=encode(metrics, at_ms=now_ms, seq=None))

    def births(self, now_ms: int) -> list[Letter]:
        """NBIRTH, and DBIRTH of a device that is there: every metric, with its newest value. Also answers a rebirth
        command."""
        self._seq = 0
        metrics = [
            Metric(name="bdSeq", type=DataType.INT64, value=self._birth, at_ms=now_ms),
            Metric(name=REBIRTH, type=DataType.BOOLEAN, value=False, at_ms=now_ms),
            Metric(name="Properties/Program", type=DataType.STRING, value=f"linegate {self._version}", at_ms=now_ms),
        ]
        born = self._letter(f"NBIRTH/{self._node}", metrics, now_ms)
        return [born, self._device_birth(now_ms)] if self.alive else [born]

    def _device_birth(self, now_ms: int) -> Letter:
        born = [
            metric if metric.at_ms else _unknown(metric.name, metric.type, now_ms) for metric in self._shown.values()
        ]
        return self._letter(f"DBIRTH/{self._node}/{self._device}", born, now_ms)

    def verdict(self, record: Record, now_ms: int, *, historical: bool) -> Letter:
        """DDATA with one verdict; `historical`: it fell while there was no connection."""
        document = json.loads(record.payload)
        at_ms = round(datetime.fromisoformat(document["decided_at"]).timestamp() * 1000)
        return self._data(
            [
                Metric(name=name, type=kind, value=document[key], at_ms=at_ms, historical=historical)
                for name, (key, kind) in VERDICT.items()
            ],
            now_ms,
        )

    def remember(self, record: Record) -> None:
        """The newest verdict, to be told in the next birth."""
        self.verdict(record, 0, historical=False)

    def counters(self, document: Mapping[str, Any], now_ms: int) -> list[Letter]:
        """DDATA with the shift counters."""
        metrics = _metrics(COUNTERS, DataType.INT64, document, now_ms)
        if self.alive:
            return [self._data(metrics, now_ms)]
        self._note(metrics)
        return []

    def state(self, document: Mapping[str, Any], now_ms: int) -> list[Letter]:
        """DDATA with what the station does and with which model; DDEATH and DBIRTH when the camera goes and comes."""
        model = document.get("model") or {}
        told = {
            "line": document.get("line"),
            "model": " ".join(str(model[key]) for key in ("name", "version") if key in model),
        }
        metrics = _metrics(STATE, DataType.STRING, told, now_ms)
        was_alive, self.alive = self.alive, told["line"] != CAMERA_LOST
        if was_alive:
            letters = [self._data(metrics, now_ms)]
            return letters if self.alive else [*letters, self._device_death(now_ms)]
        self._note(metrics)
        return [self._device_birth(now_ms)] if self.alive else []

    def _device_death(self, now_ms: int) -> Letter:
        return self._letter(f"DDEATH/{self._node}/{self._device}", [], now_ms)

    def _note(self, metrics: list[Metric]) -> None:
        """For the next birth, in which nothing is historical."""
        self._shown |= {
            each.name: Metric(name=each.name, type=each.type, value=each.value, at_ms=each.at_ms) for each in metrics
        }

    def _data(self, metrics: list[Metric], now_ms: int) -> Letter:
        self._note(metrics)
        return self._letter(f"DDATA/{self._node}/{self._device}", metrics, now_ms)

    def _letter(self, topic: str, metrics: list[Metric], now_ms: int) -> Letter:
        payload = encode(metrics, at_ms=now_ms, seq=self._seq)
        self._seq = (self._seq + 1) % 256
        return Letter(topic=topic, payload=payload, qos=0)


def _unknown(name: str, kind: DataType, at_ms: int = 0) -> Metric:
    return Metric(name=name, type=kind, value=None, at_ms=at_ms)


def _metrics(names: Mapping[str, str], kind: DataType, document: Mapping[str, Any], at_ms: int) -> list[Metric]:
    found: list[Metric] = []
    for name, key in names.items():
        value: Value = document.get(key)
        found.append(Metric(name=name, type=kind, value=value, at_ms=at_ms))
    return found
