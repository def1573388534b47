"""Ours beside what others would use: true, counted, missed, twice, invented, and CPU per frame, on the same belts.

    make bench                                           simulated belts, and the real clips that are there
    .venv-bench/bin/python -m benchmarks.compare --write the same; table and plots go into docs/

Runs in an environment of its own (benchmarks/requirements.txt). One process, one thread; rendering and decoding are
done before. Every number of a belt comes from the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from benchmarks import belts
from benchmarks.belts import Belt
from benchmarks.peers import RIVALS, Ours, Peer, Picked
from edge.assembly import build_line, open_bundle
from edge.bundle import Bundle
from edge.classify import TfliteClassifier
from edge.config import Config

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
OURS = "Linegate"
RATES = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0)
WIDTHS_PX = (320, 640, 960, 1280, 1920)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to count on one belt."""

    belt: str
    way: str
    real: bool
    true: int
    counted: int
    missed: int
    duplicates: int
    phantom: int
    ms: float
    """CPU per frame, mean."""
    ms_median: float


def main() -> None:
    """Measure; print the table; write table and plots into the documentation when asked."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=20.0, help="of each simulated belt (default 20)")
    options.add_argument("--seed", type=int, default=101)
    options.add_argument("--scenarios", nargs="*", default=[], help="only these")
    options.add_argument("--data", type=Path, help="folder with clips and ground_truth.csv; default: LINEGATE_DATA")
    options.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md, and the plots")
    options.add_argument("--out", type=Path, help="write all numbers there as JSON")
    options.add_argument("--skip-curves", action="store_true", help="leave out cost against rate and resolution")
    given = options.parse_args()
    cv2.setNumThreads(1)
    bundle = open_bundle(Config().model, ROOT)
    rows = [row for belt in _belts(given) for row in measured(belt, bundle)]
    curves = {} if given.skip_curves else _curves(bundle, given.seconds / 2)
    print(table(rows))
    if given.out:
        given.out.write_text(json.dumps({"rows": [asdict(row) for row in rows], "curves": curves}, indent=1))
    if given.write:
        from benchmarks.plots import draw

        _into_page(table(rows))
        if curves:
            draw(curves, ROOT / "docs" / "pictures" / "benchmarks.png")


def _belts(given: argparse.Namespace) -> Iterator[Belt]:
    clips = given.data or Path(os.environ.get("LINEGATE_DATA", ROOT.parent / "shared" / "data")) / "clips"
    if (clips / "ground_truth.csv").is_file():
        yield from belts.real(clips)
    else:
        print(f"no real clips at {clips} (set LINEGATE_DATA)")
    yield from belts.scenarios(given.seed, given.seconds, given.scenarios)


def measured(belt: Belt, bundle: Bundle, ways: Iterable[str] = ()) -> Iterator[Row]:
    """Every way to count, on one belt."""
    wanted = set(ways) or {OURS, *(rival.name for rival in RIVALS if belt.real or not rival.slow)}
    if OURS in wanted:
        yield _row(belt, OURS, Ours(build_line(Config(tracking=belt.tracking), bundle)))
    for rival in RIVALS:
        if rival.name in wanted:
            yield _row(belt, rival.name, rival.open(belt, TfliteClassifier(bundle)))


def _row(belt: Belt, way: str, peer: Peer) -> Row:
    crossed: list[float] = []
    spent_s: list[float] = []
    for frame in belt.frames:
        if isinstance(peer, Picked):
            peer.mark(frame)
        began = time.process_time()
        crossed += peer.take(frame)
        spent_s.append(time.process_time() - began)
    found = belt.compare(crossed)
    row = Row(
        belt=belt.name,
        way=way,
        real=belt.real,
        true=found.parts,
        counted=len(crossed),
        missed=found.missed,
        duplicates=found.duplicates,
        phantom=found.phantom,
        ms=1000 * statistics.mean(spent_s),
        ms_median=1000 * statistics.median(spent_s),
    )
    print(f"{row.belt:20} {row.way:46} {row.counted:4d}/{row.true:<4d} {row.ms:7.2f} ms", flush=True)
    return row


def _curves(bundle: Bundle, seconds: float) -> dict[str, Any]:
    """CPU per frame against the number of parts, and against the size of the picture."""
    ways = [OURS, *(rival.name for rival in RIVALS if not rival.slow)]
    rates = [(rate, belts.crowded(rate, seconds)) for rate in RATES]
    by_rate = [(rate, belts.in_view(belt), list(measured(belt, bundle, ways))) for rate, belt in rates]
    by_width = [(width, list(measured(belts.sized(width, seconds), bundle, ways))) for width in WIDTHS_PX]
    return {
        "rate": [{"parts_per_s": rate, "in_view": view, **_costs(rows)} for rate, view, rows in by_rate],
        "width": [{"width_px": width, **_costs(rows)} for width, rows in by_width],
    }


def _costs(rows: list[Row]) -> dict[str, Any]:
    return {"ms": {row.way: row.ms for row in rows}, "missed": {row.way: row.missed for row in rows}}


def table(rows: list[Row]) -> str:
    """Markdown: every way on every belt, and the sums over the simulated ones."""
    ways = list(dict.fromkeys(row.way for row in rows))
    lines = ["| belt | true | " + " | ".join(ways) + " |", "|---|---|" + "---|" * len(ways)]
    for belt in dict.fromkeys(row.belt for row in rows):
        here = {row.way: row for row in rows if row.belt == belt}
        first = next(iter(here.values()))
        lines.append(f"| {belt} | {first.true} | " + " | ".join(_cell(here.get(way)) for way in ways) + " |")
    for title, real in (("all real", True), ("all simulated", False)):
        chosen = [row for row in rows if row.real is real]
        if chosen:
            sums = {row.way: _summed(title, [each for each in chosen if each.way == row.way]) for row in chosen}
            cells = " | ".join(f"**{_cell(sums.get(way))}**" for way in ways)
            lines.append(f"| **{title}** | {sums[ways[0]].true} | {cells} |")
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    wrong = (
        f"−{row.missed} +{row.duplicates + row.phantom}"
        if row.real
        else (f"−{row.missed} 2×{row.duplicates} ?{row.phantom}")
    )
    return f"{row.counted} ({wrong}) {row.ms:.1f} ms"


def _summed(name: str, rows: list[Row]) -> Row:
    return Row(
        belt=name,
        way=rows[0].way,
        real=rows[0].real,
        true=sum(row.true for row in rows),
        counted=sum(row.counted for row in rows),
        missed=sum(row.missed for row in rows),
        duplicates=sum(row.duplicates for row in rows),
        phantom=sum(row.phantom for row in rows),
        ms=statistics.mean(row.ms for row in rows),
        ms_median=statistics.median(row.ms_median for row in rows),
    )


def _into_page(text: str) -> None:
    """Replace what stands between the markers of the page."""
    begin, end = "<!-- peers: begin -->", "<!-- peers: end -->"
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(begin)
    _, _, tail = rest.partition(end)
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
