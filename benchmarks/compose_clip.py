"""A conveyor clip of real photographs of parts that a training never saw, with exact truth, to replay.

    python benchmarks/compose_clip.py --run out/casting --data ../shared/data/casting --out out/belt
    linegate replay out/belt/clip.avi --model out/casting/BUNDLE --truth out/belt/truth.json --out out/judged

Made for photographs of one round part seen from above with a dark ring inside, such as the casting set: the ring's
ellipse tells where the part ends. One photograph per part of the test split, turned at random.
The clip holds crops of the photographs, so their licence holds for it too: it stays out of the project.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import truth
from edge.sources.simulation.belt import Lighting, Noise, Rubber
from edge.sources.simulation.sprite import Sprite, lay

WIDTH_PX, HEIGHT_PX, FPS = 800, 400, 30
SPEED_PX_S, PITCH_PX = 240.0, 330.0
OUTSIDE_PER_RING = 1.72
"""The part's outer edge, as a multiple of its dark ring."""
FEATHER_PX = 3.0
GATE = 0.5

Gray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """One picture of one part."""

    path: Path
    label: str
    group: str


def main() -> int:
    """Write `clip.avi` and `truth.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the training, with split.csv")
    parser.add_argument("--data", type=Path, required=True, help="folder that it was trained from")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--good", default="ok_front", help="label of the good parts (default ok_front)")
    parser.add_argument("--per-part", type=int, default=1, help="photographs of each part (default 1)")
    parser.add_argument("--brighter", type=int, default=0, help="make the belt so many grey levels lighter (default 0)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    unseen = _unseen(args.run / "split.csv", args.data, args.per_part)
    if not unseen:
        print(f"{args.run / 'split.csv'}: names no test part; hold some back", file=sys.stderr)
        return 1
    order = np.random.default_rng(args.seed).permutation(len(unseen))
    args.out.mkdir(parents=True, exist_ok=True)
    _write([unseen[each] for each in order], args.out, args.good, args.brighter, args.seed)
    return 0


def _unseen(split: Path, data: Path, per_part: int) -> list[Photograph]:
    """Photographs of the test split's parts, none of which has a picture in another split."""
    with split.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seen = {row["group"] for row in rows if row["split"] != "test"}
    found: dict[str, list[Photograph]] = {}
    for row in rows:
        if row["split"] == "test":
            assert row["group"] not in seen, f"{row['group']} is in two splits"
            photograph = Photograph(path=data / row["file"], label=row["label"], group=row["group"])
            found.setdefault(row["group"], []).append(photograph)
    return [each for group in sorted(found) for each in found[group][:per_part]]


def _write(photographs: Sequence[Photograph], out: Path, good: str, brighter: int, seed: int) -> None:
    rng = np.random.default_rng([seed, 2])
    sprites = [_sprite(each, rng) for each in photographs]
    across = [HEIGHT_PX / 2 + float(rng.uniform(-25, 25)) for _ in photographs]
    starts = [PITCH_PX * (place + 1) for place in range(len(photographs))]
    rubber = Rubber(WIDTH_PX, HEIGHT_PX, 0, seed)
    light = Lighting(WIDTH_PX, HEIGHT_PX, 0.06, 0.0, 0.0, seed)
    noise = Noise(WIDTH_PX, HEIGHT_PX, 2.5, seed)
    frames = int((starts[-1] + WIDTH_PX + PITCH_PX) / SPEED_PX_S * FPS)
    clip = cv2.VideoWriter(
        str(out / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (WIDTH_PX, HEIGHT_PX), isColor=False
    )
    clip.set(cv2.VIDEOWRITER_PROP_QUALITY, 95)
    for index in range(frames):
        at_s = index / FPS
        travel = at_s * SPEED_PX_S
        scene = np.asarray(cv2.add(rubber.seen(travel, (0.0, 0.0)), brighter), dtype=np.uint8)
        for sprite, start, y in zip(sprites, starts, across, strict=True):
            if -200 < travel - start < WIDTH_PX + 200:
                lay(sprite, scene, travel - start, y)
        clip.write(noise.over(light.shine(scene, at_s), int(rng.integers(1 << 62))))
    clip.release()
    parts = tuple(
        truth.TruePart(
            number=place + 1,
            label=each.label,
            good=each.label == good,
            crossed_at_s=round((start + GATE * WIDTH_PX) / SPEED_PX_S, 6),
            across_px=round(y, 2),
            speed_px_s=SPEED_PX_S,
        )
        for place, (each, start, y) in enumerate(zip(photographs, starts, across, strict=True))
    )
    about = {"made_by": "benchmarks/compose_clip.py", "frames": frames, "groups": [each.group for each in photographs]}
    truth.write(out / "truth.json", truth.Truth(count=len(parts), parts=parts, gate=GATE), about)
    print(json.dumps({"frames": frames, "parts": len(parts), "good": sum(each.good for each in parts)}))


def _sprite(photograph: Photograph, rng: np.random.Generator) -> Sprite:
    """The part cut out along its edge, turned by a random angle."""
    gray = cv2.imread(str(photograph.path), cv2.IMREAD_GRAYSCALE)
    if gray is None:
        raise SystemExit(f"{photograph.path}: is no readable picture")
    (center_x, center_y), axes, angle = _edge(np.asarray(gray, dtype=np.uint8))
    mask = np.zeros(gray.shape, dtype=np.float32)
    cv2.ellipse(mask, ((center_x, center_y), axes, angle), 1.0, cv2.FILLED)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), FEATHER_PX), dtype=np.float32)
    side = 2 * (int(max(axes) / 2) + 12)
    turn = cv2.getRotationMatrix2D((center_x, center_y), float(rng.uniform(0, 360)), 1.0)
    turn[:, 2] += side / 2 - center_x, side / 2 - center_y
    cut = cv2.warpAffine(gray, turn, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    alpha = np.asarray(cv2.warpAffine(mask, turn, (side, side)), dtype=np.float64)
    reach = max(axes) / 2
    return Sprite(
        light=np.rint(cut * alpha * 16).astype(np.uint16),
        through=np.rint((1 - alpha) * 256).astype(np.uint16),
        outline_px=(-reach, -reach, reach, reach),
    )


def _edge(gray: Gray) -> tuple[tuple[float, float], tuple[float, float], float]:
    """The ellipse of the part's outer edge, from the largest dark blob: its ring."""
    dark = cv2.morphologyEx((gray < 60).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    outlines, _ = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    middle = gray.shape[1] / 2, gray.shape[0] / 2
    around = [each for each in outlines if cv2.pointPolygonTest(cv2.convexHull(each), middle, False) > 0]
    hull = cv2.convexHull(max(around, key=cv2.contourArea))
    center, (width, height), angle = cv2.fitEllipse(hull)
    return center, (width * OUTSIDE_PER_RING, height * OUTSIDE_PER_RING), angle


if __name__ == "__main__":
    sys.exit(main())
