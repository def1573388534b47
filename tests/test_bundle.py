"""The bundle vouches for its files; the shelf changes completely or not at all."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import repack

from edge.bundle import Bundle, BundleError, InputSpec, Shelf, prepare


def test_the_shipped_bundle_is_whole_and_small(shipped: Path) -> None:
    bundle = Bundle.open(shipped)
    assert shipped.name == bundle.slot
    assert sum(each.stat().st_size for each in shipped.rglob("*") if each.is_file()) < 150_000
    assert {"report.html", "card.md", "recipe.yaml"} <= set(bundle.manifest.files)


@pytest.mark.parametrize("size", [(96, 96), (40, 40), (217, 217), (300, 200)])
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_preprocessing_is_the_grey_level_minus_128(size: tuple[int, int], color: bool, channels: int) -> None:
    spec = InputSpec(height=96, width=96, channels=channels)
    crop = np.full((*size, 3) if color else size, 200, dtype=np.uint8)
    tensor = prepare(crop, spec)
    assert (tensor.shape, tensor.dtype) == ((1, 96, 96, channels), np.int8)
    assert (tensor == 200 - 128).all()


def test_preprocessing_agrees_with_the_long_way() -> None:
    crop = np.random.default_rng(1).integers(0, 256, (230, 230, 3), dtype=np.uint8)
    gray = cv2.cvtColor(cv2.resize(crop, (96, 96), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    assert (prepare(crop, InputSpec(height=96, width=96, channels=1))[0, :, :, 0] == gray.astype(int) - 128).all()
    rgb = prepare(crop, InputSpec(height=230, width=230, channels=3))[0]
    assert (rgb.astype(int) + 128 == crop[:, :, ::-1]).all()


@pytest.mark.parametrize("crop", [np.zeros((0, 5), np.uint8), np.zeros((5, 5)), np.zeros((5, 5, 4), np.uint8)])
def test_what_is_no_image_is_refused(crop: np.ndarray) -> None:
    with pytest.raises(ValueError, match="gray or BGR"):
        prepare(crop, InputSpec(height=96, width=96, channels=1))


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_any_changed_byte_is_found(copied: Path) -> None:
    names = json.loads((copied / "manifest.json").read_text())["files"]
    for name in names:
        raw = (copied / name).read_bytes()
        for place in {0, len(raw) // 2, len(raw) - 1}:
            (copied / name).write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            assert "is damaged" in refusal(copied)
        (copied / name).write_bytes(raw[: len(raw) // 2])
        assert "is damaged" in refusal(copied)
        (copied / name).write_bytes(raw)
    assert Bundle.open(copied)


def test_a_missing_file_or_a_link_in_its_place_is_found(copied: Path) -> None:
    (copied / "model.tflite").rename(copied / "elsewhere")
    assert "is missing" in refusal(copied)
    (copied / "model.tflite").symlink_to("elsewhere")
    assert "is missing" in refusal(copied)


def test_no_folder_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    assert "no such bundle" in refusal(tmp_path / "none")
    assert "manifest.json" in refusal(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"schema": "other/1"}', '{"schema": "linegate.bundle/1"}', "[" * 100_000]
)
def test_what_is_no_manifest_is_refused(copied: Path, text: str) -> None:
    (copied / "manifest.json").write_text(text)
    assert "manifest.json" in refusal(copied)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("labels", ["ok"], "two or more"),
        ("labels", ["ok", "ok"], "two or more"),
        ("labels", "ok", ""),
        ("good", [], "not all"),
        ("good", ["nothing"], "not all"),
        ("name", "../x", "letters, digits"),
        ("name", "", "short text"),
        ("version", 3, "short text"),
        ("input", {"height": 96, "width": 96, "channels": 2, "scale": 1.0, "zero_point": -128}, "1 (gray)"),
        ("input", {"height": 96, "width": 96, "channels": 1, "scale": 0.5, "zero_point": -128}, "scale 1"),
        ("input", {"height": 1 << 40, "width": 96, "channels": 1, "scale": 1.0, "zero_point": -128}, "2048"),
        ("output", {"scale": 0.0, "zero_point": 0, "temperature": 1.0}, "above 0"),
        ("output", {"scale": float("nan"), "zero_point": 0, "temperature": 1.0}, "above 0"),
        ("limits", {"pass": 10, "reject": 10}, "review band"),
        ("limits", {"pass": 0.5, "reject": 10}, "whole numbers"),
        ("golden", {"tolerance_steps": 2, "pictures": []}, "golden picture"),
        ("files", {"../../etc/passwd": "0" * 64}, "inside the bundle"),
        ("files", {"/etc/passwd": "0" * 64}, "inside the bundle"),
        ("files", {}, "vouch"),
        ("files", 7, ""),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(copied: Path, key: str, value: object, says: str) -> None:
    repack(copied, lambda document: document.__setitem__(key, value))
    assert says in refusal(copied)


@pytest.mark.parametrize("key", ["name", "labels", "good", "input", "output", "limits", "golden", "files", "version"])
def test_a_manifest_that_lacks_something_says_what(copied: Path, key: str) -> None:
    repack(copied, lambda document: document.pop(key))
    assert key in refusal(copied)


def second(copied: Path) -> Bundle:
    repack(copied, lambda document: document.__setitem__("version", "another"))
    return Bundle.open(copied)


def back(shelf: Shelf) -> Bundle:
    bundle = shelf.before_current()
    shelf.make_live(bundle.folder)
    return bundle


def test_flashing_and_going_back(tmp_path: Path, shipped: Path, copied: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    with pytest.raises(BundleError, match="no model is live"):
        shelf.current()
    first, other = Bundle.open(shipped), second(copied)
    shelf.make_live(shelf.place(first))
    with pytest.raises(BundleError, match="no earlier model"):
        back(shelf)
    shelf.make_live(shelf.place(other))
    assert [each.name for each in shelf.slots()] == sorted([first.slot, other.slot])
    assert shelf.current().slot == other.slot
    assert back(shelf).slot == first.slot
    assert shelf.current().slot == first.slot
    assert back(shelf).slot == other.slot
    assert not [each for each in shelf.root.iterdir() if each.name.startswith(".")]
    assert os.readlink(shelf.root / "current") == other.slot


def test_placing_twice_changes_nothing_and_mends_what_was_damaged(tmp_path: Path, shipped: Path) -> None:
    shelf, bundle = Shelf(tmp_path / "shelf"), Bundle.open(shipped)
    slot = shelf.place(bundle)
    assert shelf.place(bundle) == slot
    shelf.make_live(slot)
    (slot / "model.tflite").write_bytes(b"")
    with pytest.raises(BundleError, match="is damaged"):
        shelf.current()
    assert shelf.place(bundle) == slot
    assert shelf.current().sha256 == bundle.sha256
    assert not list(shelf.root.glob(".incoming-*"))


def test_a_link_to_nowhere_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to("gone")
    with pytest.raises(BundleError, match="no model is live"):
        Shelf(tmp_path).current()
