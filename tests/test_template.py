"""Parts of any outline are laid onto a reference to a fraction of a pixel, however they are turned; others are not."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import outlines
import pytest
from conftest import repack
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge.bundle import Bundle, BundleError, InputSpec, Template, Unregistered, laid, laid_with, prepare, template

SIDE = 96
Outline = Callable[[np.random.Generator], np.ndarray]


def reference(outline: Outline, *, turns: bool = True, projective: bool = False, spread: int = 30) -> Template:
    """A template of one clean part."""
    picture = outlines.posed(1, "good", outline, SIDE, turned=False)[0]
    return Template(
        height=SIDE,
        width=SIDE,
        pixels=picture.tobytes(),
        spread=bytes([spread]) * (SIDE // 4) ** 2,
        turns=turns,
        projective=projective,
        least=0.6,
    )


def spec(known: Template) -> InputSpec:
    return InputSpec(height=known.height, width=known.width, channels=1, registration=known)


@pytest.mark.parametrize("outline", [outlines.bracket_shape, outlines.gear_shape])
@pytest.mark.parametrize("kind", ["good", "pit", "scratch"])
def test_a_part_is_found_whatever_it_is_turned_by(outline: Outline, kind: str) -> None:
    known, places = reference(outline), []
    corners = np.array([[15, 15, 1], [80, 15, 1], [15, 80, 1], [80, 80, 1], [48, 48, 1]], float).T
    for seed in range(100, 116):
        crop, _, pose = outlines.posed(seed, kind, outline, 160, turned=True)
        onto = np.linalg.inv(np.vstack([pose, [0, 0, 1]])) @ template.find(crop, known)
        places.append((onto @ corners)[:2] * 160 / outlines.FULL_PX)
    off = np.linalg.norm(np.array(places) - np.median(places, axis=0), axis=1)
    assert np.median(off) < 0.5
    assert off.max() < 1.5


def test_a_bracket_seen_at_an_angle_needs_a_fit_in_perspective() -> None:
    corners = np.array([[0, 0], [159, 0], [159, 159], [0, 159]], np.float32)
    seen = cv2.getPerspectiveTransform(corners, corners + np.array([[12, 4], [-2, 2], [0, 0], [0, 0]], np.float32))
    straight = outlines.posed(3, "good", outlines.bracket_shape, 160, turned=False)[0]
    leaning = cv2.warpPerspective(straight, seen, (160, 160), borderMode=cv2.BORDER_REPLICATE)

    def left(crop: np.ndarray, *, projective: bool) -> float:
        """What differs from the reference along the part's edges."""
        known = reference(outlines.bracket_shape, turns=False, projective=projective)
        picture = np.frombuffer(known.pixels, np.uint8).reshape(SIDE, SIDE)
        edges = cv2.dilate(cv2.Canny(picture, 60, 150), np.ones((3, 3), np.uint8)) > 0
        return float(np.abs(template.relative(laid(crop, spec(known)), known))[edges].mean())

    usual = left(straight, projective=False)
    assert left(leaning, projective=True) < 1.15 * usual
    assert left(leaning, projective=False) > 1.25 * usual


def test_a_flaw_stands_out_and_the_part_does_not() -> None:
    known = reference(outlines.bracket_shape)
    for seed in range(4):
        crop, mask, _ = outlines.posed(seed, "pit", outlines.bracket_shape, 160, turned=True)
        shown = prepare(crop, spec(known))[0, :, :, 0].astype(int) + 128
        there = laid_with(crop, mask, spec(known)) > 127
        assert np.abs(shown[there] - 128).mean() > 3 * np.abs(shown[~there] - 128).mean()


