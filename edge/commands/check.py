"""`linegate check`: every mistake in the configuration at once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(subparsers: Any) -> None:
    """Offer the command."""
    parser = subparsers.add_parser("check", help="name every mistake in the configuration")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="default: config.yaml")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 when the file holds no mistake; otherwise the mistakes are raised together."""
    from edge.config import keys, load

    load(args.config)
    print(f"{args.config}: no mistakes ({sum(1 for _ in keys())} keys known)")
    return 0
