"""Just enough of the TFLite file format to spoil a model in one place and leave the rest as it was."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

OPERATOR_CODES, SUBGRAPHS, BUFFERS = 1, 2, 4
VERSION = 2
TENSORS, INPUTS, OUTPUTS = 0, 1, 2
SHAPE, TYPE = 0, 1
FLOAT32, INT8 = 0, 9


class Table:
    """One table of a flatbuffer, read and written in place."""

    def __init__(self, raw: bytearray, at: int) -> None:
        self._raw, self._at = raw, at

    def place(self, field: int) -> int:
        """Where a field's value lies; it must be there."""
        table = self._at - struct.unpack_from("<i", self._raw, self._at)[0]
        offset = struct.unpack_from("<H", self._raw, table + 4 + 2 * field)[0]
        assert offset, "the file leaves this field at its default"
        return self._at + int(offset)

    def vector(self, field: int) -> tuple[int, int]:
        """Where a vector's first element lies, and how many there are."""
        at = self.place(field)
        start = at + struct.unpack_from("<I", self._raw, at)[0]
        return start + 4, struct.unpack_from("<I", self._raw, start)[0]

    def tables(self, field: int) -> Iterator[Table]:
        """A vector of tables."""
        start, count = self.vector(field)
        for at in range(start, start + 4 * count, 4):
            yield Table(self._raw, at + struct.unpack_from("<I", self._raw, at)[0])


class Model:
    """A TFLite file to be spoiled."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.raw = bytearray(path.read_bytes())
        self.root = Table(self.raw, struct.unpack_from("<I", self.raw, 0)[0])

    def save(self) -> None:
        self._path.write_bytes(self.raw)

    def tensors(self) -> list[Table]:
        return list(next(self.root.tables(SUBGRAPHS)).tables(TENSORS))

    def reshape(self, tensor: int, axis: int, size: int) -> None:
        start, _ = self.tensors()[tensor].vector(SHAPE)
        struct.pack_into("<i", self.raw, start + 4 * axis, size)

    def retype(self, tensor: int, kind: int) -> None:
        self.raw[self.tensors()[tensor].place(TYPE)] = kind

    def newer_operations(self, version: int) -> None:
        for operator in self.root.tables(OPERATOR_CODES):
            struct.pack_into("<i", self.raw, operator.place(VERSION), version)
