"""The TFLite runtime, LiteRT or the older tflite-runtime: the only file that knows either.

API: https://ai.google.dev/edge/litert/inference (both packages offer the same `Interpreter`).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edge.bundle import Bundle, BundleError, Unregistered, prepare
from edge.domain import Image, ModelFailed, Scores

RUNTIMES = {"litert": ("ai_edge_litert", "ai-edge-litert"), "tflite-runtime": ("tflite_runtime", "tflite-runtime")}
"""Our name for a runtime: its import package and its distribution, in the order in which they are tried."""

EDGETPU = "edgetpu"
"""The name of that backend."""


class Device(Protocol):
    """What runs a network in place of the CPU."""

    def interpreter(self, model: Path) -> Any:
        """As the runtime's own, tensors allocated; raises `BundleError`."""


class TfliteClassifier:
    """An int8 network, on the CPU or a device. One thread at a time; the runtime releases the GIL while it computes."""

    def __init__(self, bundle: Bundle, runtime: str = "auto", threads: int = 1, device: Device | None = None) -> None:
        """Load the network and hold it against its manifest; raises `BundleError`."""
        manifest = bundle.manifest
        if device is None:
            self._path = bundle.model
            self.backend, self._interpreter = loaded(bundle, runtime, threads)
        else:
            self._path = bundle.edgetpu_model
            self.backend, self._interpreter = EDGETPU, device.interpreter(self._path)
        self._spec = manifest.input
        self._input = self._checked_input(bundle)
        self._output = self._checked_output(bundle)
        self._labels = len(manifest.labels)

    def scores(self, crops: Sequence[Image]) -> Scores:
        """Classify each crop: gray or BGR uint8 of any size; raises `ModelFailed`.

        A crop in which the part is not to be found as the model needs it has no row; `unusable` says why.
        """
        outputs, unusable = [], ""
        for crop in crops:
            try:
                self._interpreter.set_tensor(self._input, prepare(crop, self._spec))
                self._interpreter.invoke()
            except Unregistered as error:
                unusable = str(error)
                continue
            except (ValueError, RuntimeError) as error:
                raise ModelFailed(f"the model did not answer ({first_line(error)})") from error
            outputs.append(self._interpreter.get_tensor(self._output)[0])
        rows = np.array(outputs, dtype=np.int8).reshape(len(outputs), self._labels)
        return Scores(outputs=rows, unusable=unusable)

    def invoke(self) -> None:
        """Run the network on whatever its input holds: the bare call that benchmarks compare with."""
        self._interpreter.invoke()

    def _checked_input(self, bundle: Bundle) -> int:
        tensors = self._interpreter.get_input_details()
        spec = bundle.manifest.input
        expected = [1, spec.height, spec.width, spec.channels]
        if len(tensors) != 1 or tensors[0]["dtype"] is not np.int8 or tensors[0]["shape"].tolist() != expected:
            found = ", ".join(f"{np.dtype(each['dtype']).name} {each['shape'].tolist()}" for each in tensors)
            raise BundleError(f"{self._path}: takes {found}, its manifest says int8 {expected}; convert it again")
        if tensors[0]["quantization"] != (1.0, -128):
            raise BundleError(f"{self._path}: input quantization {tensors[0]['quantization']} is not (1, -128)")
        return int(tensors[0]["index"])

    def _checked_output(self, bundle: Bundle) -> int:
        spec, labels = bundle.manifest.output, len(bundle.manifest.labels)
        for tensor in self._interpreter.get_output_details():
            scale, zero_point = tensor["quantization"]
            if tensor["dtype"] is np.int8 and tensor["shape"].tolist() == [1, labels]:
                if zero_point != spec.zero_point or abs(scale - spec.scale) > 1e-6 * spec.scale:
                    raise BundleError(f"{self._path}: output quantization differs from its manifest; pack it again")
                return int(tensor["index"])
        raise BundleError(f"{self._path}: has no int8 output for {labels} labels; convert it again")


def installed_runtimes() -> dict[str, str]:
    """Our names of the runtimes that can be imported here, with their versions."""
    return {
        name: importlib.metadata.version(distribution)
        for name, (package, distribution) in RUNTIMES.items()
        if importlib.util.find_spec(package) is not None
    }


def loaded(bundle: Bundle, runtime: str, threads: int) -> tuple[str, Any]:
    """The runtime's name and an interpreter that holds the bundle's network; raises `BundleError`."""
    backend, module = runtime_module(runtime)
    try:
        interpreter = module.Interpreter(model_path=str(bundle.model), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError, MemoryError) as error:
        raise BundleError(f"{bundle.model}: {why_refused(error, backend)}") from None
    return backend, interpreter


def runtime_module(runtime: str) -> tuple[str, Any]:
    """The runtime's name with its version, and the module that has `Interpreter`; raises `BundleError`."""
    found = installed_runtimes()
    for name in RUNTIMES if runtime == "auto" else (runtime,):
        if name in found:
            return f"{name}-{found[name]}", importlib.import_module(f"{RUNTIMES[name][0]}.interpreter")
    wanted = "ai-edge-litert" if runtime == "auto" else RUNTIMES[runtime][1]
    raise BundleError(f"model.runtime {runtime}: is not installed; pip install {wanted}")


def why_refused(error: Exception, backend: str) -> str:
    """What the runtime means, in words that say what to do."""
    unknown = re.search(r"builtin opcode '(\w+)' version '(\d+)'", str(error))
    if "edgetpu-custom-op" in str(error):
        return "is compiled for an Edge TPU, which nothing drives here; pack it again with the uncompiled model.tflite"
    if unknown:
        return f"needs {unknown[1]} version {unknown[2]}, newer than {backend} knows; convert it for this runtime"
    return f"the runtime refuses it ({first_line(error)}); pack it again"


def first_line(error: Exception) -> str:
    """What a runtime says, short enough for one line."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
