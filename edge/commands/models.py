"""`linegate models`: the shelf of models."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.bundle import Shelf
    from edge.config import Model


def add(subparsers: Any) -> None:
    """Offer the commands."""
    parser = subparsers.add_parser("models", help="list, verify, flash and roll back models")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="default: config.yaml")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="what stands on the shelf, and what is live").set_defaults(run=_list)
    verify = actions.add_parser("verify", help="check files and golden answers of a bundle; nothing changes")
    verify.add_argument("bundle", type=Path, nargs="?", help="default: the live one")
    verify.set_defaults(run=_verify)
    flash = actions.add_parser("flash", help="verify a bundle, put it on the shelf and make it live")
    flash.add_argument("bundle", type=Path)
    flash.set_defaults(run=_flash)
    actions.add_parser("rollback", help="make the previous model live again").set_defaults(run=_rollback)


def _shelf(args: argparse.Namespace) -> tuple[Shelf, Model]:
    from edge.bundle import Shelf
    from edge.config import load

    config = load(args.config)
    return Shelf(args.config.resolve().parent / config.model.shelf), config.model


def _list(args: argparse.Namespace) -> int:
    from edge.bundle import Bundle, BundleError

    shelf, _ = _shelf(args)
    live, previous = shelf.linked("current"), shelf.linked("previous")
    if not shelf.slots():
        print(f"{shelf.root}: the shelf is empty; flash a model: linegate models flash BUNDLE")
    for slot in shelf.slots():
        mark = "live" if slot.resolve() == live else "previous" if slot.resolve() == previous else ""
        try:
            manifest = Bundle.open(slot).manifest
            print(f"{mark:9}{slot.name:28}{manifest.version:16}{', '.join(manifest.labels)}")
        except BundleError as error:
            print(f"{mark:9}{slot.name:28}damaged: {error}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from edge.classify.trial import try_in_child

    shelf, config = _shelf(args)
    folder = args.bundle or shelf.current().folder
    print(try_in_child(folder.resolve(), config.runtime, config.threads))
    return 0


def _flash(args: argparse.Namespace) -> int:
    from edge.bundle import Bundle
    from edge.classify.trial import try_in_child

    shelf, config = _shelf(args)
    bundle = Bundle.open(args.bundle)
    print(try_in_child(bundle.folder, config.runtime, config.threads))
    shelf.make_live(shelf.place(bundle))
    print(f"{bundle.slot}: live from the next start of the daemon (sudo systemctl restart linegate)")
    return 0


def _rollback(args: argparse.Namespace) -> int:
    shelf, _ = _shelf(args)
    bundle = shelf.rollback()
    print(f"{bundle.slot}: live from the next start of the daemon (sudo systemctl restart linegate)")
    return 0
