"""Where in its picture a network saw a defect, for the pictures that are kept."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, BundleError, prepare
from edge.classify.tflite import loaded
from edge.domain import Image

log = logging.getLogger(__name__)

Shown = tuple[Image, NDArray[np.float32]]
"""A picture as the network was shown it, gray or RGB, and the probability of a defect at each place of a coarse grid,
`(rows, columns)`."""


class DefectMap:
    """A network with an interpreter of its own on the CPU, for a thread that has time.

    A bundle's network may give out, beside the logits of the classes, the map that their peaks were taken from: int8
    `(1, rows, columns, defects)`.
    """

    def __init__(self, bundle: Bundle, runtime: str = "auto") -> None:
        """Load the network; raises `BundleError`."""
        manifest = bundle.manifest
        _, self._interpreter = loaded(bundle, runtime, threads=1)
        self._spec, self._temperature = manifest.input, manifest.output.temperature
        self._good = [place for place, label in enumerate(manifest.labels) if label in manifest.good]
        self._input = self._interpreter.get_input_details()[0]["index"]
        outputs = {len(each["shape"]): each for each in self._interpreter.get_output_details()}
        self._logits, self._map = outputs.get(2), outputs.get(4)

    def of(self, crop: Image) -> Shown | None:
        """None when this network has no map, the part is not to be found in the crop, or the network fails."""
        if self._logits is None or self._map is None:
            return None
        try:
            given = prepare(crop, self._spec)
            self._interpreter.set_tensor(self._input, given)
            self._interpreter.invoke()
        except (ValueError, RuntimeError):  # `Unregistered` among them
            return None
        good = float(self._read(self._logits)[self._good].max())
        speaks = (self._read(self._map).max(axis=2) - good) / self._temperature
        chance = 1 / (1 + np.exp(-np.clip(speaks, -60, 60)))
        return np.squeeze(given[0].view(np.uint8) ^ np.uint8(0x80)), np.asarray(chance, np.float32)

    def _read(self, output: Any) -> NDArray[np.float32]:
        scale, zero_point = output["quantization"]
        steps = self._interpreter.get_tensor(output["index"])[0].astype(np.float32)
        return np.asarray((steps - zero_point) * scale, np.float32)


class LiveMap:
    """The defect map of whichever model judges now; it is loaded when it is first asked."""

    def __init__(self, runtime: str) -> None:
        self._runtime = runtime
        self._live: Bundle | None = None
        self._loaded: tuple[Bundle, DefectMap | None] | None = None

    def judges(self, bundle: Bundle) -> None:
        """From now on this model judges; from any thread."""
        self._live = bundle

    def of(self, crop: Image, hash8: str) -> Shown | None:
        """What the model of that hash saw; None when another one judges by now, or it has nothing to show."""
        bundle = self._live
        if bundle is None or bundle.hash8 != hash8:
            return None
        if self._loaded is None or self._loaded[0] is not bundle:
            self._loaded = bundle, self._load(bundle)
        found = self._loaded[1]
        return None if found is None else found.of(crop)

    def _load(self, bundle: Bundle) -> DefectMap | None:
        try:
            return DefectMap(bundle, self._runtime)
        except BundleError as error:
            log.error("archived pictures lack the map of defects: %s", error)
            return None
