"""How parts are registered, by a ring or a template or not at all: measured once, on the pictures, before training."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec, Ring, Template, Unregistered, registration
from edge.bundle import ring as rings
from edge.bundle import template as templates
from trainer import laying
from trainer import recipe as recipes
from trainer.augment import Image
from trainer.errors import Refused
from trainer.recipe import Recipe

STRIP_PX = (72, 544)
LEVELS = (0.1, 0.16, 0.22, 0.3, 0.4, 0.5, 0.6, 0.7)
WIDEST = (0.12, 0.48)
ENOUGH = 0.98
"""Share of the pictures that must be registered; fewer, and the data are taken as they are."""
STRAIGHT = 0.85
"""Share of a strip's structure that runs along its rows; less, and the part is round but has no rings."""
TRIED, ASKED = 48, 240
SPREAD = 1.35
RIM_FROM, RIM_TO = 1.2, 2.4
STEEP = 4.0
"""Grey levels per sample of the radius that make an edge worth fitting."""


def settled(recipe: Recipe, pictures: Sequence[Image], fine: Sequence[bool]) -> tuple[Recipe, str]:
    """The recipe with its registration decided, and why; raises `Refused`.

    Where the recipe leaves it open, these gray pictures decide; `fine` says which of them show good parts.
    """
    shape = recipe.input
    if shape.registration == "none" or registration_of(recipe) is not None:
        return recipe, "as the recipe says"
    ring, said = (None, "") if shape.registration == "template" else choose(pictures, recipe.seed)
    if ring is not None:
        return _with_ring(recipe, ring), said
    if shape.registration == "ring":
        raise Refused(f"input.registration ring: {said}; write template, none or auto")
    if shape.channels != 1:
        laid, why = None, "a template needs gray pictures (input.channels: 1)"
    else:
        good = [each for each, is_good in zip(pictures, fine, strict=True) if is_good]
        laid, why = laying.choose(good, _sides(shape), recipe.seed)
    said = f"{said}; {why}" if said else why
    if laid is not None:
        return _with_template(recipe, laid.template, pictures), said
    if shape.registration == "template":
        raise Refused(f"input.registration template: {said}; write none or auto")
    return dataclasses.replace(recipe, input=dataclasses.replace(shape, registration="none")), said


