"""`linegate demo`: a whole line without a camera, a broker, or an account."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.app import Daemon
    from edge.config import Config
    from edge.domain import Verdict
    from edge.message import Record
    from edge.sinks.connection import Listener
    from edge.sources.simulator import Simulator

PORT = 8080


def add(subparsers: Any) -> None:
    """Offer the command."""
    parser = subparsers.add_parser("demo", help="run a simulated line with broker and page; verdicts as they fall")
    parser.add_argument("--seconds", type=float, default=0.0, help="end by itself after so long")
    parser.add_argument("--port", type=int, help=f"of the page; default: {PORT}, or a free one when that is taken")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 when every part that passed got exactly one verdict, and a subscriber heard each of them."""
    import logging
    import tempfile
    from contextlib import closing

    from edge.app import Daemon
    from edge.commands.settings import find_config
    from edge.demo_broker import DemoBroker
    from edge.notify import Notifier
    from edge.sinks.connection import Listener
    from edge.sinks.mqtt import topic_prefix
    from edge.sources.simulator import Simulator

    if not args.debug:
        logging.getLogger().setLevel(logging.WARNING)
    _, base = find_config(None)
    verdicts: list[Verdict] = []

    def heard(verdict: Verdict, record: Record) -> None:
        verdicts.append(verdict)
        print(_said(verdict, record), flush=True)

    with DemoBroker() as broker, tempfile.TemporaryDirectory(prefix="linegate-demo-") as folder:
        port = args.port if args.port is not None else _free_port()
        config = _config(broker.port, port, Path(folder))
        simulator = Simulator(config.source.simulator, paced=True, seconds=args.seconds or None)
        daemon = Daemon(config, base, open_frames=lambda: simulator, on_verdict=heard, patient=True)
        page = daemon.server.port if daemon.server is not None else port
        prefix = topic_prefix(config.mqtt.prefix, config.station)
        print(f"page      http://127.0.0.1:{page}/")
        print(f"verdicts  {prefix}/verdict on 127.0.0.1:{broker.port} ({broker.name})")
        print("models    UNSIGNED ones are taken, in this demo only (model.unsigned: allow)")
        print("parts are SIMULATED; Ctrl-C ends the demo\n", flush=True)
        with closing(Listener(broker.port, prefix)) as listener:
            daemon.run(Notifier({}))
            return _summed_up(daemon, simulator, verdicts, listener)


def _config(broker_port: int, page_port: int, folder: Path) -> Config:
    """The defaults, with what the demo brings along."""
    from edge.config import Config, Http, Journal, Model, Mqtt

    return Config(
        mqtt=Mqtt(port=broker_port),
        http=Http(port=page_port),
        journal=Journal(path=str(folder / "journal.sqlite")),
        model=Model(unsigned="allow", shadow_folder=str(folder / "shadow")),
    )


def _free_port() -> int:
    """The usual port of the page, or 0 (any free one) when somebody has it."""
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return 0
        return PORT


COLORS = {"pass": "\033[32m", "reject": "\033[31m", "review": "\033[33m"}


def _said(verdict: Verdict, record: Record) -> str:
    """One line for a person: number, decision, what was seen, how sure."""
    word = f"{verdict.decision.value.upper():7}"
    if sys.stdout.isatty():
        word = f"{COLORS[verdict.decision.value]}{word}\033[0m"
    why = verdict.reason or verdict.label
    views = f"{verdict.views} view{'' if verdict.views == 1 else 's'}"
    return f"part {record.sequence:5}  {word} {why:24} defect probability {verdict.score:.3f}, {views}"


def _summed_up(daemon: Daemon, simulator: Simulator, verdicts: list[Verdict], listener: Listener) -> int:
    """Verdicts against the simulator's truth; 0 when nothing was lost, doubled or invented."""
    from edge import truth

    entered = daemon.line.tracker.entered
    counts = {name: sum(each.decision == name for each in verdicts) for name in ("pass", "reject", "review")}
    on_belt = entered - len(verdicts)
    found = truth.compare(verdicts, simulator.truth(gate=0.5))
    print(
        f"\nparts entered {entered}: passed {counts['pass']}, rejected {counts['reject']},"
        f" review {counts['review']}, still on the belt {on_belt}\n"
        f"truth: {found.parts} parts crossed the gate; missed {found.missed}, duplicates {found.duplicates},"
        f" phantom {found.phantom}, wrong {found.wrong} (escapes {found.escapes}, overkill {found.overkill})\n"
        f"MQTT: {listener.count} of {len(verdicts)} verdicts heard by a subscriber"
    )
    problems = {
        "some part has no verdict": found.missed,
        "some part has two verdicts": found.duplicates,
        "some verdict has no part": found.phantom,
        "more verdicts than parts entered": on_belt < 0,
        "some verdict did not arrive": listener.count != len(verdicts),
    }
    for problem in (each for each, is_so in problems.items() if is_so):
        print(f"NOT CONSERVED: {problem}", file=sys.stderr)
    return 1 if any(problems.values()) else 0
