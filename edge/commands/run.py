"""`linegate run`: the daemon."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(subparsers: Any) -> None:
    """Offer the command."""
    parser = subparsers.add_parser("run", help="inspect the line until stopped")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="default: config.yaml")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM, the end of the input, or a failure."""
    import logging

    from edge.app import Daemon
    from edge.config import load
    from edge.notify import Notifier

    config = load(args.config)
    if not args.debug:
        logging.getLogger().setLevel(config.log.level.upper())
    daemon = Daemon(config, args.config.resolve().parent)
    return daemon.run(Notifier())
