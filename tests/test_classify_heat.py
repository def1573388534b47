"""The defect map of a network that gives it out: it points at the defect, and a picture shows it."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import repack

from edge.bundle import Bundle, readable_image
from edge.classify import DefectMap, LiveMap, TfliteClassifier
from edge.sinks.archive import under_heat

SUBGRAPHS, OUTPUTS, TENSORS, SHAPE = 2, 2, 0, 0
"""Fields of the file format: of the model, of a subgraph (twice), of a tensor."""


class Flat:
    """Just enough of a FlatBuffer to find a field of a table."""

    def __init__(self, raw: bytes) -> None:
        self.raw = bytearray(raw)

    def number(self, at: int, kind: str = "<I") -> int:
        return int(struct.unpack_from(kind, self.raw, at)[0])

    def follow(self, at: int) -> int:
        return at + self.number(at)

    def field(self, table: int, index: int) -> int:
        vtable = table - self.number(table, "<i")
        return table + self.number(vtable + 4 + 2 * index, "<H")

    def vector(self, table: int, index: int) -> list[int]:
        """Where the elements of a vector of four bytes each are."""
        at = self.follow(self.field(table, index))
        return [at + 4 + 4 * place for place in range(self.number(at))]


def with_map(raw: bytes) -> bytes:
    """The same network with its last tensor of four dimensions, the map, as a second output."""
    flat = Flat(raw)
    graph = flat.follow(flat.vector(flat.follow(0), SUBGRAPHS)[0])
    tensors = [flat.follow(at) for at in flat.vector(graph, TENSORS)]
    places = max(place for place, table in enumerate(tensors) if len(flat.vector(table, SHAPE)) == 4)
    logits = flat.number(flat.vector(graph, OUTPUTS)[0])
    flat.raw += bytes(-len(flat.raw) % 4)
    pointer = flat.field(graph, OUTPUTS)
    struct.pack_into("<I", flat.raw, pointer, len(flat.raw) - pointer)
    flat.raw += struct.pack("<III", 2, logits, places)
    return bytes(flat.raw)


@pytest.fixture(scope="module")
def mapped(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("mapped") / "bundle"
    shutil.copytree(shipped, folder)
    network = folder / "model.tflite"
    network.write_bytes(with_map(network.read_bytes()))
    repack(folder)
    return Bundle.open(folder)


def crops(bundle: Bundle) -> dict[str, np.ndarray]:
    """The golden picture of each class."""
    labels = bundle.manifest.labels
    return {labels[int(np.argmax(each.outputs))]: readable_image(bundle.folder / each.file, 1)
            for each in bundle.manifest.golden}  # fmt: skip


def test_the_verdict_of_a_network_with_a_map_is_the_same(mapped: Bundle, shipped: Path) -> None:
    plain, pictures = Bundle.open(shipped), list(crops(mapped).values())
    expected = TfliteClassifier(plain).scores(pictures).outputs
    assert (TfliteClassifier(mapped).scores(pictures).outputs == expected).all()


def test_the_map_is_quiet_on_a_good_part_and_loud_where_a_defect_is(mapped: Bundle) -> None:
    places = DefectMap(mapped)
    for label, crop in crops(mapped).items():
        found = places.of(crop)
        assert found is not None
        picture, chance = found
        assert picture.shape == (mapped.manifest.input.height, mapped.manifest.input.width)
        assert chance.ndim == 2
        assert (chance.max() < 0.5) == (label in mapped.manifest.good), label


def test_the_map_points_at_a_hole_that_is_painted_on(mapped: Bundle) -> None:
    good, = (crop for label, crop in crops(mapped).items() if label in mapped.manifest.good)  # fmt: skip
    height, width = good.shape
    at = (int(width * 0.5), int(height * 0.28))
    spoilt = good.copy()
    cv2.circle(spoilt, at, max(3, width // 24), 20, -1)
    found = DefectMap(mapped).of(spoilt)
    assert found is not None
    _, chance = found
    row, column = np.unravel_index(int(chance.argmax()), chance.shape)
    away = np.hypot((column + 0.5) / chance.shape[1] - at[0] / width, (row + 0.5) / chance.shape[0] - at[1] / height)
    assert chance.max() > 0.5
    assert away < 0.15, "share of the picture"


def test_only_the_model_that_judged_is_asked(mapped: Bundle, shipped: Path) -> None:
    crop, live = next(iter(crops(mapped).values())), LiveMap("auto")
    assert live.of(crop, mapped.hash8) is None, "nothing judges yet"
    live.judges(mapped)
    assert live.of(crop, mapped.hash8) is not None
    plain = Bundle.open(shipped)
    live.judges(plain)
    assert live.of(crop, mapped.hash8) is None
    assert live.of(crop, plain.hash8) is None, "it has no map"
    live.judges(mapped)
    assert live.of(crop, mapped.hash8) is not None
    assert live.of(np.zeros((0, 0), np.uint8), mapped.hash8) is None


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 3)])
def test_heat_is_red_where_it_is_hot_and_nothing_elsewhere(shape: tuple[int, ...]) -> None:
    heat = np.zeros((4, 6), np.float32)
    heat[1, 4] = 1
    shown = under_heat(np.full(shape, 100, np.uint8), heat).astype(int)
    assert shown.shape == (40, 60, 3)
    assert shown[15, 45, 2] > shown[15, 45, 0] + 60
    assert np.abs(shown[35, 5] - 100).max() <= 1
