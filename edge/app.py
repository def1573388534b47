"""The composition root: builds the rooms from the configuration, starts the crew, returns an exit code.

Metrics and the operator's page enter here, by wrapping at the seams; no room knows that it is measured.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Event, current_thread, main_thread

from prometheus_client import CollectorRegistry

from edge import __version__
from edge.assembly import build_speaker, build_tracker, live_encoder
from edge.belt.witness import UNSEEN
from edge.capture import Capture
from edge.classify import LiveMap
from edge.config import ClipSource, Config, PicameraSource
from edge.crew import Crew
from edge.delivery import Decided, Delivery
from edge.domain import Classifier, Decision, Frame, Part, Source, Verdict
from edge.engine import Engine
from edge.haste import Haste
from edge.inspecting import Inspecting
from edge.line import Line
from edge.machine import Machine
from edge.mailbox import Mailbox
from edge.message import Record, Speaker
from edge.metrics import Metrics
from edge.models import Models, Outside
from edge.notify import Notifier
from edge.page import About, PageServer, StatusBoard, open_server
from edge.remote import Remote
from edge.sinks.archive import ImageArchive
from edge.sinks.home_assistant import announcement
from edge.sinks.journal import Journal
from edge.sinks.mqtt import MqttPublisher, topic_prefix
from edge.sinks.sparkplug import SparkplugView
from edge.sources import open_source
from edge.telling import Telling
from edge.timed import TimedClassifier, TimedTracker

log = logging.getLogger(__name__)

MAILBOX_FRAMES = 2
STOP_DEADLINE_S = 8.0
TICK_S = 0.5
SWITCH_S = 0.0005
"""How long one thread may keep the interpreter from another. Python's own 5 ms add up to three times on a verdict's
way to the broker while another thread is busy; benchmarks/publish_latency.py measures it."""


class Daemon:
    """One station, built and ready; `run` returns when it was told to stop or its input ended."""

    def __init__(
        self,
        config: Config,
        base: Path,
        *,
        open_frames: Callable[[], Source] | None = None,
        on_verdict: Callable[[Verdict, Record], None] | None = None,
        patient: bool = False,
    ) -> None:
        """Build every room. Raises `BundleError`, `DelegateError`, `SinkDown` or `OSError`, each with one line to tell.

        `base` is the folder that relative paths count from; `open_frames` stands in for the configured source,
        `patient` says that it can wait for a slow machine; `on_verdict` hears every verdict after it was committed,
        in the delivering thread.
        """
        self._config = config
        self._open_frames = open_frames or (lambda: open_source(config.source.chosen))
        self._on_verdict = on_verdict
        speaker = build_speaker(config, config.source.chosen)
        registry = CollectorRegistry()
        self.metrics = Metrics(registry)
        self.board = StatusBoard(_about(config, speaker))
        self._crew = Crew()
        self._mailbox: Mailbox[Frame] = Mailbox(MAILBOX_FRAMES)
        self._delivered, self._leaving = Event(), Event()
        self.telling = Telling(self.board, self.metrics, config.station.station)
        with ExitStack() as undo:
            self.machine = self._machine(config)  # first: pins that a killed process left as they were come to rest
            undo.callback(self.machine.close)
            self.journal = Journal(
                base / config.journal.path,
                config.journal.keep_days,
                config.journal.keep_mb,
                on_damage=self.telling.damaged,
            )
            undo.callback(self.journal.close)
            self.server = self._server(config, registry)
            if self.server is not None:
                undo.callback(self.server.close)
            self.haste = Haste(
                config.model.hurry_s, config.model.deadline_s, eject_s=lambda part: self.machine.eject_s(part)
            )
            self.map = LiveMap(config.model.runtime)
            self.models = self._models(config, base)
            self.remote = Remote(self.models.flasher, config.model.flash_from, self.metrics.model_swaps("refused").inc)
            self.publisher = self._publisher(config)
            self.sparkplug = self._sparkplug(config, base)
            folder = base / config.archive.folder
            self.archive = ImageArchive(config.archive, folder, self.map.of) if config.archive.enabled else None
            self.line = self._observed_line()
            undo.pop_all()
        self._observe_outbox()
        patient = patient or isinstance(config.source.chosen, ClipSource)
        self._capture = self._capturing(patient)
        self._delivery = self._delivering(speaker)
        self._inspecting = self._inspecting_with(patient)

    def run(self, notifier: Notifier) -> int:
        """Inspect until SIGTERM, SIGINT or the end of the input, then drain and stop; 0 when all went well.

        Raises what the first failing thread raised.
        """
        self._listen_to_signals()
        sys.setswitchinterval(SWITCH_S)
        crew = self._crew
        crew.start("deliver", self._deliver)
        if self.publisher is not None:
            publisher = self.publisher
            crew.start("mqtt", lambda: publisher.run(self._leaving))
        if self.sparkplug is not None:
            sparkplug = self.sparkplug
            crew.start("sparkplug", lambda: sparkplug.run(self._leaving))
        if self.server is not None:
            server = self.server
            crew.start("page", lambda: server.run(self._leaving))
        if self.archive is not None:
            archive = self.archive
            crew.start("archive", lambda: archive.run(self._leaving))
        if self.machine.reject is not None:
            crew.start("reject", lambda: self.machine.run(self._leaving))
        crew.start("models", lambda: self.models.run(self._leaving))
        crew.start("shadow", lambda: self.models.shadowing.work(self._leaving))
        if self.remote.commands:
            crew.start("flash", lambda: self.remote.run(self._leaving))
        crew.start("inspect", self._inspecting.run)
        crew.start("capture", lambda: self._capture.run(crew.stopping))
        self._watch(notifier)
        return self._stop(notifier)

    def _models(self, config: Config, base: Path) -> Models:
        """Whatever judges, with a stopwatch around it."""
        models = Models(
            config,
            base,
            Outside(
                dress=self._timed,
                live=self._judged_by,
                event=lambda document: self.telling.event(**document),
                swapped=lambda result: self.metrics.model_swaps(result).inc(),
            ),
        )
        for each in ("brightness", "contrast", "evidence"):
            self.metrics.drift_score.set_function(partial(lambda name: models.drift.score(name), each), each)
        self.metrics.tpu_up.set_function(lambda: models.device_up)
        return models

    def _timed(self, engine: Engine, classifier: Classifier) -> Classifier:
        per_view = self.metrics.inference(engine.slot, engine.classifier.backend)
        return TimedClassifier(classifier, per_view, self.metrics.stage("classify"), self.haste.took)

    def _judged_by(self, engine: Engine) -> None:
        """From now on this model judges."""
        manifest, backend = engine.bundle.manifest, engine.classifier.backend
        self.metrics.declare_labels(manifest.labels)
        for tell in (self.metrics.model, self.board.model):
            tell(name=manifest.name, version=manifest.version, hash8=engine.bundle.hash8, backend=backend)
        self.board.golden(True)
        self.map.judges(engine.bundle)

    def _observed_line(self) -> Line:
        """The line with a stopwatch at each seam and the board looking on."""
        self.metrics.build(__version__)
        tracker = self.machine.followed(TimedTracker(build_tracker(self._config), self.metrics.stage("track")))
        return self.models.line(
            lambda classifier, judge: Line(
                tracker,
                classifier,
                judge,
                self._seen,
                budget=self.haste,
                witness=self.machine.witness,
                lapsed=self.telling.unfollowed,
            )
        )

    def _seen(self, part: Part) -> None:
        self.board.seen(part)
        self.machine.seen(part)
        if part.reason == UNSEEN:
            self.telling.disputed("eye", part)
        if self.archive is not None:
            self.archive.seen(part)

    def _publisher(self, config: Config) -> MqttPublisher | None:
        if not config.mqtt.enabled:
            return None
        publisher = MqttPublisher(
            config.mqtt, config.station, self.journal, self.telling.broker, commands=self.remote.commands
        )
        if config.home_assistant.enabled:
            prefix = topic_prefix(config.mqtt.prefix, config.station)
            publisher.say_letter(announcement(config.home_assistant, config.station, prefix, __version__))
        self.telling.send(publisher)
        return publisher

    def _sparkplug(self, config: Config, base: Path) -> SparkplugView | None:
        if not config.sparkplug.enabled:
            return None
        memory = base / f"{config.journal.path}.sparkplug"
        view = SparkplugView(
            config.sparkplug, config.mqtt, config.station, self.journal, memory=memory, version=__version__
        )
        self.telling.show(view)
        return view

    def _server(self, config: Config, registry: CollectorRegistry) -> PageServer | None:
        if not config.http.enabled:
            return None
        names = [name.strip() for name in config.http.names.split(",") if name.strip()]
        return open_server(self.board, registry, config.http.host, config.http.port, names)

    def _machine(self, config: Config) -> Machine:
        return Machine(
            config,
            on_late=self.telling.late,
            on_unwitnessed=partial(self.telling.disputed, "camera"),
            on_encoder=self.telling.encoder,
        )

    def _capturing(self, patient: bool) -> Capture:
        frames = self.metrics.frames(self._config.station.station)
        return Capture(
            lambda: self.machine.opened(self._open_frames()),
            self._mailbox,
            on_up=self.telling.camera,
            on_frame=lambda _: frames.inc(),
            on_drop=self.telling.dropped,
            patient=patient,
        )

    def _inspecting_with(self, patient: bool) -> Inspecting:
        return Inspecting(
            self.line,
            self._mailbox,
            self._delivery,
            machine=self.machine,
            board=self.board,
            metrics=self.metrics,
            patient=patient,
        )

    def _delivering(self, speaker: Speaker) -> Delivery:
        return Delivery(
            self.journal,
            live_encoder(speaker, self._config),
            on_committed=self._committed,
            on_journal=self.telling.journal,
            on_given=lambda verdict: self._work_gate(verdict, committed=False),
            on_idle=self._tidy,
            commits_per_s=self._config.journal.commits_per_s,
        )

    def _observe_outbox(self) -> None:
        self.board.journal(True)
        self.metrics.journal_up.set(1)
        self.board.outbox(lambda: self.journal.backlog()[0], lambda: self.journal.backlog()[1])
        self.metrics.outbox_pending.set_function(lambda: self.journal.backlog()[0])
        self.metrics.outbox_oldest_seconds.set_function(lambda: self.journal.backlog()[1])
        self.metrics.frame_age_seconds.set_function(self.board.frame_age_s)
        if self._config.encoder.kind == "gpio":
            self.metrics.encoder_up.set_function(lambda: float(self.telling.encoder_up))

    def _listen_to_signals(self) -> None:
        if current_thread() is not main_thread():
            return
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: self._crew.stopping.set())

    def _deliver(self) -> None:
        try:
            self._delivery.run()
        finally:
            self._delivered.set()

    def _committed(self, decided: Decided, record: Record) -> None:
        """A verdict is on disk: now the broker, the page, the metrics and a listener may know."""
        verdict = decided.verdict
        self._work_gate(verdict, committed=True)
        if self.archive is not None:
            self.archive.committed(verdict, record)
        self.models.decided(verdict)
        latency_s = decided.steady_s - verdict.captured_at_s
        if self.publisher is not None:
            self.publisher.wake()
        else:
            self.journal.acknowledge(record.sequence)  # nobody waits for it, so it need not be kept for ever
        if self.sparkplug is not None:
            self.sparkplug.wake()
        self.board.decided(verdict, latency_s=latency_s, wall_s=decided.wall_s)
        self.metrics.parts(verdict.decision.value, verdict.label).inc()
        self.metrics.frame_to_verdict_seconds.observe(max(0.0, latency_s))
        if self._on_verdict is not None:
            self._on_verdict(verdict, record)

    def _tidy(self) -> None:
        """In the delivering thread, while no verdict waits: what else is to be written, and is there room for more."""
        self.journal.settle()
        self.journal.prune(time.time())
        self.telling.disk(self.journal.free_bytes)

    def _work_gate(self, verdict: Verdict, *, committed: bool) -> None:
        """A reject does not wait for the disk; where a pulse vouches for a part, it comes only for a verdict kept."""
        vouches = self._config.reject.drives == "pass" and verdict.decision is Decision.PASS
        if self.machine.reject is not None and committed == vouches:
            self.machine.reject.give(verdict)

    def _watch(self, notifier: Notifier) -> None:
        """The main thread: feed systemd's watchdog from progress, tell subscribers what changed, tidy up."""
        notifier.ready("waiting for the first frame")
        inspected = -1
        while not (self._delivered.is_set() or self._crew.stopping.wait(TICK_S)):
            if self._inspecting.frames != inspected or self._capture.looking or _is_triggered(self._config):
                inspected = self._inspecting.frames
                notifier.alive()
            self._delivery.mind()
            notifier.status(self.telling.state())

    def _stop(self, notifier: Notifier) -> int:
        """The same way as the end of the input: the source ends, everything drains, survivors are named."""
        notifier.stopping()
        self.board.stopping()
        self._crew.stopping.set()
        if not self._delivered.wait(STOP_DEADLINE_S / 2):
            self._delivery.aborted.set()
        self._leaving.set()
        survivors = self._crew.join(STOP_DEADLINE_S / 2)
        self.journal.close()
        self.machine.close()
        if survivors:
            log.error("these threads did not stop in time: %s", ", ".join(survivors))
        if self._crew.failure is not None:
            raise self._crew.failure.error
        return 1 if survivors else 0


def _is_triggered(config: Config) -> bool:
    """A camera that waits for a trigger sends nothing while no part comes."""
    source = config.source.chosen
    return isinstance(source, PicameraSource) and source.triggered


def _about(config: Config, speaker: Speaker) -> About:
    return About(
        site=speaker.site,
        line=speaker.line,
        station=speaker.station,
        recipe=speaker.recipe,
        version=__version__,
        simulated=speaker.simulated,
        mqtt=config.mqtt.enabled,
        waits=_is_triggered(config),
        direction=config.tracking.direction,
        gate=config.tracking.gate,
    )
