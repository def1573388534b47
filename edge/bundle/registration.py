"""How a manifest says that parts are registered: by a ring, or by a template."""

from __future__ import annotations

from typing import Any

from edge.bundle.checks import flag, raw, within
from edge.bundle.ring import WRAP_PX, Ring
from edge.bundle.template import COARSER, Template


def read(section: dict[str, Any], height: int, width: int, channels: int) -> Ring | Template:
    """The section `input.registration` of a manifest; raises `ValueError`, `KeyError` or `TypeError`."""
    kind = section["kind"]
    if kind == "ring":
        if width % 8 or width <= 4 * WRAP_PX:
            raise ValueError(f"input.width is {width}; of a strip it is a multiple of 8 above {4 * WRAP_PX}")
        return _ring(section)
    if kind == "template":
        if height % COARSER or width % COARSER or channels != 1 or not is_compact(height, width):
            raise ValueError("input of a template must be gray, in sides from 32 to 512 that are multiples of 4")
        return _template(section, height, width)
    raise ValueError(f"input.registration {str(kind)[:40]!r} is not known to this version")


def is_compact(height: int, width: int) -> bool:
    """Whether a part can be looked for on a template of this size."""
    return min(height, width) >= 32 and max(height, width) <= 512 and max(height, width) <= 4 * min(height, width)


def _ring(section: dict[str, Any]) -> Ring:
    if section["inside"] not in ("dark", "bright"):
        raise ValueError("input.registration.inside must be dark or bright")
    low, high = (within(each, 0.02, 1.0, "registration.radius") for each in section["radius"])
    levels = tuple(within(each, 0.0, 1.0, "registration.levels") for each in section["levels"])
    inner = within(section["inner"], 0.0, 8.0, "registration.inner")
    outer = within(section["outer"], 0.1, 8.0, "registration.outer")
    rim = within(section["rim"], 0.0, 8.0, "registration.rim")
    if not levels or len(levels) > 8 or low >= high or inner >= outer or 0 < rim <= 1:
        raise ValueError("input.registration contradicts itself")
    return Ring(
        inside=section["inside"],
        levels=levels,
        radius=(low, high),
        rim=rim,
        rim_rises=bool(section["rim_rises"]),
        inner=inner,
        outer=outer,
    )


def _template(section: dict[str, Any], height: int, width: int) -> Template:
    return Template(
        height=height,
        width=width,
        pixels=raw(section["pixels"], height * width, "registration.pixels"),
        spread=raw(section["spread"], (height // COARSER) * (width // COARSER), "registration.spread"),
        turns=flag(section["turns"], "registration.turns"),
        projective=flag(section["projective"], "registration.projective"),
        least=within(section["least"], 0.0, 1.0, "registration.least"),
    )
