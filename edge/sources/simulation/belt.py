"""The simulated conveyor: how it moves, what its rubber looks like, what light falls on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

Field = NDArray[np.float64]
Gray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A stretch of time in which the speed changes evenly; speeds as multiples of the nominal one."""

    seconds: float
    start: float = 1.0
    end: float = 1.0


STEADY = (Leg(seconds=1.0),)


class Motion:
    """How far the belt has come, from legs that repeat for ever."""

    def __init__(self, speed_px_s: float, legs: tuple[Leg, ...] = STEADY) -> None:
        self._speed = speed_px_s
        self._legs = tuple(piece for leg in legs for piece in _one_way(leg))
        self._round_s = sum(leg.seconds for leg in legs)
        self._round_px = sum(self._leg_px(leg, leg.seconds) for leg in legs)

    def travel_px(self, at_s: float) -> float:
        """Way since time 0."""
        rounds, rest = divmod(at_s, self._round_s)
        way = rounds * self._round_px
        for leg in self._legs:
            spent = min(rest, leg.seconds)
            way += self._leg_px(leg, spent)
            rest -= spent
        return way

    def speed_px_s(self, at_s: float) -> float:
        rest = at_s % self._round_s
        for leg in self._legs:
            if rest <= leg.seconds:
                return self._speed * (leg.start + (leg.end - leg.start) * rest / leg.seconds)
            rest -= leg.seconds
        return self._speed * self._legs[-1].end

    def reaches(self, way_px: float) -> float:
        """The first time at which the belt has come `way_px` from where it was at time 0."""
        if self._legs == STEADY:
            return way_px / self._speed
        highest = max(0.0, *(self.travel_px(at) for at in self._ends()))
        rounds = max(0, math.floor((way_px - highest) / self._round_px))
        start = rounds * self._round_s
        while True:
            for leg in self._legs:
                if self.travel_px(start + leg.seconds) >= way_px:
                    return self._within(start, start + leg.seconds, way_px)
                start += leg.seconds

    def _ends(self) -> list[float]:
        ends, at = [], 0.0
        for leg in self._legs:
            at += leg.seconds
            ends.append(at)
        return ends

    def _within(self, low_s: float, high_s: float, way_px: float) -> float:
        for _ in range(60):
            middle = (low_s + high_s) / 2
            low_s, high_s = (middle, high_s) if self.travel_px(middle) < way_px else (low_s, middle)
        return high_s

    def _leg_px(self, leg: Leg, spent_s: float) -> float:
        return self._speed * (leg.start * spent_s + (leg.end - leg.start) * spent_s * spent_s / (2 * leg.seconds))


def _one_way(leg: Leg) -> tuple[Leg, ...]:
    """Cut where the belt turns round, so that within each piece the way only grows or only shrinks."""
    if leg.start * leg.end >= 0:
        return (leg,)
    until_s = leg.seconds * leg.start / (leg.start - leg.end)
    return (
        Leg(seconds=until_s, start=leg.start, end=0.0),
        Leg(seconds=leg.seconds - until_s, start=0.0, end=leg.end),
    )


