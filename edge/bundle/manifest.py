"""A bundle is a folder; its `manifest.json` says everything about the model and vouches for every other file."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edge.bundle import registration
from edge.bundle.checks import text, whole
from edge.bundle.ring import Ring
from edge.bundle.template import Template

SCHEMA = "linegate.bundle/1"
EDGETPU_FILE = "model_edgetpu.tflite"
LIMIT_BYTES = 256 * 1024 * 1024
MANIFEST_BYTES = 1024 * 1024


class BundleError(Exception):
    """A model that is not to be trusted or not to be read: one line that says what, where and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What the network takes: one int8 image, grey level minus 128."""

    height: int
    width: int
    channels: int
    registration: Ring | Template | None = None
    """How the part is found and laid out before the network sees it; None: the crop is taken as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """What its numbers mean: logits, `scale` per int8 step, softened by `temperature`."""

    scale: float
    zero_point: int
    temperature: float

    @property
    def step(self) -> float:
        """Calibrated log-odds per int8 step."""
        return self.scale / self.temperature


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSpec:
    """The operating point in int8 steps of evidence (loudest defect minus loudest good, mean over views).

    At or below `pass_steps` a part passes, at or above `reject_steps` it is rejected, between them it is reviewed.
    """

    pass_steps: int
    reject_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """One picture with the int8 outputs that the model must give for it."""

    file: str
    outputs: tuple[int, ...]
    label: str = ""
    """What the loudest output is called; it holds labels and outputs together. Empty: the bundle does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The checked part of `manifest.json`; `document` is all of it, for reports and for people."""

    name: str
    version: str
    labels: tuple[str, ...]
    good: frozenset[str]
    input: InputSpec
    output: OutputSpec
    limits: LimitSpec
    golden: tuple[Golden, ...]
    golden_tolerance_steps: int
    files: dict[str, str]
    document: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A folder whose every file has been checked against the manifest's hashes."""

    folder: Path
    manifest: Manifest
    sha256: str
    """Of the manifest, in hex; it vouches for every other file."""

    @property
    def hash8(self) -> str:
        """The first eight digits of `sha256`; with the name, the bundle's identity."""
        return self.sha256[:8]

    @property
    def model(self) -> Path:
        """The network that runs on the CPU."""
        return self.folder / "model.tflite"

    @property
    def edgetpu_model(self) -> Path:
        """The network as compiled for an Edge TPU; raises `BundleError` when the manifest vouches for none."""
        if EDGETPU_FILE not in self.manifest.files:
            raise BundleError(
                f"{self.folder}: has no {EDGETPU_FILE}, and model.delegate is edgetpu; train it where"
                " edgetpu_compiler is installed, or set model.delegate: none"
            )
        return self.folder / EDGETPU_FILE

    @property
    def slot(self) -> str:
        """The folder's name on the shelf."""
        return f"{self.manifest.name}-{self.hash8}"

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """Read and verify a bundle; raises `BundleError`. The network itself is not loaded."""
        folder = folder.resolve()
        path = folder / "manifest.json"
        if not folder.is_dir():
            raise BundleError(f"{folder}: there is no such bundle; `linegate models list` shows what is on the shelf")
        try:
            with path.open("rb") as file:
                raw = file.read(MANIFEST_BYTES + 1)
        except OSError as error:
            raise BundleError(
                f"{path}: cannot be read ({error.strerror}); give the folder that trainer's pack wrote"
            ) from None
        manifest = _manifest(raw, path)
        for name, expected in manifest.files.items():
            _check_file(folder, name, expected)
        return cls(folder=folder, manifest=manifest, sha256=hashlib.sha256(raw).hexdigest())


