"""The five ways in which a simulated part can be bad, each from barely visible to plain."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from edge.sources.simulation.surface import BORE, HUB, RIM, Field, Surface, angle_between, clouds, smoothstep


def blowhole(part: Surface, rng: Generator) -> None:
    """Gas that was caught in the casting: one to three dark pits with an uneven edge."""
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        x, y = _spot(part, rng, HUB * 0.7, 0.93)
        radius = max(1.3, float(rng.uniform(0.03, 0.075)) * part.radius_px)
        away, toward = _polar(part, x, y)
        uneven = 1 + 0.18 * np.sin(2 * toward + float(rng.uniform(0, 6))) + 0.1 * np.sin(5 * toward)
        pit = 1 - smoothstep(-0.8, 0.8, away - radius * uneven)
        part.tone *= 1 - float(rng.uniform(0.5, 0.85)) * pit
        part.height -= 0.6 * radius * pit


def scratch(part: Surface, rng: Generator) -> None:
    """A fine, slightly bent line, bright where it was cut freshly, dark where it was not."""
    x, y = _spot(part, rng, HUB * 0.8, 0.85)
    length = float(rng.uniform(0.5, 1.15)) * part.radius_px
    heading, bend = float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(-0.9, 0.9))
    along = (part.x - x) * math.cos(heading) + (part.y - y) * math.sin(heading)
    across = (part.y - y) * math.cos(heading) - (part.x - x) * math.sin(heading)
    share = along / (length / 2)
    away = np.abs(across - bend * length * 0.12 * share * share)
    width = max(0.65, float(rng.uniform(0.011, 0.02)) * part.radius_px) * (1 - 0.35 * np.clip(share, -1, 1) ** 2)
    line = (1 - smoothstep(-0.6, 0.6, away - width)) * (1 - smoothstep(0.9, 1.0, np.abs(share)))
    strength = float(rng.uniform(0.18, 0.34))
    part.tone += line * (strength if rng.random() < 0.65 else -strength) * (part.rho < 1)
    part.height -= 0.5 * line


def burr(part: Surface, rng: Generator) -> None:
    """Flash that the cutter left standing: ragged metal beyond the contour, or reaching into the bore."""
    center, half = float(rng.uniform(-math.pi, math.pi)), math.radians(float(rng.uniform(7, 19)))
    apart = angle_between(part.angle, center)
    window = np.clip(1 - (apart / half) ** 2, 0, 1) ** 0.5
    ragged = 0.68 + 0.22 * np.sin(apart * 41 + float(rng.uniform(0, 6))) + 0.14 * np.sin(apart * 83)
    if rng.random() < 0.75:
        reach = float(rng.uniform(0.055, 0.15)) * part.radius_px
        part.edge_px += reach * window * ragged
        standing = smoothstep(0.985, 1.02, part.rho)
    else:
        reach = BORE * float(rng.uniform(0.4, 0.8))
        standing = (
            window * smoothstep(-0.02, 0.02, part.rho - BORE + reach * window * ragged) * (part.rho < BORE + 0.02)
        )
    part.tone = part.tone * (1 - standing) + 0.66 * standing
    part.height += 0.03 * part.radius_px * standing * window


def missing(part: Surface, rng: Generator) -> None:
    """A piece has broken off the rim and left a rough face."""
    where, bite = float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0.15, 0.36)) * part.radius_px
    center = float(rng.uniform(0.97, 1.08)) * part.radius_px
    away, toward = _polar(part, center * math.cos(where), center * math.sin(where))
    rough = (
        1 + 0.13 * np.sin(3 * toward + float(rng.uniform(0, 6))) + 0.07 * np.sin(7 * toward + float(rng.uniform(0, 6)))
    )
    depth = away - bite * rough
    part.cut = np.maximum(part.cut, 1 - smoothstep(-0.7, 0.7, depth))
    face = 1 - smoothstep(0.0, 0.055 * part.radius_px, depth)
    part.tone = part.tone * (1 - 0.7 * face) + 0.7 * face * (0.55 + 0.09 * clouds(rng, part.x.shape[0], 0.8))
    part.height -= 0.05 * part.radius_px * face


def dent(part: Surface, rng: Generator) -> None:
    """A blow has pressed the metal in: at the rim, where it bends the contour, or as a dimple on the face."""
    if rng.random() < 0.6:
        center, half = float(rng.uniform(-math.pi, math.pi)), math.radians(float(rng.uniform(12, 24)))
        dip = np.exp(-((angle_between(part.angle, center) / half) ** 2))
        part.edge_px -= float(rng.uniform(0.06, 0.13)) * part.radius_px * dip
        hollow = dip * smoothstep(RIM - 0.16, 0.98, part.rho)
        depth = float(rng.uniform(0.2, 0.32))
    else:
        x, y = _spot(part, rng, HUB, 0.9)
        away, _ = _polar(part, x, y)
        reach = float(rng.uniform(0.12, 0.19)) * part.radius_px
        hollow = np.exp(-((away / reach) ** 2))
        depth = float(rng.uniform(0.13, 0.22))
    part.height -= depth * part.radius_px * hollow
    part.tone *= 1 - 0.28 * hollow


DEFECTS: dict[str, Callable[[Surface, Generator], None]] = {
    "blowhole": blowhole,
    "burr": burr,
    "dent": dent,
    "missing": missing,
    "scratch": scratch,
}
"""What is done to a sound part to make it bad, by label."""


def _spot(part: Surface, rng: Generator, low: float, high: float) -> tuple[float, float]:
    away = math.sqrt(float(rng.uniform(low * low, high * high))) * part.radius_px
    where = float(rng.uniform(0, 2 * math.pi))
    return away * math.cos(where), away * math.sin(where)


def _polar(part: Surface, x: float, y: float) -> tuple[Field, Field]:
    return np.hypot(part.x - x, part.y - y), np.arctan2(part.y - y, part.x - x)