class Rubber:
    """An endless belt of grained, worn rubber, drawn once and shifted by quarters of a pixel."""

    PHASES = 4
    BORDER = 16
    """Rows beyond the picture above and below, for a camera that shakes."""

    def __init__(self, width_px: int, height_px: int, seams: int, seed: int) -> None:
        self._width, self._height = width_px, height_px
        self.loop_px = 3 * width_px
        drawn = _rubber(self.loop_px, height_px + 2 * self.BORDER, seams, Generator(PCG64([seed, 0xBE17])))
        self._shifted = [self._phase(drawn, phase) for phase in range(self.PHASES)]

    def _phase(self, drawn: Gray, phase: int) -> Gray:
        following = np.roll(drawn, -1, axis=1).astype(np.uint16)
        mixed = (drawn.astype(np.uint16) * (self.PHASES - phase) + following * phase + self.PHASES // 2) // self.PHASES
        return np.asarray(np.concatenate([mixed, mixed[:, : self._width]], axis=1), dtype=np.uint8)

    def seen(self, travel_px: float, shake_px: tuple[float, float]) -> Gray:
        """A fresh picture of the belt after it moved `travel_px` to the right."""
        column, phase = divmod(round((-travel_px - shake_px[0]) * self.PHASES), self.PHASES)
        left = column % self.loop_px
        top = min(max(self.BORDER - round(shake_px[1]), 0), 2 * self.BORDER)
        return self._shifted[phase][top : top + self._height, left : left + self._width].copy()


def _rubber(loop_px: int, height_px: int, seams: int, rng: Generator) -> Gray:
    shape = height_px, loop_px
    grey = np.full(shape, float(rng.uniform(58, 70)))
    grey += (
        2.6 * _periodic(rng, shape, 0.8, 0.8)
        + 2.2 * _periodic(rng, shape, 14, 2.0)
        + 3.0 * _periodic(rng, shape, 60, 45)
    )
    grey += 1.6 * _weave(shape)
    for _ in range(round(loop_px / 160)):
        _stain(grey, rng)
    for number in range(seams):
        _seam(grey, round(loop_px * (number + 0.5) / seams), rng)
    return np.asarray(np.rint(np.clip(grey, 20, 120)), dtype=np.uint8)


def _periodic(rng: Generator, shape: tuple[int, int], along_px: float, across_px: float) -> Field:
    """Noise of spread 1 that closes on itself along the belt."""
    coarse = max(1, int(min(along_px, across_px) // 3))
    small = rng.standard_normal((-(-shape[0] // coarse), -(-shape[1] // coarse)))
    pad = min(small.shape[1], 4 * math.ceil(along_px / coarse))
    wrapped = np.concatenate([small[:, -pad:], small, small[:, :pad]], axis=1)
    smooth = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=along_px / coarse, sigmaY=across_px / coarse)[:, pad:-pad]
    large = cv2.resize(smooth, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR) if coarse > 1 else smooth
    return np.asarray(large / max(float(large.std()), 1e-9))


def _weave(shape: tuple[int, int]) -> Field:
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    turns = round(shape[1] / 7) / shape[1]
    return np.asarray(
        np.sin(2 * math.pi * (columns * turns + rows / 7)) * np.sin(2 * math.pi * (columns * turns - rows / 7))
    )


def _stain(grey: Field, rng: Generator) -> None:
    """A worn or greasy patch; it rides on the belt and is no part."""
    height, length = grey.shape
    x, y = float(rng.uniform(0, length)), float(rng.uniform(0, height))
    long, wide = float(rng.uniform(4, 40)), float(rng.uniform(2, 14))
    depth = float(rng.uniform(-9, 5))
    reach = math.ceil(3 * long)
    columns = np.arange(math.floor(x) - reach, math.ceil(x) + reach + 1)
    square = ((columns - x) / long)[None, :] ** 2 + ((np.arange(height) - y) / wide)[:, None] ** 2
    grey[:, columns % length] += depth * np.exp(-square / 2)


def _seam(grey: Field, at_px: int, rng: Generator) -> None:
    """Where the belt's ends are joined: a slanted dark line with a worn bright lip."""
    height, length = grey.shape
    slant = float(rng.uniform(-0.12, 0.12))
    for row in range(height):
        column = round(at_px + slant * row)
        for offset, change in enumerate((5, 11, -24, -30, -22, 8, 4)):
            grey[row, (column + offset) % length] += change


class Lighting:
    """One lamp that stands askew, drifts slowly and, if asked, flickers and jumps."""

    def __init__(self, width_px: int, height_px: int, amount: float, flicker: float, jumps: float, seed: int) -> None:
        rng = Generator(PCG64([seed, 0x11647]))
        across = np.linspace(-1, 1, height_px)[:, None] * float(rng.uniform(-1, 1))
        along = np.linspace(-1, 1, width_px)[None, :] * float(rng.uniform(-1, 1))
        tilt = (across + along) / 2
        self._even = np.rint(256 * (1 - amount * (0.5 + 0.5 * tilt))).astype(np.uint16)
        self._amount, self._flicker, self._jumps = amount, flicker, jumps
        self._start = float(rng.uniform(0, 2 * math.pi))

    def level(self, at_s: float) -> int:
        """Brightness of the lamp at a time, 255 at most so that 16 bits hold it times the tilt."""
        slow = self._amount * (0.5 - 0.5 * math.sin(0.8 * at_s + self._start))
        fast = self._flicker * (0.5 - 0.5 * math.sin(2 * math.pi * 1.7 * at_s + self._start))
        jump = self._jumps if int(at_s / 4.0) % 2 else 0.0
        return round(255 * (1 - slow) * (1 - fast) * (1 - jump))

    def shine(self, picture: Gray, at_s: float) -> NDArray[np.uint16]:
        """The picture under this light, in grey levels."""
        gain = self._even * np.uint16(self.level(at_s))
        gain >>= 8
        gain *= picture
        gain >>= 8
        return gain


class Noise:
    """What the sensor adds: one drawn field, seen through a different window each time."""

    SLACK = 96

    def __init__(self, width_px: int, height_px: int, spread: float, seed: int) -> None:
        self._width, self._height, self._silent = width_px, height_px, spread == 0
        rng = Generator(PCG64([seed, 0x2015E]))
        shape = (1, 1) if self._silent else (height_px + self.SLACK, width_px + self.SLACK)
        self._field = np.rint(spread * rng.standard_normal(shape)).astype(np.int16)

    def over(self, lit: NDArray[np.uint16], chance: int) -> Gray:
        """Add noise; `chance` picks the window."""
        if self._silent:
            return lit.astype(np.uint8)
        top, left = chance % self.SLACK, chance // self.SLACK % self.SLACK
        signed = lit.view(np.int16)
        signed += self._field[top : top + self._height, left : left + self._width]
        np.clip(signed, 0, 255, out=signed)
        return signed.astype(np.uint8)
