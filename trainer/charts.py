"""Small charts as inline SVG, drawn for one page: thin lines, one accent, every figure also readable as text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

GOOD, BAD, INK, QUIET, LINE, ACCENT = "#2e7d4f", "#c0392b", "#1d2530", "#6b7683", "#d9dfe6", "#2f5d9b"
COLORS = (ACCENT, "#b7791f", "#6b4fa0", "#2a8a8a", "#8a4f6b", "#5f6b2a")

Point = tuple[float, float]


def lines(
    series: Sequence[tuple[str, Sequence[Sequence[float]]]],
    *,
    labels: tuple[str, str],
    diagonal: bool = False,
    dots: bool = False,
    size: tuple[int, int] = (300, 245),
) -> str:
    """Curves over the unit square: each series is its name and its `(x, y)` points."""
    width, height = size
    place = _Square(width, height)
    body = [place.frame(*labels)]
    if diagonal:
        (x0, y0), (x1, y1) = place.at(0, 0), place.at(1, 1)
        body.append(f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{LINE}"/>')
    for number, (name, points) in enumerate(series):
        color = COLORS[number % len(COLORS)]
        spots = [place.at(float(x), float(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        body.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.8"/>')
        if dots:
            body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.8" fill="{color}"/>' for x, y in spots]
        if len(series) > 1:
            top = 24 + 15 * number
            body.append(f'<text x="{width - 18}" y="{top}" text-anchor="end" fill="{color}">{escape(name)}</text>')
    return _svg(width, height, body)


def bars(
    rows: Sequence[tuple[str, float, str]], *, unit: str = "", width: int = 560, color: str = ACCENT, most: float = 0.0
) -> str:
    """Horizontal bars: name, value and what is written behind it; `most` fixes the length of a whole one."""
    longest = most or max((abs(value) for _, value, _ in rows), default=1.0) or 1.0
    left, body = 130, []
    for number, (name, value, text) in enumerate(rows):
        top, long = 6 + 24 * number, (width - left - 165) * min(1.0, abs(value) / longest)
        body.append(
            f'<text x="{left - 8}" y="{top + 12}" text-anchor="end" fill="{INK}">{escape(_short(name, 20))}</text>'
        )
        body.append(f'<rect x="{left}" y="{top}" width="{max(long, 1):.1f}" height="15" rx="2" fill="{color}"/>')
        body.append(
            f'<text x="{left + long + 7:.1f}" y="{top + 12}" fill="{QUIET}">{escape(text)} {escape(unit)}</text>'
        )
    return _svg(width, 12 + 24 * len(rows), body)


def spread(groups: Sequence[tuple[str, NDArray[np.float64], bool]], *, unit: str, width: int = 320) -> str:
    """Histograms of one quantity, a row for each group: name, values, and whether it is a good class."""
    every = np.concatenate([values for _, values, _ in groups])
    low, high = float(every.min()), float(every.max())
    high = high if high > low else low + 1
    left, right, tall, body = 12, width - 12, 46, []
    for number, (name, values, good) in enumerate(groups):
        counts, _ = np.histogram(values, 36, (low, high))
        base, color = 20 + (number + 1) * (tall + 16), GOOD if good else BAD
        step = (right - left) / len(counts)
        points = [f"{left:.1f},{base}"]
        for place, count in enumerate(counts):
            y = base - tall * count / max(1, counts.max())
            points += [f"{left + place * step:.1f},{y:.1f}", f"{left + (place + 1) * step:.1f},{y:.1f}"]
        points.append(f"{right:.1f},{base}")
        body.append(f'<polygon points="{" ".join(points)}" fill="{color}" fill-opacity=".28" stroke="{color}"/>')
        body.append(f'<text x="{left}" y="{base - tall - 3}" fill="{color}">{escape(_short(name, 26))}</text>')
        middle = left + (right - left) * (float(np.median(values)) - low) / (high - low)
        body.append(f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{base - tall}" y2="{base}" stroke="{color}"/>')
    bottom = 20 + len(groups) * (tall + 16) + 15
    body.append(f'<text x="{left}" y="{bottom}" fill="{QUIET}">{_plain(low)}</text>')
    body.append(f'<text x="{right}" y="{bottom}" text-anchor="end" fill="{QUIET}">{_plain(high)} {escape(unit)}</text>')
    return _svg(width, bottom + 6, body)


def picture(image: NDArray[np.uint8], *, width: int = 0, text: str = "") -> str:
    """A gray or BGR image inside the page, with words under it; `width` in CSS pixels, 0 for its own."""
    import base64

    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    shown = base64.b64encode(data.tobytes()).decode() if done else ""
    size = f' width="{width}"' if width else ""
    words = f"<figcaption>{escape(text)}</figcaption>" if text else ""
    return f'<figure><img{size} alt="{escape(text)}" src="data:image/png;base64,{shown}">{words}</figure>'


def sheet(images: Sequence[NDArray[np.uint8]], side_px: int, columns: int) -> NDArray[np.uint8]:
    """Pictures of any size as a grid of squares, BGR, with a thin white gap."""
    tiles = [_tile(each, side_px) for each in images]
    blank = np.full((side_px, side_px, 3), 255, np.uint8)
    tiles += [blank] * (-len(tiles) % columns)
    gap = np.full((side_px, 3, 3), 255, np.uint8)
    rows = []
    for start in range(0, len(tiles), columns):
        row = [piece for tile in tiles[start : start + columns] for piece in (tile, gap)][:-1]
        rows += [np.hstack(row), np.full((3, side_px * columns + 3 * (columns - 1), 3), 255, np.uint8)]
    return np.vstack(rows[:-1]) if rows else blank


def _tile(image: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    flat = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
    color = cv2.cvtColor(flat, cv2.COLOR_GRAY2BGR) if flat.ndim == 2 else flat
    factor = side_px / max(color.shape[:2])
    size = (max(1, round(color.shape[1] * factor)), max(1, round(color.shape[0] * factor)))
    small = cv2.resize(color, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST)
    tile = np.full((side_px, side_px, 3), 246, np.uint8)
    top, left = (side_px - small.shape[0]) // 2, (side_px - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile


class _Square:
    """The unit square inside a chart, with room for its words."""

    def __init__(self, width: int, height: int) -> None:
        self._left, self._top, self._right, self._bottom = 40, 10, width - 12, height - 34

    def at(self, x: float, y: float) -> Point:
        """Where a value lies on the chart."""
        across, up = min(1.0, max(0.0, x)), min(1.0, max(0.0, y))
        return self._left + across * (self._right - self._left), self._bottom - up * (self._bottom - self._top)

    def frame(self, below: str, beside: str) -> str:
        """Grid, ticks and the names of the axes."""
        parts = []
        for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
            (x, y) = self.at(tick, tick)
            parts.append(f'<line x1="{self._left}" x2="{self._right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{LINE}"/>')
            if tick in (0.0, 0.5, 1.0):
                name = f"{tick:g}"
                parts.append(
                    f'<text x="{self._left - 5}" y="{y + 4:.1f}" text-anchor="end" fill="{QUIET}">{name}</text>'
                )
                parts.append(
                    f'<text x="{x:.1f}" y="{self._bottom + 14}" text-anchor="middle" fill="{QUIET}">{name}</text>'
                )
        middle_x, middle_y = (self._left + self._right) / 2, (self._top + self._bottom) / 2
        parts.append(
            f'<text x="{middle_x}" y="{self._bottom + 29}" text-anchor="middle" fill="{INK}">{escape(below)}</text>'
        )
        turned = f'transform="rotate(-90 11 {middle_y})"'
        parts.append(f'<text x="11" y="{middle_y}" text-anchor="middle" fill="{INK}" {turned}>{escape(beside)}</text>')
        return "".join(parts)


def _plain(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _svg(width: int, height: int, body: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" font-size="11.5">'
        f"{''.join(body)}</svg>"
    )
