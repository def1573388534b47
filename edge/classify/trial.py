"""A stranger's model is first loaded in a process of its own: a runtime may crash on a bad file, the line may not."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.bundle import Bundle, BundleError
from edge.classify.child import REFUSED, ChildFailed, ChildRefused, ask_child
from edge.classify.golden import check_golden, check_latency, check_use
from edge.classify.tflite import TfliteClassifier

DEADLINE_S = 60.0
MEMORY_BYTES = 1024 * 1024 * 1024
"""What the child may allocate; a line's model takes some tens of MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a model did on this device."""

    slot: str
    backend: str
    pictures: int
    off_steps: int
    latency_ms: float

    def __str__(self) -> str:
        return (
            f"{self.slot}: {self.pictures} golden answers right on {self.backend}"
            f" (at most {self.off_steps} steps off), {self.latency_ms:.2f} ms an answer"
        )


def try_in_child(folder: Path, runtime: str = "auto", threads: int = 1, budget_ms: float = 0.0) -> Trial:
    """Verify a bundle, load it, ask its golden pictures and time it, all in a child; how it did.

    `budget_ms`: the longest that one answer may take; 0 means any. Raises `BundleError`, also when the child crashes
    or never ends.
    """
    try:
        words = str(folder), runtime, str(threads), str(budget_ms)
        return Trial(**json.loads(ask_child("edge.classify.trial", *words, deadline_s=DEADLINE_S)))
    except ChildRefused as refused:
        raise BundleError(str(refused)) from None
    except ChildFailed as failed:
        raise BundleError(
            f"{folder}: the runtime crashes or hangs on this model ({failed}); convert it again"
        ) from None


def main(folder: str, runtime: str, threads: str, budget_ms: str) -> int:
    """What the child does."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        os.nice(5)
    try:
        print(json.dumps(asdict(_tried(Path(folder), runtime, int(threads), float(budget_ms)))))
    except BundleError as error:
        print(error)
        return REFUSED
    except MemoryError:
        print(f"{folder}: needs more than {MEMORY_BYTES >> 20} MiB of memory; a line's model never does")
        return REFUSED
    return 0


def _tried(folder: Path, runtime: str, threads: int, budget_ms: float) -> Trial:
    bundle = Bundle.open(folder)
    check_use(bundle)
    classifier = TfliteClassifier(bundle, runtime, threads)
    off = check_golden(classifier, bundle)
    took_ms = check_latency(classifier, bundle, budget_ms)
    return Trial(
        slot=bundle.slot,
        backend=classifier.backend,
        pictures=len(bundle.manifest.golden),
        off_steps=off,
        latency_ms=round(took_ms, 3),
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
