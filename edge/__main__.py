"""The command line of the line device."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
import traceback
from collections.abc import Sequence

from edge import __version__

COMMANDS = ("run", "demo", "replay", "simulate", "calibrate", "check", "doctor", "models", "bench")

DONE, FAILED, USAGE, BAD_CONFIG = 0, 1, 2, 78


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Mistakes are told in one line each, a traceback only with --debug."""
    args = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.DEBUG if args.debug else logging.INFO,
        format="%(levelname)s %(name)s: %(message)s" if args.debug else "%(levelname)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        code: int = args.run(args)
    except KeyboardInterrupt:
        return FAILED
    except Exception as error:
        logging.debug("where it came from:", exc_info=True)
        lines, code = _told(error)
        for line in lines:
            print(f"linegate: {line}", file=sys.stderr)
    return code


def _told(error: Exception) -> tuple[list[str], int]:
    """The lines for people, and the exit code.

    The rooms are imported only now, so that the command line starts without them.
    """
    from edge.bundle import BundleError
    from edge.config import ConfigError
    from edge.demo_broker import NoBroker
    from edge.domain import DelegateError, SinkDown, SourceError

    match error:
        case ConfigError():
            return error.mistakes, BAD_CONFIG
        case OSError() if error.filename is not None and error.strerror:
            return [f"{error.filename}: {error.strerror}"], FAILED
        case BundleError() | DelegateError() | SourceError() | SinkDown() | NoBroker() | OSError():
            return [" ".join(str(error).split()) or type(error).__name__], FAILED
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__}: {error} ({frame.name}, line {frame.lineno})"
    return [f"a fault of Linegate itself: {what}; please report it with what --debug prints"], FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="linegate", description="Visual inspection for production lines: every part gets exactly one verdict."
    )
    parser.add_argument("--version", action="version", version=f"linegate {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        importlib.import_module(f"edge.commands.{command}").add(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
