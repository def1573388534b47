"""A run and the folder it lives in: what each step finds there and what it leaves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer import dataset, recipe
from trainer.dataset import Dataset
from trainer.errors import Refused
from trainer.limits import Limits
from trainer.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One recipe on one folder of data, with everything that came of it below `out`."""

    out: Path
    data: Path
    recipe: Recipe

    @classmethod
    def begin(cls, out: Path, data: Path, wanted: Recipe) -> Run:
        """Start a run in `out`, which is made when there is none.

        When `out` holds a run of the same recipe on the same files, its finished steps stay finished.
        """
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(f"{out}: cannot be made a folder ({error.strerror}); give another --out") from None
        run = cls(out=out, data=data, recipe=wanted)
        text = recipe.dump(wanted)
        started = {"data": str(data.resolve()), "made_from": _made_from(text, data)}
        try:
            same = json.loads((out / "run.json").read_text(encoding="utf-8")) == started
        except (OSError, ValueError):
            same = False
        if not same:
            (out / "done.json").unlink(missing_ok=True)
            (out / "settled.yaml").unlink(missing_ok=True)
            shutil.rmtree(out / "checkpoints", ignore_errors=True)
        write(out / "recipe.yaml", text)
        write_json(out / "run.json", started)
        return run

    @classmethod
    def open(cls, out: Path) -> Run:
        """Go on with a run that was begun in `out`; raises `Refused`."""
        started = read_json(out / "run.json")
        return cls(out=out, data=Path(started["data"]), recipe=recipe.load(out / "recipe.yaml")).settled()

    def settled(self) -> Run:
        """The same run with a recipe in which nothing is left open: with what was measured on the data filled in."""
        path = self.out / "settled.yaml"
        return replace(self, recipe=recipe.load(path)) if path.is_file() else self

    def asked(self) -> Recipe:
        """The recipe as it was given."""
        return recipe.load(self.out / "recipe.yaml")

    def settle(self, wanted: Recipe) -> Run:
        """Keep a recipe in which nothing is left open."""
        write(self.out / "settled.yaml", recipe.dump(wanted))
        return self.settled()

    def done(self) -> dict[str, float]:
        """Seconds that each finished step took, in the order in which they were finished."""
        try:
            return dict(json.loads((self.out / "done.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def once(self, step: str, work: Callable[[], None]) -> None:
        """Do a step unless this run has finished it before; what a killed run had done is not done again."""
        if step in self.done():
            print(f"{step}: already done", file=sys.stderr)
            return
        began = time.perf_counter()
        work()
        write_json(self.out / "done.json", {**self.done(), step: round(time.perf_counter() - began, 1)})

    def again(self, step: str) -> None:
        """Forget that a step was finished, and everything after it."""
        done = self.done()
        if step in done:
            names = list(done)
            write_json(self.out / "done.json", {name: done[name] for name in names[: names.index(step)]})

    def part(self, kind: str) -> Part:
        """`grouped`: the run itself; `official`: the same on the data's own division, in a folder below."""
        return Part(kind=kind, folder=self.out if kind == "grouped" else self.out / kind, data=self.data)

    def parts(self) -> list[Part]:
        """Those that have been divided."""
        return [part for part in map(self.part, ("grouped", "official")) if part.split.is_file()]

    def divisions(self) -> list[Part]:
        """The same; raises `Refused` when there are none."""
        parts = self.parts()
        if not parts:
            raise Refused(f"{self.out}: holds no split.csv; run the step `train` (or `run`) with this --out first")
        return parts

    def classes(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """All labels, and the good ones among them; raises `Refused` before the data was read."""
        facts = read_json(self.out / "data.json")
        return tuple(facts["labels"]), tuple(facts["good"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One training on one division of the data."""

    kind: str
    folder: Path
    data: Path

    @property
    def split(self) -> Path:
        """Which picture serves for what."""
        return self.folder / "split.csv"

    @property
    def network(self) -> Path:
        """The trained network, in float."""
        return self.folder / "network.h5"

    def converted(self, variant: str) -> Path:
        """The file for the device."""
        return self.folder / f"{variant}.tflite"

    @property
    def edgetpu(self) -> Path:
        """What Google's compiler made of the file that ships; missing where it is not installed."""
        return self.folder / "int8_ptq_edgetpu.tflite"

    def pictures(self) -> Dataset:
        """The manifest with its split; raises `Refused`."""
        return dataset.restore(self.split, self.data)

    def keep_outputs(self, outputs: dict[str, NDArray[np.generic]]) -> None:
        """Save the outputs of every variant on every split, keyed `variant/split`."""
        np.savez_compressed(self.folder / "outputs.npz", allow_pickle=False, **outputs)

    def outputs(self) -> dict[str, NDArray[np.generic]]:
        """What `keep_outputs` saved; raises `Refused`."""
        try:
            with np.load(self.folder / "outputs.npz") as kept:
                return dict(kept)
        except (OSError, ValueError):
            raise Refused(f"{self.folder / 'outputs.npz'}: cannot be read; run the step `measure` first") from None

    def limits(self) -> Limits:
        """The operating point; raises `Refused`."""
        return Limits(**read_json(self.folder / "limits.json"))


def say(line: str) -> None:
    """Tell the person at the terminal how far it is."""
    print(line, file=sys.stderr, flush=True)


def _made_from(recipe_text: str, data: Path) -> str:
    """A hash over the recipe and the names, sizes and times of the files: cheap, and enough to notice a change."""
    lines = [recipe_text]
    for path in sorted(data.rglob("*")):
        if path.is_file() and not any(each.startswith(".") for each in path.relative_to(data).parts):
            facts = path.stat()
            lines.append(f"{path.relative_to(data).as_posix()} {facts.st_size} {facts.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def write(path: Path, text: str) -> None:
    """Write a text file, all of it or nothing."""
    fresh = path.with_name(f".{path.name}.fresh")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file, all of it or nothing."""
    write(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run; raises `Refused`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Refused(f"{path}: cannot be read; run the earlier steps (or `run`) with this --out first") from None
