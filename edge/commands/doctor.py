"""`linegate doctor`: what works on this device, what does not, and what to do about it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.config import Config

LITTLE_DISK_BYTES = 500 * 1024 * 1024
HOT_CELSIUS = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    well: bool
    found: str
    do: str = ""
    """What to do when it is not well."""


def add(subparsers: Any) -> None:
    """Offer the command."""
    parser = subparsers.add_parser("doctor", help="what works on this device, what does not, what to do")
    parser.add_argument("--config", type=Path, default=None, help="default: config.yaml when there is one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 when all is well, 1 otherwise."""
    import json

    from edge.commands.settings import find_config

    config, base = find_config(args.config)
    findings = list(examined(config, base))
    if args.json:
        print(json.dumps([asdict(each) for each in findings], indent=2))
    else:
        for each in findings:
            print(f"{'ok  ' if each.well else 'BAD '}{each.what:13}{each.found}")
            if not each.well:
                print(f"{'':17}→ {each.do}")
    return 0 if all(each.well for each in findings) else 1


def examined(config: Config, base: Path) -> Iterator[Finding]:
    """Look at one thing after the other; nothing is changed."""
    looks: list[Callable[[], Finding]] = [
        _runtime,
        lambda: _model(config, base),
        lambda: _delegate(config, base),
        lambda: _camera(config),
        lambda: _pins(config),
        lambda: _broker(config),
        lambda: _disk(config, base),
        _clock,
        _temperature,
    ]
    for look in looks:
        yield look()


def _runtime() -> Finding:
    from edge.classify import installed_runtimes

    found = installed_runtimes()
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    return Finding(what="runtime", well=bool(found), found=text or "none", do="pip install ai-edge-litert")


def _model(config: Config, base: Path) -> Finding:
    from edge.assembly import build_classifier, open_bundle
    from edge.bundle import BundleError
    from edge.changeover import Flasher

    try:
        bundle = open_bundle(config.model, base)
        signer = Flasher(config, base).trust.check(bundle)
        build_classifier(config.model, bundle)
    except BundleError as error:
        return Finding(
            what="model", well=False, found=str(error), do="linegate models list; linegate models flash BUNDLE"
        )
    return Finding(what="model", well=True, found=f"{bundle.slot} answers its golden pictures, {signer}")


def _delegate(config: Config, base: Path) -> Finding:
    from edge.assembly import open_bundle
    from edge.bundle import BundleError, Shelf
    from edge.changeover.presence import is_watched
    from edge.classify.edgetpu import try_library
    from edge.domain import DelegateError

    model = config.model
    if model.delegate == "none":
        return Finding(what="delegate", well=True, found="not wanted (model.delegate: none)")
    try:
        network = open_bundle(model, base).edgetpu_model.name
        if is_watched(Shelf(base / model.shelf)):
            return Finding(what="delegate", well=True, found="the daemon that runs has it: linegate_tpu_up")
        try_library(model.delegate_library, model.runtime)
    except (BundleError, DelegateError) as error:
        found, _, do = str(error).partition("; ")
        return Finding(what="delegate", well=False, found=found, do=do)
    return Finding(what="delegate", well=True, found=f"{model.delegate_library} opens the device, {network} is there")


def _camera(config: Config) -> Finding:
    import importlib.util

    from edge.config import ClipSource, PicameraSource

    match config.source.chosen:
        case PicameraSource():
            there = importlib.util.find_spec("picamera2") is not None
            found = "picamera2 is installed" if there else "picamera2 is not installed"
            return Finding(what="source", well=there, found=found, do="sudo apt install python3-picamera2")
        case ClipSource(path=path):
            there = bool(path) and Path(path).exists()
            return Finding(what="source", well=there, found=f"clip {path or '(none)'}", do="set source.clip.path")
    return Finding(what="source", well=True, found="the simulator: verdicts are marked as simulated")


def _pins(config: Config) -> Finding:
    from edge.pins import NoPin, Wish, keeps_levels, look

    reject = config.reject
    wanted = [
        Wish(key=f"{key} {pin}", off=off)
        for key, pin, off, used in (
            ("reject.pin", reject.pin, "reject.enabled: false", reject.enabled),
            ("encoder.pin", config.encoder.pin, "encoder.kind: none", config.encoder.kind == "gpio"),
            ("photo_eye.pin", config.photo_eye.pin, "photo_eye.enabled: false", config.photo_eye.enabled),
        )
        if used
    ]
    if not wanted:
        return Finding(what="pins", well=True, found="none wanted (reject, encoder, photo_eye)")
    try:
        found = f"{', '.join(each.key for each in wanted)}: {look(wanted[0])}"
    except NoPin as error:
        found, _, do = str(error).partition("; ")
        return Finding(what="pins", well=False, found=found, do=do)
    return Finding(
        what="pins",
        well=not (reject.enabled and keeps_levels()),
        found=found + ("; they keep their level when the daemon is killed" if keeps_levels() else ""),
        do="add dtparam=strict_gpiod to /boot/firmware/config.txt and restart the machine (docs/reject.md)",
    )


def _broker(config: Config) -> Finding:
    import socket

    where = f"{config.mqtt.host}:{config.mqtt.port}"
    if not config.mqtt.enabled:
        return Finding(what="broker", well=True, found="not wanted (mqtt.enabled: false)")
    try:
        with socket.create_connection((config.mqtt.host, config.mqtt.port), timeout=3):
            return Finding(what="broker", well=True, found=f"{where} takes connections")
    except OSError as error:
        return Finding(
            what="broker",
            well=False,
            found=f"{where}: {error.strerror or error}",
            do="start it (sudo systemctl start mosquitto) or set mqtt.host; verdicts wait in the journal meanwhile",
        )


def _disk(config: Config, base: Path) -> Finding:
    import os
    import shutil

    folder = (base / config.journal.path).parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    writable = os.access(folder, os.W_OK)
    return Finding(
        what="journal",
        well=writable and free > LITTLE_DISK_BYTES,
        found=f"{folder}: {free >> 20} MiB free{'' if writable else ', not writable'}",
        do="free some space, or set journal.path to a folder that this user may write",
    )


def _clock() -> Finding:
    from edge.clock import is_synchronized

    well = is_synchronized()
    return Finding(
        what="clock",
        well=well,
        found="synchronized" if well else "nothing keeps it right; verdicts say clock_synchronized: false",
        do="sudo timedatectl set-ntp true, or add a real-time clock",
    )


def _temperature() -> Finding:
    from edge.metrics import soc_temperature

    celsius = soc_temperature()
    if celsius is None:
        return Finding(what="temperature", well=True, found="not told by this machine")
    return Finding(
        what="temperature", well=celsius < HOT_CELSIUS, found=f"{celsius:.0f} °C", do="give the box a heat sink or air"
    )
