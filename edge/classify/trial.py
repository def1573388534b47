"""A stranger's model is first loaded in a process of its own: a runtime may crash on a bad file, the line may not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from edge.bundle import Bundle, BundleError
from edge.classify.golden import check_golden
from edge.classify.tflite import TfliteClassifier

DEADLINE_S = 60.0
REFUSED = 3


def try_in_child(folder: Path, runtime: str = "auto", threads: int = 1) -> str:
    """Verify a bundle, load it and ask its golden pictures, all in a child; one line on how it went.

    Raises `BundleError` also when the child crashes or never ends.
    """
    command = [sys.executable, "-m", "edge.classify.trial", str(folder), runtime, str(threads)]
    root = Path(__file__).resolve().parents[2]
    try:
        ran = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except subprocess.TimeoutExpired:
        raise BundleError(f"{folder}: did not answer within {DEADLINE_S:.0f} s; convert the model again") from None
    if ran.returncode == 0:
        return ran.stdout.strip()
    if ran.returncode == REFUSED:
        raise BundleError(ran.stdout.strip())
    how = signal.Signals(-ran.returncode).name if ran.returncode < 0 else f"exit code {ran.returncode}"
    raise BundleError(f"{folder}: the runtime crashes on this model ({how}); convert it again")


def main(folder: str, runtime: str, threads: str) -> int:
    """What the child does."""
    try:
        bundle = Bundle.open(Path(folder))
        classifier = TfliteClassifier(bundle, runtime, int(threads))
        off = check_golden(classifier, bundle)
    except BundleError as error:
        print(error)
        return REFUSED
    count = len(bundle.manifest.golden)
    print(f"{bundle.slot}: {count} golden answers right on {classifier.backend} (at most {off} steps off)")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
