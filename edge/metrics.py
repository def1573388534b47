"""Every Prometheus name of Linegate, on a registry that is passed in. `docs/metrics.md` explains them to people.

A child of a labelled metric is looked up once and kept by whoever observes it: `observe()` costs half of
`labels(...).observe()`. What can be asked for at any time (an age, a queue's length) is asked for at scrape time,
so it cannot be stale, and it is absent as long as nobody knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

INFERENCE_BUCKETS_S = (
    *(0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5),
)
STAGE_BUCKETS_S = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
FRAME_TO_VERDICT_BUCKETS_S = (
    *(0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0),
)

UNCLASSIFIED = "unclassified"
"""The `label` of a part that no model has looked at."""
OTHER = "other"
"""The `label` of whatever was not declared: the number of series stays bounded."""

THERMAL = Path("/sys/class/thermal")
PROCESS_IO = Path("/proc/self/io")


Family = type[GaugeMetricFamily] | type[CounterMetricFamily]


class Computed(Collector):
    """A gauge or counter that is asked for its value at scrape time; absent until it can tell one."""

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        documentation: str,
        labels: tuple[str, ...] = (),
        kind: Family = GaugeMetricFamily,
    ) -> None:
        self._kind = kind
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._functions: dict[tuple[str, ...], Callable[[], float | None]] = {}
        registry.register(self)

    def set_function(self, function: Callable[[], float | None], *labels: str) -> None:
        """Ask `function`, from any thread, at each scrape; it must not raise, and None means "not known now"."""
        if len(labels) != len(self._labels):
            raise ValueError(f"{self._name} takes the labels {self._labels}, not {labels}")
        self._functions[labels] = function

    def describe(self) -> Iterable[Metric]:
        """The name, so that the registry refuses a second metric of that name without asking for a value."""
        return [self._family()]

    def collect(self) -> Iterator[Metric]:
        """The values that are known now."""
        family = self._family()
        for labels, function in list(self._functions.items()):
            value = function()
            if value is not None:
                family.add_metric(labels, value)
        if family.samples:
            yield family

    def _family(self) -> GaugeMetricFamily | CounterMetricFamily:
        return self._kind(self._name, self._documentation, labels=self._labels)


class Metrics:
    """The instruments of one station.

    Attributes are instruments without labels, or computed ones; methods give the child for some labels, which
    the caller keeps.
    """

    __slots__ = (
        "_build_info",
        "_camera_up",
        "_entered",
        "_frames",
        "_frames_dropped",
        "_inference",
        "_labels",
        "_model_info",
        "_model_swaps",
        "_parts",
        "_parts_disputed",
        "_stage",
        "belt_unfollowed_seconds",
        "disk_written_bytes",
        "drift_score",
        "encoder_up",
        "frame_age_seconds",
        "frame_to_verdict_seconds",
        "frames_passed_over",
        "journal_up",
        "mqtt_up",
        "outbox_oldest_seconds",
        "outbox_pending",
        "parts_entered",
        "soc_temperature_celsius",
        "tpu_up",
        "verdicts_late",
    )

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything on `registry`; a second `Metrics` on the same registry raises `ValueError`."""
        # The library would add a `…_created` series to each counter; its switch is for the whole process.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._labels: set[str] = {UNCLASSIFIED, OTHER}
        self._entered = 0
        self._register_frames(registry)
        self._register_parts(registry)
        self._register_model(registry)
        self._register_outside(registry)

    def _register_frames(self, registry: CollectorRegistry) -> None:
        self._frames = Counter("linegate_frames_total", "Frames the camera delivered.", ["camera"], registry=registry)
        self._frames_dropped = Counter(
            "linegate_frames_dropped_total",
            "Frames that were not inspected: overload (taken, but too late) or camera (never arrived).",
            ["reason"],
            registry=registry,
        )
        self.frames_passed_over = Counter(
            "linegate_frames_passed_over_total",
            "Frames in which a belt that ran on as ever could show nothing new, so that nobody looked at them.",
            registry=registry,
        )
        self.frame_age_seconds = Computed(
            registry, "linegate_frame_age_seconds", "Time since the newest frame was inspected, at scrape."
        )
        self._camera_up = Gauge(
            "linegate_camera_up",
            "1 while the camera delivers, 0 while it is being looked for.",
            ["camera"],
            registry=registry,
        )
        self._stage = Histogram(
            "linegate_stage_seconds",
            "Time one stage took for one frame.",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )

    def _register_parts(self, registry: CollectorRegistry) -> None:
        self._parts = Counter(
            "linegate_parts_total",
            "Parts with a verdict, by decision and class.",
            ["decision", "label"],
            registry=registry,
        )
        self.parts_entered = Counter(
            "linegate_parts_entered_total",
            "Parts noticed on the belt, settled or still on their way.",
            registry=registry,
        )
        self.verdicts_late = Counter(
            "linegate_verdicts_late_total",
            "Verdicts that fell after the part had reached the ejector.",
            registry=registry,
        )
        self._parts_disputed = Counter(
            "linegate_parts_disputed_total",
            "Parts that only one of photo-eye and camera saw.",
            ["seen_by"],
            registry=registry,
        )
        for seen_by in ("camera", "eye"):
            self._parts_disputed.labels(seen_by)
        self.belt_unfollowed_seconds = Counter(
            "linegate_belt_unfollowed_seconds_total",
            "Time for which belt passed the gate whose parts may not have been followed.",
            registry=registry,
        )
        self.encoder_up = Computed(
            registry,
            "linegate_encoder_up",
            "1 while the encoder counts, 0 while it is silent though parts pass.",
        )
        self.frame_to_verdict_seconds = Histogram(
            "linegate_frame_to_verdict_seconds",
            "Time from the part's crossing of the gate to its verdict.",
            buckets=FRAME_TO_VERDICT_BUCKETS_S,
            registry=registry,
        )

    def _register_model(self, registry: CollectorRegistry) -> None:
        self._inference = Histogram(
            "linegate_inference_seconds",
            "Time of one classification of one view.",
            ["model", "backend"],
            buckets=INFERENCE_BUCKETS_S,
            registry=registry,
        )
        self._model_info = Gauge(
            "linegate_model_info", "1 for the live model.", ["name", "version", "hash8", "backend"], registry=registry
        )
        self._model_swaps = Counter(
            "linegate_model_swaps_total", "Changes of the live model, by result.", ["result"], registry=registry
        )
        self.tpu_up = Computed(registry, "linegate_tpu_up", "1 while the Edge TPU answers; absent without one.")
        self.drift_score = Computed(
            registry, "linegate_drift_score", "How far pictures have drifted from the training reference.", ("signal",)
        )

    def _register_outside(self, registry: CollectorRegistry) -> None:
        self.mqtt_up = Gauge("linegate_mqtt_up", "1 while the broker is connected.", registry=registry)
        self.journal_up = Gauge(
            "linegate_journal_up",
            "1 while verdicts can be written to disk; at 0 every part is reviewed.",
            registry=registry,
        )
        self.disk_written_bytes = Computed(
            registry,
            "linegate_disk_written_bytes_total",
            "What this process has sent to disks, in whole pages; it wears SD cards out.",
            kind=CounterMetricFamily,
        )
        self.disk_written_bytes.set_function(written_bytes)
        self.outbox_pending = Computed(
            registry, "linegate_outbox_pending", "Verdicts the broker has not acknowledged yet."
        )
        self.outbox_oldest_seconds = Computed(
            registry, "linegate_outbox_oldest_seconds", "Age of the oldest verdict that waits for the broker; 0: none."
        )
        self.soc_temperature_celsius = Computed(
            registry, "linegate_soc_temperature_celsius", "Temperature of the processor; absent where it is not told."
        )
        self.soc_temperature_celsius.set_function(soc_temperature)
        self._build_info = Gauge("linegate_build_info", "1 for the version that runs.", ["version"], registry=registry)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

    def frames(self, camera: str) -> Counter:
        """Frames of one camera."""
        return self._frames.labels(camera)

    def frames_dropped(self, reason: str) -> Counter:
        """Frames lost for one reason: `overload` or `camera`."""
        return self._frames_dropped.labels(reason)

    def camera_up(self, camera: str) -> Gauge:
        """Whether one camera delivers."""
        return self._camera_up.labels(camera)

    def stage(self, name: str) -> Histogram:
        """Times of one stage, such as `track` or `classify`."""
        return self._stage.labels(name)

    def inference(self, model: str, backend: str) -> Histogram:
        """Times of one model on one backend."""
        return self._inference.labels(model, backend)

    def model(self, *, name: str, version: str, hash8: str, backend: str) -> None:
        """Name the live model, in place of the one before."""
        self._model_info.clear()
        self._model_info.labels(name, version, hash8, backend).set(1)

    def build(self, version: str) -> None:
        """Name the version that runs."""
        self._build_info.labels(version).set(1)

    def model_swaps(self, result: str) -> Counter:
        """Changes of the live model with one result: `flashed`, `rolled_back` or `refused`."""
        return self._model_swaps.labels(result)

    def parts_disputed(self, seen_by: str) -> Counter:
        """Parts that only the `eye` or only the `camera` saw."""
        return self._parts_disputed.labels(seen_by)

    def entered(self, total: int) -> None:
        """Raise `parts_entered` to the tracker's count. A count that falls (a glimpse was no part) leaves it."""
        if total > self._entered:
            self.parts_entered.inc(total - self._entered)
            self._entered = total

    def declare_labels(self, labels: Iterable[str]) -> None:
        """Name the classes of the live model. Each series then begins at 0, and no other label can appear."""
        fresh = set(labels) - self._labels
        self._labels |= fresh
        for label in [*sorted(fresh), UNCLASSIFIED]:
            for decision in ("pass", "reject", "review") if label != UNCLASSIFIED else ("review",):
                self._parts.labels(decision, label)

    def parts(self, decision: str, label: str) -> Counter:
        """Parts with one verdict; an empty label counts as `unclassified`, an undeclared one as `other`."""
        label = label or UNCLASSIFIED
        return self._parts.labels(decision, label if label in self._labels else OTHER)


def written_bytes(path: Path = PROCESS_IO) -> float | None:
    """What this process has caused to be written to disks so far; None where the kernel does not count."""
    try:
        lines = dict(line.split(": ") for line in path.read_text().splitlines())
        return float(lines["write_bytes"]) - float(lines["cancelled_write_bytes"])
    except (OSError, ValueError, KeyError):
        return None


def soc_temperature(root: Path = THERMAL) -> float | None:
    """Degrees Celsius of the processor's thermal zone; None where the kernel tells none."""
    for zone in sorted(root.glob("thermal_zone*")):
        try:
            if any(word in (zone / "type").read_text() for word in ("cpu", "soc", "x86_pkg")):
                return int((zone / "temp").read_text()) / 1000
        except (OSError, ValueError):
            continue
    return None
