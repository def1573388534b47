"""How parts are registered, by a ring or a template or not at all: measured once, on the pictures, before training."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence

from edge.bundle import InputSpec, Ring, Template, Unregistered, registration
from edge.bundle import ring as rings
from edge.bundle import template as templates
from trainer import coverage, laying, roundness
from trainer import recipe as recipes
from trainer.augment import Image
from trainer.errors import Refused
from trainer.recipe import Recipe

STRIP_PX = (72, 544)
LEFT_OUT = 0.1
"""Share of the defective pictures that may differ only where a strip does not reach, before that is said."""
ASKED = 240
"""Pictures that registration is decided by, at most."""


def settled(recipe: Recipe, pictures: Sequence[Image], fine: Sequence[bool]) -> tuple[Recipe, str]:
    """The recipe with its registration decided, and why; raises `Refused`.

    Where the recipe leaves it open, these gray pictures decide; `fine` says which of them show good parts.
    """
    shape = recipe.input
    if shape.registration == "none" or registration_of(recipe) is not None:
        return recipe, "as the recipe says"
    ring, said = (None, "") if shape.registration == "template" else roundness.choose(pictures, recipe.seed)
    if ring is not None and shape.registration == "ring":
        return _with_ring(recipe, ring), said
    if shape.registration == "ring":
        raise Refused(f"input.registration ring: {said}; write template, none or auto")
    if shape.channels != 1:
        laid, why = None, "a template needs gray pictures (input.channels: 1)"
    elif not registration.is_compact(*_sides(shape)):
        laid, why = None, "a template needs an input of other sides (32 to 512 px, one at most four times the other)"
    else:
        good = [each for each, is_good in zip(pictures, fine, strict=True) if is_good]
        laid, why = laying.choose(good, _sides(shape), recipe.seed)
    if ring is not None:
        return _with_ring(recipe, ring), said + _missed(ring, laid, pictures, fine)
    said = f"{said}; {why}" if said else why
    if laid is not None:
        return _with_template(recipe, laid.template, pictures), said
    if shape.registration == "template":
        raise Refused(f"input.registration template: {said}; write none or auto")
    return dataclasses.replace(recipe, input=dataclasses.replace(shape, registration="none")), said


def _missed(ring: Ring, laid: laying.Laid | None, pictures: Sequence[Image], fine: Sequence[bool]) -> str:
    """What the ring's strip leaves out of the defective pictures, in words; empty where that is little.

    It is said and not acted upon: a style of photographing defective parts differs there as well as a flaw.
    """
    if laid is None:
        return ""
    good, bad = (
        [each for each, is_good in zip(pictures, fine, strict=True) if is_good is kind] for kind in (True, False)
    )
    missed, sure = coverage.cut_off(ring, laid.template, good, bad)
    if missed < 2 or missed < LEFT_OUT * sure:
        return ""
    return (
        f"; {missed} of {sure} defective pictures differ from good ones only where its strip does not reach: "
        "if flaws lie there, write input.registration: template"
    )


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
