"""Runs a converted file the way the device does: the device's runtime, one thread, one picture at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ai_edge_litert
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from trainer.quiet import quiet

NAME = f"ai-edge-litert {ai_edge_litert.__version__}"
KERNELS = "xnnpack"
TURNS, CALLS, TURN_MS = 20, 100, 200.0
"""How often, and how long at a stretch, a model is called for its latency: 2,000 calls of a small one."""


def logits_of(outputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of a file's outputs, the one with a number per class; the other, when there is one, is the defect map."""
    return next(each for each in outputs if len(each["shape"]) == 2)


class Model:
    """One `.tflite` file, ready to be asked."""

    def __init__(self, source: Path | bytes, *, builtin: bool = False) -> None:
        content = source if isinstance(source, bytes) else source.read_bytes()
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if builtin else OpResolverType.AUTO
        with quiet():
            self._interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        outputs = self._interpreter.get_output_details()
        self._output = logits_of(outputs)
        self._map = next((each for each in outputs if len(each["shape"]) == 4), None)
        self.bytes = len(content)

    def raw(self, picture: NDArray[np.uint8]) -> NDArray[np.generic]:
        """The outputs for one `(height, width, channels)` picture of grey levels: int8 steps, or float logits."""
        whole = self._input["dtype"] is np.int8
        given = (picture ^ np.uint8(0x80)).view(np.int8) if whole else picture.astype(np.float32)
        self._interpreter.set_tensor(self._input["index"], given[None])
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output["index"])[0])

    def outputs(self, pictures: NDArray[np.uint8]) -> NDArray[np.generic]:
        """One row of outputs per picture."""
        return np.stack([self.raw(each) for each in pictures])

    def logits(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same as real numbers, whatever the file computes in."""
        rows, (scale, zero_point) = self.outputs(pictures), self._output["quantization"]
        whole = rows.dtype == np.int8
        return np.asarray((rows.astype(np.float32) - zero_point) * scale if whole else rows, dtype=np.float32)

    @property
    def has_map(self) -> bool:
        """Whether the file gives out its defect map."""
        return self._map is not None

    def heat(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The file's own defect map of one picture, `(rows, columns)`, loudest defect per cell."""
        assert self._map is not None, "ask has_map first"
        self.raw(picture)
        rows = np.asarray(self._interpreter.get_tensor(self._map["index"])[0])
        scale, zero_point = self._map["quantization"]
        whole = rows.dtype == np.int8
        return np.asarray((rows.astype(np.float32) - zero_point) * scale if whole else rows, np.float32).max(axis=2)

    def call_ms(self) -> float:
        """Time of one bare call about the picture that was asked about last."""
        began = time.perf_counter()
        self._interpreter.invoke()
        return 1000 * (time.perf_counter() - began)


def latencies(asked: Mapping[str, tuple[Model, NDArray[np.uint8]]]) -> dict[str, float]:
    """Median time of one bare call of each model about its picture, in ms, one thread.

    They are asked in turns, so that what else the machine does slows all of them alike.
    """
    spent: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(TURNS):
        for name, (model, picture) in asked.items():
            model.raw(picture)
            few = max(5, min(CALLS, int(TURN_MS / max(model.call_ms(), 1e-3))))
            spent[name] += [model.call_ms() for _ in range(few)]
    return {name: round(float(np.median(times)), 4) for name, times in spent.items()}