def _sides(shape: recipes.Input) -> tuple[int, int]:
    """Height and width of the template: the input's, in sides that it can have."""
    whole = 8
    return max(32, shape.height_px // whole * whole), max(32, shape.width_px // whole * whole)


def _with_ring(recipe: Recipe, ring: Ring) -> Recipe:
    shape = recipe.input
    found = recipes.Ring(
        inside=ring.inside,
        levels=ring.levels,
        smallest=ring.radius[0],
        largest=ring.radius[1],
        rim=ring.rim,
        rim_rises=ring.rim_rises,
        inner=ring.inner,
        outer=ring.outer,
    )
    # A strip is long and low; sizes meant for a square picture say nothing about it.
    size = (shape.height_px, shape.width_px) if shape.width_px >= 4 * shape.height_px else STRIP_PX
    shape = dataclasses.replace(shape, registration="ring", ring=found, height_px=size[0], width_px=size[1])
    how = recipe.training
    if not how.coarse and how.epochs > 2:
        # Most is learned on pieces, at a third of the cost.
        how = dataclasses.replace(how, coarse=how.epochs * 2 // 3, epochs=how.epochs - how.epochs * 2 // 3)
    network = dataclasses.replace(recipe.network, good="place")
    return dataclasses.replace(recipe, input=shape, network=network, training=how)


def _with_template(recipe: Recipe, template: Template, pictures: Sequence[Image]) -> Recipe:
    """The reference, and what it asks of a part; a network that was to begin on smaller pictures begins on these."""
    found = recipes.Template(
        pixels=base64.b64encode(template.pixels).decode("ascii"),
        spread=base64.b64encode(template.spread).decode("ascii"),
        turns=template.turns,
        projective=template.projective,
        least=laying.least(pictures, template),
    )
    shape = dataclasses.replace(
        recipe.input,
        registration="template",
        template=found,
        height_px=template.height,
        width_px=template.width,
    )
    how = dataclasses.replace(recipe.training, coarse=0, epochs=recipe.training.epochs + recipe.training.coarse)
    network = dataclasses.replace(recipe.network, good="place")
    return dataclasses.replace(recipe, input=shape, network=network, training=how)


def remade(recipe: Recipe, pictures: Sequence[Image], fine: Sequence[bool]) -> Recipe:
    """The recipe with its template made anew of these gray pictures, of the first good ones, as `fine` says."""
    known = template_of(recipe)
    good = [each for each, is_good in zip(pictures, fine, strict=True) if is_good]
    if known is None or len(good) < 3:
        return recipe
    size = (known.height, known.width)
    made = laying.made(good[: laying.ASKED], size, turns=known.turns, projective=known.projective)
    return _with_template(recipe, made, pictures)


def registration_of(recipe: Recipe) -> Ring | Template | None:
    """What parts are registered by; None where they are not, or where it has not been measured yet."""
    return ring_of(recipe) or template_of(recipe)


def template_of(recipe: Recipe) -> Template | None:
    """The template that parts are laid onto, if that is how they are registered; raises `Refused`."""
    shape, wanted = recipe.input, recipe.input.template
    if shape.registration != "template" or not wanted.pixels:
        return None
    said = {
        "kind": "template",
        "pixels": wanted.pixels,
        "spread": wanted.spread,
        "turns": wanted.turns,
        "projective": wanted.projective,
        "least": wanted.least,
    }
    try:
        known = registration.read(said, shape.height_px, shape.width_px, shape.channels)
    except ValueError as error:
        raise Refused(f"input.template: {error}; leave pixels empty to have it made") from None
    return known if isinstance(known, Template) else None


def ring_of(recipe: Recipe) -> Ring | None:
    """The ring that parts are registered by, if that is how."""
    wanted = recipe.input.ring
    if recipe.input.registration != "ring" or not wanted.inside:
        return None
    return Ring(
        inside=wanted.inside,
        levels=wanted.levels,
        radius=(wanted.smallest, wanted.largest),
        rim=wanted.rim,
        rim_rises=wanted.rim_rises,
        inner=wanted.inner,
        outer=wanted.outer,
    )


def input_spec(recipe: Recipe) -> InputSpec:
    """The recipe's input in the words of the bundle."""
    shape = recipe.input
    return InputSpec(
        height=shape.height_px, width=shape.width_px, channels=shape.channels, registration=registration_of(recipe)
    )


def choose(pictures: Sequence[Image], seed: int) -> tuple[Ring | None, str]:
    """The ring that nearly all of these gray pictures show, or None, and the reason in words."""
    random = np.random.default_rng(seed)
    some = [pictures[i] for i in random.permutation(len(pictures))[:ASKED]]
    candidates = [each for inside in ("dark", "bright") if (each := _coarse(some[:TRIED], inside)) is not None]
    fitting = [each for each in candidates if found(some[:TRIED], each) >= ENOUGH]
    outlined = [_with_rim(some[:TRIED], each) for each in fitting]
    lasting = [(straight(some[:TRIED], each), each) for each in outlined if found(some, each) >= ENOUGH]
    best = max(lasting, key=lambda each: each[0], default=None)
    if best is None:
        return None, f"fewer than {100 * ENOUGH:.0f} % of the pictures show one ring"
    said = f"{100 * best[0]:.0f} % of the structure runs around it"
    if best[0] < STRAIGHT:
        return None, f"there is a ring, but only {said} (needed: {100 * STRAIGHT:.0f} %)"
    return best[1], f"nearly all pictures show a ring, and {said}"


def found(pictures: Sequence[Image], ring: Ring) -> float:
    """The share of the pictures in which the ring is found."""
    return float(np.mean([registered(each, ring) for each in pictures]))


def registered(picture: Image, known: Ring | Template) -> bool:
    """Whether the part is found in a gray picture."""
    try:
        if isinstance(known, Ring):
            rings.find(picture, known)
        else:
            templates.find(picture, known)
    except Unregistered:
        return False
    return True


def straight(pictures: Iterable[Image], ring: Ring) -> float:
    """How much of the structure in the unrolled pictures runs along the rows, 0 to 1."""
    shares = []
    for each in pictures:
        try:
            strip = rings.straighten(each, rings.find(each, ring), ring, 64, 256 + 2 * rings.WRAP_PX)
        except Unregistered:
            continue
        left = rings.relative(strip).astype(np.float64)
        shares.append(1 - left.var() / max(float(np.log(strip + rings.DARK).var()), 1e-6))
    return float(np.median(shares)) if shares else 0.0


def _coarse(pictures: Sequence[Image], inside: str) -> Ring | None:
    """The level and the radius at which most pictures show a whole ellipse."""
    wide = Ring(inside=inside, levels=LEVELS, radius=WIDEST, rim=0.0, rim_rises=False, inner=0.1, outer=1.1)
    hits = [_hits(each, wide) for each in pictures]
    radii = np.array([radius for each in hits for _, radius in each])
    if not len(radii):
        return None

    def share(middle: float, level: float | None = None) -> float:
        low, high = middle / np.sqrt(SPREAD), middle * np.sqrt(SPREAD)
        return float(np.mean([any(low <= r <= high and level in (None, at) for at, r in each) for each in hits]))

    grid = np.geomspace(*WIDEST, 40)
    shares = np.array([share(each) for each in grid])
    # Of rings that are found equally often the largest explains most of the part.
    middle = float(grid[np.flatnonzero(shares >= shares.max() - 0.01)[-1]])
    near = radii[(radii > middle / SPREAD) & (radii < middle * SPREAD)]
    middle = float(np.median(near))
    levels = sorted(LEVELS, key=lambda level: -share(middle, level))[:4]
    radius = (round(middle / SPREAD, 4), round(min(0.5, middle * SPREAD), 4))
    return dataclasses.replace(wide, levels=tuple(levels), radius=radius)


def _hits(picture: Image, wide: Ring) -> list[tuple[float, float]]:
    """`(level, radius)` of every whole ellipse in a picture."""
    small = _small(picture)
    low, high = np.percentile(small[::2, ::2], [1, 97])
    hits = []
    for level in wide.levels:
        for outline in rings._outlines(small, low + level * (high - low), wide):
            fitted = rings._ellipse(outline)
            if fitted is not None and fitted[0] >= 0.9:
                hits.append((level, float(np.sqrt(np.linalg.det(fitted[2]))) / min(small.shape)))
    return hits


def _small(picture: Image) -> Image:
    height, width = picture.shape
    scale = rings.SIDE_PX / min(height, width)
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8) if scale < 1 else picture


def _with_rim(pictures: Sequence[Image], ring: Ring) -> Ring:
    """The ring with the strongest edge around it, when that is found as surely; else the ring and what it holds."""
    alone = dataclasses.replace(ring, inner=0.15, outer=1.08)
    profile, reach = _profile(pictures, ring)
    for at in _peaks(profile, reach):
        rim = float(reach[at])
        tried = dataclasses.replace(ring, rim=round(rim, 4), rim_rises=bool(profile[at] > 0))
        if found(pictures, tried) >= ENOUGH:
            # A little of what lies beyond both edges: chips are there.
            return dataclasses.replace(tried, inner=0.95, outer=round(1.07 * rim, 4))
    return alone


def _peaks(profile: NDArray[np.float64], reach: NDArray[np.float64]) -> list[int]:
    """Where the profile has an edge worth fitting, outermost first."""
    steep = np.abs(profile)
    inside = np.arange(1, len(steep) - 1)
    allowed = (reach[inside] >= RIM_FROM) & (reach[inside] <= RIM_TO)
    peak = allowed & (steep[inside] >= steep[inside - 1]) & (steep[inside] > steep[inside + 1])
    if not peak.any():
        return []
    least = max(STEEP, 0.5 * float(steep[inside[peak]].max()))
    return [int(i) for i in inside[peak][::-1] if steep[i] >= least]


def _profile(pictures: Sequence[Image], ring: Ring) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The usual slope of brightness at each radius, and the radii."""
    far = dataclasses.replace(ring, rim=RIM_TO)
    slopes = []
    for each in pictures:
        small = _small(each)
        try:
            center, axes = rings._coarse(small, ring)
        except Unregistered:
            continue
        slopes.append(np.median(rings._rays(small, center, axes, far), axis=0))
    mean = np.mean(slopes, axis=0).astype(np.float64)
    return mean, 0.5 + rings.STEP * np.arange(len(mean))
