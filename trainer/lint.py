"""Reads a `.tflite` file without a runtime: which operations it holds, and which of them an Edge TPU would take.

The rules are those of Coral's page "TensorFlow models on the Edge TPU": 8-bit tensors, constant shapes, at most the
three innermost dimensions larger than one, and a closed list of operations. What comes after the first operation that
does not map runs on the CPU.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import tflite

from trainer.errors import Refused

Document = dict[str, Any]

MAPS = frozenset(
    {
        *("ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "EXPAND_DIMS", "FULLY_CONNECTED"),
        *("L2_NORMALIZATION", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "PACK", "PAD", "PRELU"),
        *("QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR"),
        *("RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SLICE", "SOFTMAX", "SPACE_TO_DEPTH", "SPLIT", "SQUEEZE"),
        *("STRIDED_SLICE", "SUB", "SUM", "SQUARED_DIFFERENCE", "TANH", "TRANSPOSE", "TRANSPOSE_CONV"),
    }
)
REDUCES = frozenset({"MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM"})
WHOLE = {int(tflite.TensorType.INT8), int(tflite.TensorType.UINT8), int(tflite.TensorType.INT32)}
TYPES = {value: name for name, value in vars(tflite.TensorType).items() if isinstance(value, int)}
COMPILER = "edgetpu_compiler"
LONGEST_S = 300


def look(content: bytes) -> Document:
    """Every operation of a file in order, with its version and whether an Edge TPU would take it; raises `Refused`."""
    if content[4:8] != b"TFL3":
        raise Refused("this is no .tflite file; give one that the step `quantize` wrote")
    model = tflite.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    lines: list[Document] = []
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        code = model.OperatorCodes(operator.OpcodeIndex())
        name = tflite.opcode2name(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()))
        why = _obstacle(model, graph, operator, name)
        if not why and any(line["obstacle"] for line in lines):
            why = "comes after an operation that does not map"
        lines.append({"operation": name, "version": int(code.Version()), "obstacle": why})
    return {
        "operations": lines,
        "versions": dict(sorted({line["operation"]: line["version"] for line in lines}.items())),
        "map": sum(not line["obstacle"] for line in lines),
        "of": len(lines),
        "compiler": "",
    }


def compiled(content: bytes) -> tuple[bytes | None, str]:
    """What Google's `edgetpu_compiler` makes of a full-int8 file, and one line on how it went.

    The compiler exists only in Google's own apt repository; without it the first is None and the line says so.
    """
    if shutil.which(COMPILER) is None:
        return None, f"{COMPILER} is not installed (it is in Coral's apt repository only); not compiled for an Edge TPU"
    with tempfile.TemporaryDirectory(prefix="linegate-edgetpu-") as place:
        source = Path(place) / "model.tflite"
        source.write_bytes(content)
        command = [COMPILER, "--out_dir", place, str(source)]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return None, f"{COMPILER}: did not run to its end ({type(error).__name__})"
        made = Path(place) / "model_edgetpu.tflite"
        if ran.returncode or not made.is_file():
            said = (ran.stderr.strip() or ran.stdout.strip() or "no word").splitlines()[-1][:200]
            return None, f"{COMPILER}: refused the model ({said})"
        return made.read_bytes(), f"{COMPILER}: compiled, {made.stat().st_size / 1000:.1f} kB"


def _obstacle(model: Any, graph: Any, operator: Any, name: str) -> str:
    """Why this operation would not map; empty when it would."""
    if name not in MAPS:
        return "no operation of an Edge TPU"
    inputs = [graph.Tensors(place) for place in operator.InputsAsNumpy() if place >= 0]
    for tensor in [*inputs, *(graph.Tensors(place) for place in operator.OutputsAsNumpy())]:
        shape = [int(size) for size in tensor.ShapeAsNumpy()] if tensor.ShapeLength() else []
        signature = [int(size) for size in tensor.ShapeSignatureAsNumpy()] if tensor.ShapeSignatureLength() else []
        if tensor.Type() not in WHOLE:
            return f"computes in {TYPES.get(tensor.Type(), 'an unknown type').lower()}"
        if -1 in [*shape, *signature]:
            return "has an open shape"
        if not _constant(model, tensor) and any(size > 1 for size in shape[:-3]):
            return "has more than three dimensions larger than one"
    if name in REDUCES and 0 in _constant_values(model, inputs[-1]):
        return "reduces over the batch"
    return ""


def _constant(model: Any, tensor: Any) -> bool:
    return bool(model.Buffers(tensor.Buffer()).DataLength())


def _constant_values(model: Any, tensor: Any) -> list[int]:
    if not _constant(model, tensor) or tensor.Type() != tflite.TensorType.INT32:
        return []
    return [int(each) for each in model.Buffers(tensor.Buffer()).DataAsNumpy().view("<i4")]