def digest(path: Path) -> str:
    """The sha256 of a file in hex; raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_file(folder: Path, name: str, expected: str) -> None:
    path = folder / name
    way = [path, *(folder / each for each in PurePosixPath(name).parents if each.parts)]
    if any(each.is_symlink() for each in way) or not path.is_file():
        raise BundleError(f"{path}: is missing from the bundle; copy the bundle again as a whole")
    if os.path.getsize(path) > LIMIT_BYTES:
        raise BundleError(f"{path}: is larger than {LIMIT_BYTES >> 20} MiB; a line's model never is")
    if digest(path) != expected:
        raise BundleError(f"{path}: is damaged (its sha256 is not the manifest's); copy the bundle again as a whole")


def _manifest(raw: bytes, path: Path) -> Manifest:
    if len(raw) > MANIFEST_BYTES:
        raise BundleError(f"{path}: is larger than {MANIFEST_BYTES >> 10} KiB; it is no manifest of Linegate")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise BundleError(f"{path}: is not JSON; copy the bundle again as a whole") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        said = document.get("schema") if isinstance(document, dict) else None
        raise BundleError(f"{path}: has schema {said!r}, this version reads {SCHEMA!r}; pack the model again")
    try:
        return _read(document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise BundleError(f"{path}: {what}; pack the model again") from None


def _read(document: dict[str, Any]) -> Manifest:
    labels = tuple(text(each, "label") for each in document["labels"])
    good = frozenset(text(each, "good") for each in document["good"])
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ValueError(f"labels {list(labels)} must be two or more different names")
    if not good or not good < set(labels):
        raise ValueError(f"good {sorted(good)} must be some, but not all, of the labels {list(labels)}")
    limits, files = document["limits"], document["files"]
    manifest = Manifest(
        name=_plain_name(document["name"]),
        version=text(document["version"], "version"),
        labels=labels,
        good=good,
        input=_input(document["input"]),
        output=_output(document["output"]),
        limits=LimitSpec(
            pass_steps=whole(limits["pass"], -255, 255, "limits.pass"),
            reject_steps=whole(limits["reject"], -255, 255, "limits.reject"),
        ),
        golden=tuple(_golden(each, labels) for each in document["golden"]["pictures"]),
        golden_tolerance_steps=whole(document["golden"]["tolerance_steps"], 0, 32, "golden.tolerance_steps"),
        files={_member(name): text(value, name) for name, value in files.items()},
        document=document,
    )
    if manifest.limits.pass_steps >= manifest.limits.reject_steps:
        raise ValueError("limits.pass must be below limits.reject, so that a review band is left")
    unlisted = {"model.tflite", *(each.file for each in manifest.golden)} - set(manifest.files)
    if unlisted or not manifest.golden:
        raise ValueError(
            f"files must vouch for the model and at least one golden picture; not listed: {sorted(unlisted)}"
        )
    return manifest


def _input(section: dict[str, Any]) -> InputSpec:
    if section["zero_point"] != -128 or section["scale"] != 1.0:
        raise ValueError("input must have scale 1 and zero_point -128 (grey level minus 128)")
    channels = whole(section["channels"], 1, 3, "input.channels")
    if channels == 2:
        raise ValueError("input.channels is 2; allowed: 1 (gray) or 3 (colour)")
    height = whole(section["height"], 8, 2048, "input.height")
    width = whole(section["width"], 8, 2048, "input.width")
    how = section.get("registration")
    return InputSpec(
        height=height,
        width=width,
        channels=channels,
        registration=registration.read(how, height, width, channels) if how else None,
    )


def _output(section: dict[str, Any]) -> OutputSpec:
    scale, temperature = float(section["scale"]), float(section["temperature"])
    if not (math.isfinite(scale) and math.isfinite(temperature) and scale > 0 and temperature > 0):
        raise ValueError("output.scale and output.temperature must be above 0")
    return OutputSpec(
        scale=scale,
        zero_point=whole(section["zero_point"], -128, 127, "output.zero_point"),
        temperature=temperature,
    )


def _golden(section: dict[str, Any], labels: tuple[str, ...]) -> Golden:
    outputs = tuple(whole(each, -128, 127, "golden outputs") for each in section["outputs"])
    if len(outputs) != len(labels):
        raise ValueError(f"golden picture {section['file']!r} has {len(outputs)} outputs for {len(labels)} labels")
    loudest = {label for label, output in zip(labels, outputs, strict=True) if output == max(outputs)}
    label = str(section.get("label", ""))
    if label and label not in loudest:
        raise ValueError(f"golden picture {section['file']!r} shows {label[:40]!r}, its outputs say {min(loudest)!r}")
    return Golden(file=_member(section["file"]), outputs=outputs, label=label)


def _plain_name(value: Any) -> str:
    name = text(value, "name")
    if len(name) > 64 or not all(c.isascii() and (c.isalnum() or c in "_.-") for c in name) or name[0] in ".-":
        raise ValueError(f"name {name!r} may hold letters, digits, - _ . only (it becomes a folder)")
    return name


def _member(value: Any) -> str:
    """A path inside the bundle: never absolute, never above it."""
    path = PurePosixPath(text(value, "file"))
    if (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in str(path)
        or str(path) in (".", "manifest.json", "signature")
    ):
        raise ValueError(f"file {value!r} does not lie inside the bundle")
    return str(path)
