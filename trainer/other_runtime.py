"""Asks the same file in the older runtime too: tflite-runtime 2.14, which needs numpy 1 and so a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Document = dict[str, Any]

LONGEST_S = 300
CHILD = """
import json, sys, time
import numpy as np
import tflite_runtime
from tflite_runtime.interpreter import Interpreter
folder = sys.argv[1]
pictures, said = np.load(folder + "/pictures.npy"), {"version": tflite_runtime.__version__, "variants": {}}
for name in sys.argv[2:]:
    try:
        asked = Interpreter(model_path=f"{folder}/{name}.tflite", num_threads=1)
        asked.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        said["variants"][name] = {"refused": str(error).strip().splitlines()[0][:200]}
        continue
    taken = asked.get_input_details()[0]
    given = next(each for each in asked.get_output_details() if len(each["shape"]) == 2)
    whole, rows, spent = taken["dtype"] is np.int8, [], []
    for picture in pictures:
        shown = (picture ^ np.uint8(0x80)).view(np.int8) if whole else picture.astype(np.float32)
        asked.set_tensor(taken["index"], shown[None])
        began = time.perf_counter()
        asked.invoke()
        spent.append(1000 * (time.perf_counter() - began))
        rows.append(asked.get_tensor(given["index"])[0].astype(float).tolist())
    said["variants"][name] = {"outputs": rows, "latency_ms": round(float(np.median(spent)), 4)}
print(json.dumps(said))
"""


def interpreter() -> Path | None:
    """The Python that has tflite-runtime: `LINEGATE_TFLITE_PYTHON`, or the one that `make test-tflite` sets up."""
    named = os.environ.get("LINEGATE_TFLITE_PYTHON")
    homes = (Path.cwd(), Path(__file__).resolve().parents[1])
    places = [Path(named)] if named else [home / ".venv-tflite" / "bin" / "python" for home in homes]
    return next((each for each in places if os.access(each, os.X_OK)), None)


def ask(
    files: dict[str, bytes], pictures: NDArray[np.uint8], expected: dict[str, NDArray[np.generic]]
) -> dict[str, Any]:
    """Per variant: whether the older runtime takes the file, how far its answers are off, and its latency.

    `expected` holds the answers of the newer runtime for the same `pictures`. Without the older one: why it was not
    asked.
    """
    python = interpreter()
    if python is None:
        return {"asked": False, "why": "tflite-runtime 2.14 is not set up here (`make test-tflite` does it)"}
    with tempfile.TemporaryDirectory(prefix="linegate-tflite-") as place:
        for name, content in files.items():
            (Path(place) / f"{name}.tflite").write_bytes(content)
        np.save(Path(place) / "pictures.npy", pictures)
        command = [str(python), "-c", CHILD, place, *files]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        except subprocess.TimeoutExpired:
            return {"asked": False, "why": f"tflite-runtime did not answer within {LONGEST_S} s"}
    if ran.returncode:
        said = (ran.stderr.strip().splitlines() or ["no word"])[-1][:200]
        return {"asked": False, "why": f"tflite-runtime failed in {python} ({said})"}
    answer = json.loads(ran.stdout.strip().splitlines()[-1])
    variants = {name: _compared(each, expected[name]) for name, each in answer["variants"].items()}
    return {"asked": True, "runtime": f"tflite-runtime {answer['version']}", "variants": variants}


def _compared(each: Document, expected: NDArray[np.generic]) -> Document:
    if "refused" in each:
        return {"takes_it": False, "why": each["refused"]}
    mine, theirs = np.asarray(expected, dtype=np.float64), np.array(each["outputs"])
    return {
        "takes_it": True,
        "largest_difference": round(float(np.abs(mine - theirs).max()), 5),
        "other_decisions": int((mine.argmax(axis=1) != theirs.argmax(axis=1)).sum()),
        "pictures": len(mine),
        "latency_ms": each["latency_ms"],
    }
