"""The pieces that the daemon, replays and benchmarks are put together from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from edge import clock
from edge.bundle import EDGETPU_FILE, Bundle, Shelf
from edge.classify import TfliteClassifier, check_golden
from edge.classify.edgetpu import EdgeTpu
from edge.config import Config, Model, PicameraSource, Source
from edge.delivery import Decided
from edge.domain import Lapse, ModelId, Part, Tracker, Verdict
from edge.judge import Judge
from edge.line import Line
from edge.message import Record, Speaker, Times, encode, live_part_id, replay_part_id
from edge.sinks.archive import picture_name
from edge.tracking import open_tracker


def open_bundle(config: Model, base: Path, given: Path | None = None) -> Bundle:
    """The bundle that was named, or the live one of the shelf; raises `BundleError`."""
    return Bundle.open(given) if given is not None else Shelf(base / config.shelf).current()


def build_judge(bundle: Bundle) -> Judge:
    """The operating point that came with the model."""
    manifest = bundle.manifest
    return Judge(
        labels=manifest.labels,
        good=manifest.good,
        pass_steps=manifest.limits.pass_steps,
        reject_steps=manifest.limits.reject_steps,
        log_odds_per_step=manifest.output.step,
        model=ModelId(name=manifest.name, version=manifest.version, hash8=bundle.hash8),
    )


def open_device(config: Model, live: Bundle | None) -> EdgeTpu | None:
    """What runs the live model in place of the CPU, for one process at a time; raises `DelegateError`."""
    if config.delegate == "none":
        return None
    first = live.folder / EDGETPU_FILE if live is not None and EDGETPU_FILE in live.manifest.files else None
    return EdgeTpu(config.delegate_library, config.runtime, first)


def build_classifier(config: Model, bundle: Bundle, device: EdgeTpu | None = None) -> TfliteClassifier:
    """A model that has answered its golden pictures here, on the CPU without a device; raises `BundleError`."""
    classifier = TfliteClassifier(bundle, config.runtime, config.threads, device)
    check_golden(classifier, bundle)
    return classifier


def build_tracker(config: Config) -> Tracker:
    """What follows the belt; looks at every frame where a reject gate has nothing else to tell it how the belt runs."""
    reject, tracking = config.reject, config.tracking
    if reject.enabled and reject.follow == "belt" and config.encoder.kind == "none":
        tracking = replace(tracking, look_at="all")
    return open_tracker(tracking)


def build_line(
    config: Config,
    bundle: Bundle,
    seen: Callable[[Part], None] | None = None,
    lapsed: Callable[[Lapse], None] | None = None,
) -> Line:
    """The line as a replay runs it, with nothing around it; raises `BundleError`."""
    return Line(build_tracker(config), build_classifier(config.model, bundle), build_judge(bundle), seen, lapsed=lapsed)


def build_speaker(config: Config, source: Source) -> Speaker:
    """Who signs the verdicts."""
    station = config.station
    return Speaker(
        site=station.site,
        line=station.line,
        station=station.station,
        recipe=station.recipe,
        simulated=not isinstance(source, PicameraSource),
    )


def replay_encoder(config: Config) -> Callable[[Verdict, int, float], Record]:
    """Encode `(verdict, sequence, decided_at_s)` on the clip's own clock, where 1970 is its first frame."""
    speaker = build_speaker(config, config.source.clip)

    def encoded(verdict: Verdict, sequence: int, decided_s: float) -> Record:
        times = Times(captured_s=verdict.captured_at_s, decided_s=decided_s)
        return encode(verdict, speaker, times, sequence=sequence, part_id=replay_part_id(speaker, sequence))

    return encoded


def live_encoder(speaker: Speaker, config: Config) -> Callable[[Decided, int], Record]:
    """Encode `(decided, sequence)` on the wall clock: the frames' clock is steady, so ages carry over."""

    def encoded(decided: Decided, sequence: int) -> Record:
        verdict = decided.verdict
        captured_s = decided.wall_s - (decided.steady_s - verdict.captured_at_s)
        times = Times(
            captured_s=captured_s,
            decided_s=decided.wall_s,
            eject_s=None if decided.eject_s is None else captured_s + decided.eject_s - verdict.captured_at_s,
            late=decided.late,
            synchronized=clock.is_synchronized(),
        )
        part_id = live_part_id()
        day = datetime.fromtimestamp(decided.wall_s, UTC).date().isoformat()
        image = picture_name(config.archive, verdict, sequence=sequence, day=day, part_id=str(part_id))
        return encode(verdict, speaker, times, sequence=sequence, part_id=part_id, image=image)

    return encoded
