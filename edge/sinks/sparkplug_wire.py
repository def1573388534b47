"""Sparkplug B payloads on the wire: the few protobuf fields of the specification (version 3.0) that a view needs.

Hand-written, because a protobuf library is heavier than all it would do here. tests/test_sinks_sparkplug.py has an
independent decoder read it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

Value = int | float | bool | str | None

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class DataType(IntEnum):
    """Of a metric's value."""

    INT64 = 4
    UINT64 = 8
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One named value. Times are milliseconds since 1970."""

    name: str
    type: DataType
    value: Value
    """None: not known."""
    at_ms: int
    historical: bool = False
    """Older than the newest value, and not to be shown as it."""


class Garbled(Exception):
    """These bytes are no payload."""


def encode(metrics: Sequence[Metric], *, at_ms: int, seq: int | None) -> bytes:
    """A payload; `seq` is None in a death, which has none."""
    parts = [_number(1, at_ms), *(_bytes(2, _metric(each)) for each in metrics)]
    if seq is not None:
        parts.append(_number(3, seq))
    return b"".join(parts)


def _metric(metric: Metric) -> bytes:
    parts = [_bytes(1, metric.name.encode()), _number(3, metric.at_ms), _number(4, metric.type)]
    if metric.historical:
        parts.append(_number(5, 1))
    parts.append(_number(7, 1) if metric.value is None else _value(metric.type, metric.value))
    return b"".join(parts)


def _value(kind: DataType, value: int | float | bool | str) -> bytes:
    if kind is DataType.STRING:
        return _bytes(15, str(value).encode())
    if kind is DataType.BOOLEAN:
        return _number(14, int(value))
    if kind is DataType.DOUBLE:
        return _tag(13, FIXED64) + struct.pack("<d", value)
    return _number(11, int(value) & 0xFFFF_FFFF_FFFF_FFFF)


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _number(field: int, value: int) -> bytes:
    return _tag(field, VARINT) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _tag(field, BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def booleans(payload: bytes) -> dict[str, bool]:
    """The boolean metrics of a command, by name; raises `Garbled`."""
    found = {}
    for field, value in _fields(payload):
        if field == 2 and isinstance(value, bytes):
            metric = dict(_fields(value))
            name, told = metric.get(1), metric.get(14)
            if isinstance(name, bytes) and isinstance(told, int):
                found[name.decode(errors="replace")] = bool(told)
    return found


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """`(field, value)`; a number for a varint, the bytes for everything else."""
    place = 0
    while place < len(data):
        tag, place = _read_varint(data, place)
        kind = tag & 7
        if kind == VARINT:
            number, place = _read_varint(data, place)
            yield tag >> 3, number
            continue
        if kind == BYTES:
            size, place = _read_varint(data, place)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise Garbled(f"wire type {kind}")
        if size > len(data) - place:
            raise Garbled("cut off")
        yield tag >> 3, data[place : place + size]
        place += size


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise Garbled("cut off")
        value |= (data[place] & 0x7F) << shift
        place += 1
        if data[place - 1] < 0x80:
            return value, place
    raise Garbled("a number without end")