def test_light_changes_little_of_what_the_network_is_shown() -> None:
    known = reference(outlines.bracket_shape)
    crop = outlines.posed(7, "good", outlines.bracket_shape, 160, turned=True)[0]
    dim = (crop * 0.7 + 5).astype(np.uint8)
    bright, dark = (prepare(each, spec(known)).astype(int) for each in (crop, dim))
    assert np.abs(bright - dark).mean() < 4


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((90, 90), np.uint8),
        np.full((40, 40), 200, np.uint8),
        np.random.default_rng(1).integers(0, 256, (120, 120), dtype=np.uint8),
        outlines.posed(1, "good", outlines.gear_shape, 160, turned=True)[0],
        np.zeros((1, 1), np.uint8),
        np.zeros((3, 900), np.uint8),
    ],
    ids=["black", "flat", "noise", "another part", "one pixel", "a line"],
)
def test_what_is_no_such_part_is_not_registered(crop: np.ndarray) -> None:
    with pytest.raises(Unregistered):
        prepare(crop, spec(reference(outlines.bracket_shape)))


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=80)), st.booleans())
def test_any_picture_is_laid_out_or_refused(crop: np.ndarray, turns: bool) -> None:
    known = reference(outlines.bracket_shape, turns=turns)
    try:
        tensor = prepare(crop, spec(known))
    except Unregistered:
        return
    assert (tensor.shape, tensor.dtype) == ((1, SIDE, SIDE, 1), np.int8)


def test_the_same_crop_gives_the_same_bytes() -> None:
    known = reference(outlines.gear_shape)
    crop = outlines.posed(5, "pit", outlines.gear_shape, 160, turned=True)[0]
    assert (prepare(crop, spec(known)) == prepare(crop.copy(), spec(known))).all()


def test_a_view_costs_little() -> None:
    """The bound is ten times what a quiet machine needs, in processor time, so that load does not fail it."""
    known = reference(outlines.bracket_shape)
    crops = [outlines.posed(seed, "good", outlines.bracket_shape, 160, turned=True)[0] for seed in range(12)]
    prepare(crops[0], spec(known))
    began = time.thread_time()
    for each in crops:
        prepare(each, spec(known))
    assert (time.thread_time() - began) / len(crops) < 0.02


def section(**changed: Any) -> dict[str, Any]:
    """A template as a manifest says it, for an input of 96 × 96."""
    known = reference(outlines.bracket_shape)
    said = {key: base64.b64encode(raw).decode() for key, raw in (("pixels", known.pixels), ("spread", known.spread))}
    return {"kind": "template", "turns": True, "projective": False, "least": 0.6, **said, **changed}


def with_input(folder: Path, **values: Any) -> None:
    """The bundle's manifest with other values in its section `input`."""
    repack(folder, lambda document: document["input"].update(values))


def test_a_manifest_brings_its_template(copied: Path) -> None:
    with_input(copied, height=SIDE, width=SIDE, channels=1, registration=section())
    assert Bundle.open(copied).manifest.input.registration == reference(outlines.bracket_shape)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"kind": "outline"}, "not known"),
        ({"kind": 7}, "not known"),
        ({"pixels": "AAAA"}, "registration.pixels must be 9216 bytes"),
        ({"pixels": "no base64!"}, "registration.pixels"),
        ({"pixels": None}, "registration.pixels"),
        ({"pixels": [1] * 9216}, "registration.pixels"),
        ({"spread": base64.b64encode(bytes(577)).decode()}, "registration.spread must be 576 bytes"),
        ({"turns": "yes"}, "registration.turns"),
        ({"projective": 1}, "registration.projective"),
        ({"least": 1.5}, "registration.least"),
        ({"least": float("nan")}, "registration.least"),
        ({"least": True}, "registration.least"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(copied: Path, changed: dict[str, Any], says: str) -> None:
    with_input(copied, height=SIDE, width=SIDE, channels=1, registration=section(**changed))
    with pytest.raises(BundleError) as caught:
        Bundle.open(copied)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(98, 96, 1), (16, 96, 1), (1024, 96, 1), (96, 96, 3), (32, 512, 1)])
def test_a_template_has_sides_that_it_can_be_searched_in(copied: Path, size: tuple[int, int, int]) -> None:
    with_input(copied, height=size[0], width=size[1], channels=size[2], registration=section())
    with pytest.raises(BundleError, match="multiples of 4"):
        Bundle.open(copied)


@pytest.mark.parametrize("key", ["pixels", "spread", "turns", "projective", "least"])
def test_a_template_that_lacks_something_says_what(copied: Path, key: str) -> None:
    without = {name: value for name, value in section().items() if name != key}
    with_input(copied, height=SIDE, width=SIDE, channels=1, registration=without)
    with pytest.raises(BundleError, match=key):
        Bundle.open(copied)
    assert json.loads((copied / "manifest.json").read_text())["input"]["registration"] == without
