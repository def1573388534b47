"""Which configuration a command means when it was given none."""

from __future__ import annotations

from pathlib import Path

import edge
from edge.config import Config, load


def find_config(given: Path | None) -> tuple[Config, Path]:
    """The configuration and the folder that its relative paths count from.

    `given`, or `config.yaml` here, or the one beside the installed package (a checkout), or all defaults.
    """
    beside = Path(edge.__file__).resolve().parent.parent / "config.yaml"
    for path in (given,) if given is not None else (Path("config.yaml"), beside):
        if path == given or path.is_file():
            return load(path), path.resolve().parent
    return Config(), Path.cwd()
