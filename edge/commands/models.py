"""`linegate models`: the shelf of models."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.changeover import Flasher
    from edge.config import Config


def add(subparsers: Any) -> None:
    """Offer the commands."""
    parser = subparsers.add_parser("models", help="list, verify, sign, flash, shadow and roll back models")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="default: config.yaml")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="what stands on the shelf, what is live, what it claims and did").set_defaults(
        run=_list
    )
    verify = actions.add_parser("verify", help="hold a bundle against this line and device; nothing changes")
    verify.add_argument("bundle", nargs="?", help="as for flash; default: the live one")
    verify.set_defaults(run=_verify)
    flash = actions.add_parser("flash", help="check a bundle, put it on the shelf and make it live")
    flash.add_argument("bundle", help="a folder, a .zip or .tar, a USB stick's folder, or an http(s) address")
    flash.add_argument("--allow-downgrade", action="store_true", help="take an older version as well")
    flash.set_defaults(run=_flash)
    actions.add_parser("rollback", help="make the previous model live again").set_defaults(run=_rollback)
    _add_shadow(actions)
    _add_keys(actions)


def _add_shadow(actions: Any) -> None:
    shadow = actions.add_parser("shadow", help="let a candidate judge beside the live model; `off` ends it")
    shadow.add_argument("bundle", help="as for flash, or off")
    shadow.set_defaults(run=_shadow)
    compare = actions.add_parser("compare", help="how a shadowing model's decisions differ from the live one's")
    compare.add_argument("--out", type=Path, metavar="FILE", help="write the report, with pictures, as one HTML file")
    compare.set_defaults(run=_compare)
    actions.add_parser("promote", help="make the shadowing model live").set_defaults(run=_promote)


def _add_keys(actions: Any) -> None:
    keygen = actions.add_parser("keygen", help="make a pair of keys: NAME.key to sign with, NAME.pub to trust")
    keygen.add_argument("name")
    keygen.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="default: here")
    keygen.add_argument("--expires", default="", metavar="DAY", help="its last day, such as 2027-12-31; default: none")
    keygen.set_defaults(run=_keygen)
    sign = actions.add_parser("sign", help="vouch for a bundle with a secret key")
    sign.add_argument("bundle", type=Path)
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="the secret key, NAME.key")
    sign.set_defaults(run=_sign)
    revoke = actions.add_parser("revoke", help="trust a key no longer")
    revoke.add_argument("name")
    revoke.set_defaults(run=_revoke)


def _opened(args: argparse.Namespace) -> tuple[Flasher, Config]:
    from edge.changeover import Flasher
    from edge.config import load

    config = load(args.config)
    return Flasher(config, args.config.resolve().parent, say=print), config


def _list(args: argparse.Namespace) -> int:
    from edge.changeover.overview import overview

    flasher, _ = _opened(args)
    for line in overview(flasher.shelf, flasher.trust, flasher.history):
        print(line)
    return 0


def _verify(args: argparse.Namespace) -> int:
    from edge.changeover.fetch import fetched

    flasher, _ = _opened(args)
    with fetched(args.bundle or str(flasher.shelf.current().folder), flasher.shelf) as folder:
        flasher.examine(folder.resolve())
    return 0


def _flash(args: argparse.Namespace) -> int:
    flasher, _ = _opened(args)
    return _told(flasher, lambda: flasher.flash(args.bundle, allow_downgrade=args.allow_downgrade, by="command line"))


def _rollback(args: argparse.Namespace) -> int:
    flasher, _ = _opened(args)
    return _told(flasher, lambda: flasher.rollback(by="command line"))


def _shadow(args: argparse.Namespace) -> int:
    flasher, _ = _opened(args)
    if args.bundle == "off":
        flasher.unshadow()
        print("no model shadows the live one")
        return 0
    bundle = flasher.shadow(args.bundle)
    print(f"{bundle.slot}: judges beside the live model; see how: linegate models compare")
    return 0


def _compare(args: argparse.Namespace) -> int:
    from edge.changeover.compare import comparisons
    from edge.config import load

    newest = comparisons(args.config.resolve().parent / load(args.config).model.shadow_folder)[-1]
    for line in newest.lines():
        print(line)
    if args.out is not None:
        args.out.write_text(newest.page(), encoding="utf-8")
        print(f"report: {args.out}")
    return 0


def _promote(args: argparse.Namespace) -> int:
    flasher, _ = _opened(args)
    return _told(flasher, lambda: flasher.promote())


def _told(flasher: Flasher, change: Callable[[], Bundle]) -> int:
    """Make a change and say when the new model judges: a running daemon takes it over between two parts."""
    from edge.changeover.presence import answered

    began_s, before = time.time(), flasher.shelf.linked("current")
    bundle = change()
    if bundle.folder == before:
        print(f"{bundle.slot}: was live already")
        return 0
    answer = answered(flasher.shelf, bundle.slot, began_s - 0.01)
    if answer is None:
        print(f"{bundle.slot}: live from the next start of the daemon, which does not run now")
        return 0
    print(f"{bundle.slot}: {answer}")
    return 0 if answer == "live" else 1


def _keygen(args: argparse.Namespace) -> int:
    from edge.bundle.signature import generate

    secret, public = generate(args.out, args.name, args.expires)
    print(f"{secret}: the secret key; keep it off the line, whoever has it can sign models")
    print(f"{public}: the public key; copy it to each device's folder of keys (model.keys)")
    return 0


def _sign(args: argparse.Namespace) -> int:
    from edge.bundle import Bundle
    from edge.bundle.signature import sign

    bundle = Bundle.open(args.bundle)
    print(f"{bundle.slot}: {sign(bundle, args.key)}")
    return 0


def _revoke(args: argparse.Namespace) -> int:
    flasher, _ = _opened(args)
    flasher.trust.revoke(args.name)
    print(f"{args.name}: revoked in {flasher.trust.folder}; what only it has signed is not taken any more")
    return 0
