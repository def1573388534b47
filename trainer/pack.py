"""From a run to a bundle: the one folder that the device takes, every file of it vouched for."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, BundleError, InputSpec, Ring, Shelf, Signer, Template, digest
from edge.bundle.signature import sign
from trainer import recipe as recipes
from trainer.augment import Image
from trainer.errors import Refused
from trainer.limits import Limits, Steps
from trainer.recipe import Recipe

SCHEMA = "linegate.bundle/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that goes into a bundle."""

    recipe: Recipe
    model: bytes
    edgetpu: bytes | None
    """The same compiled for an Edge TPU, where Google's compiler was at hand."""
    labels: tuple[str, ...]
    good: tuple[str, ...]
    input: InputSpec
    output: Steps
    limits: Limits
    golden: tuple[tuple[str, Image, NDArray[np.int8]], ...]
    """`(name, picture as the network is shown it, the int8 outputs it must give)`."""
    tolerance_steps: int
    runtime: str
    kernels: str
    operations: dict[str, int]
    reference: dict[str, Any]
    fingerprint: str
    metrics: dict[str, Any]
    report: str
    card: str


def pack(contents: Contents, out: Path) -> Bundle:
    """Write the bundle as a folder `<name>-<hash8>` below `out`, all of it or nothing, and read it back."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".packing-", dir=out) as place:
        folder = Path(place) / "bundle"
        (folder / "golden").mkdir(parents=True)
        (folder / "model.tflite").write_bytes(contents.model)
        if contents.edgetpu is not None:
            (folder / "model_edgetpu.tflite").write_bytes(contents.edgetpu)
        (folder / "recipe.yaml").write_text(recipes.dump(contents.recipe), encoding="utf-8")
        (folder / "report.html").write_text(contents.report, encoding="utf-8")
        (folder / "card.md").write_text(contents.card, encoding="utf-8")
        for name, picture, _ in contents.golden:
            rgb = picture.shape[2] == 3
            write_picture(folder / "golden" / name, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if rgb else picture)
        files = {
            each.relative_to(folder).as_posix(): digest(each) for each in sorted(folder.rglob("*")) if each.is_file()
        }
        raw = json.dumps(_manifest(contents, files), indent=1, ensure_ascii=False).encode() + b"\n"
        (folder / "manifest.json").write_bytes(raw)
        slot = out / f"{contents.recipe.name}-{hashlib.sha256(raw).hexdigest()[:8]}"
        if slot.exists():
            shutil.rmtree(slot)
        folder.rename(slot)
    return opened(slot)


def opened(folder: Path) -> Bundle:
    """A packed bundle, read back whole; raises `Refused`."""
    try:
        return Bundle.open(folder)
    except BundleError as error:
        raise Refused(f"the packed bundle cannot be read back: {error}") from None


def vouch(bundle: Bundle, key: Path) -> Signer:
    """Sign a bundle with a secret key (linegate models keygen); raises `Refused`."""
    try:
        return sign(bundle, key)
    except (BundleError, OSError) as error:
        raise Refused(str(error)) from None


def place(bundle: Bundle, shelf: Path) -> Path:
    """Put a bundle on a shelf and make it live there; raises `Refused`."""
    try:
        rack = Shelf(shelf)
        slot = rack.place(bundle)
        rack.make_live(slot)
    except (BundleError, OSError) as error:
        raise Refused(f"{shelf}: the bundle could not be placed ({error})") from None
    return slot


def golden_choice(wanted: Sequence[int], steps: NDArray[np.float64], at_most: int = 6) -> list[int]:
    """Which pictures become golden: per class, in turn, the one whose evidence is the class's median."""
    kinds = np.asarray(wanted)
    chosen = []
    for kind in np.unique(kinds)[:at_most]:
        mine = np.flatnonzero(kinds == kind)
        chosen.append(int(mine[np.argsort(steps[mine], kind="stable")[len(mine) // 2]]))
    return chosen


def _manifest(contents: Contents, files: dict[str, str]) -> dict[str, Any]:
    shape = dataclasses.asdict(contents.input)
    if shape["registration"] is not None:
        shape["registration"] = _registration(contents.input.registration)
    return {
        "schema": SCHEMA,
        "name": contents.recipe.name,
        "version": contents.recipe.version,
        "labels": list(contents.labels),
        "good": list(contents.good),
        "input": {**shape, "scale": 1.0, "zero_point": -128},
        "output": {
            "meaning": "logits",
            "scale": contents.output.scale,
            "zero_point": contents.output.zero_point,
            "temperature": contents.limits.temperature,
            "temperature_clamped": contents.limits.clamped,
        },
        "limits": {"pass": contents.limits.pass_steps, "reject": contents.limits.reject_steps},
        "costs": dataclasses.asdict(contents.recipe.costs),
        "golden": {
            "tolerance_steps": contents.tolerance_steps,
            "runtime": contents.runtime,
            "kernels": contents.kernels,
            "pictures": [
                {
                    "file": f"golden/{name}",
                    "label": contents.labels[int(np.argmax(outputs))],
                    "outputs": [int(each) for each in outputs],
                }
                for name, _, outputs in contents.golden
            ],
        },
        "reference": contents.reference,
        "data": {"fingerprint": contents.fingerprint},
        "metrics": contents.metrics,
        "operations": contents.operations,
        "runtime": contents.runtime,
        "files": files,
    }


def _registration(known: Ring | Template) -> dict[str, Any]:
    """How parts are registered, in the words of the manifest; the size of a template is the input's."""
    said = dataclasses.asdict(known)
    if isinstance(known, Ring):
        return {"kind": "ring", **said}
    kept = {key: said[key] for key in ("turns", "projective", "least")}
    return {"kind": "template", **kept, **{key: _base64(said[key]) for key in ("pixels", "spread")}}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a gray or BGR image as PNG, whatever the path is called; raises `Refused`."""
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise Refused(f"{path}: the picture could not be written as PNG")
    path.write_bytes(data.tobytes())
