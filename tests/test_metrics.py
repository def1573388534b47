"""The metrics: their names are a promise, their values are asked for when they are scraped, their number is bounded."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edge.metrics import OTHER, UNCLASSIFIED, Metrics, soc_temperature

pytestmark = pytest.mark.wall_clock

PROMISED = {
    "linegate_inference_seconds": ("histogram", {"model", "backend"}),
    "linegate_frame_to_verdict_seconds": ("histogram", set()),
    "linegate_stage_seconds": ("histogram", {"stage"}),
    "linegate_frames_total": ("counter", {"camera"}),
    "linegate_frames_passed_over_total": ("counter", set()),
    "linegate_frames_dropped_total": ("counter", {"reason"}),
    "linegate_frame_age_seconds": ("gauge", set()),
    "linegate_parts_total": ("counter", {"decision", "label"}),
    "linegate_parts_entered_total": ("counter", set()),
    "linegate_verdicts_late_total": ("counter", set()),
    "linegate_parts_disputed_total": ("counter", {"seen_by"}),
    "linegate_belt_unfollowed_seconds_total": ("counter", set()),
    "linegate_encoder_up": ("gauge", set()),
    "linegate_camera_up": ("gauge", {"camera"}),
    "linegate_mqtt_up": ("gauge", set()),
    "linegate_journal_up": ("gauge", set()),
    "linegate_disk_written_bytes_total": ("counter", set()),
    "linegate_outbox_pending": ("gauge", set()),
    "linegate_outbox_oldest_seconds": ("gauge", set()),
    "linegate_model_info": ("gauge", {"name", "version", "hash8", "backend"}),
    "linegate_model_swaps_total": ("counter", {"result"}),
    "linegate_tpu_up": ("gauge", set()),
    "linegate_drift_score": ("gauge", {"signal"}),
    "linegate_soc_temperature_celsius": ("gauge", set()),
    "linegate_build_info": ("gauge", {"version"}),
}
"""Dashboards and alerts of users rest on these; a name goes away only with a new version."""


def full() -> CollectorRegistry:
    """A registry on which everything that can be told has been told."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.encoder_up.set_function(lambda: 1.0)
    metrics.frames("cam1").inc()
    metrics.frames_dropped("overload").inc(2)
    metrics.camera_up("cam1").set(1)
    metrics.stage("track").observe(0.0008)
    metrics.inference("ring-3fa91c07", "litert-2.3.0").observe(0.0003)
    metrics.frame_to_verdict_seconds.observe(0.02)
    metrics.declare_labels(["ok", "hole"])
    metrics.parts("reject", "hole").inc()
    metrics.entered(3)
    metrics.model(name="ring", version="1", hash8="3fa91c07", backend="litert-2.3.0")
    metrics.model_swaps("flashed").inc()
    metrics.build("0.1.0")
    metrics.mqtt_up.set(1)
    for computed in (metrics.frame_age_seconds, metrics.outbox_pending, metrics.outbox_oldest_seconds):
        computed.set_function(lambda: 0.5)
    metrics.tpu_up.set_function(lambda: 1.0)
    metrics.drift_score.set_function(lambda: 0.1, "brightness")
    metrics.soc_temperature_celsius.set_function(lambda: 51.5)
    return registry


def samples(registry: CollectorRegistry) -> dict[str, tuple[str, set[str]]]:
    """Name: type and label names, as a scraper reads them from the text."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, labels)
    return found


def test_names_types_and_labels_are_exactly_what_was_promised() -> None:
    ours = {name: told for name, told in samples(full()).items() if name.startswith("linegate_")}
    assert ours == PROMISED


def test_the_manual_explains_every_metric_and_no_other() -> None:
    manual = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(linegate_\w+)` \| (\w+) \|([^|]*)\|", manual, re.MULTILINE)
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert told == PROMISED


def test_the_process_is_measured_too() -> None:
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "python_info"} <= set(samples(full()))


def test_nothing_is_told_before_it_is_known() -> None:
    registry = CollectorRegistry()
    Metrics(registry).soc_temperature_celsius.set_function(lambda: None)
    text = generate_latest(registry).decode()
    for name in ("frame_age_seconds", "outbox_pending", "tpu_up", "drift_score", "soc_temperature_celsius"):
        assert f"linegate_{name}" not in text
    assert not [line for line in text.splitlines() if re.match(r"linegate_(model|build)_info\b", line)]


def test_an_age_is_asked_for_at_every_scrape() -> None:
    registry = CollectorRegistry()
    ages = iter([0.1, None, 7.0])
    Metrics(registry).frame_age_seconds.set_function(lambda: next(ages))
    read = [registry.get_sample_value("linegate_frame_age_seconds") for _ in range(3)]
    assert read == [0.1, None, 7.0]


def test_a_computed_metric_refuses_wrong_labels() -> None:
    with pytest.raises(ValueError, match="signal"):
        Metrics(CollectorRegistry()).drift_score.set_function(lambda: 0.0)


def test_labels_of_parts_are_bounded() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.declare_labels(["ok", "hole"])
    for number in range(100):
        metrics.parts("reject", f"made up {number}").inc()
    metrics.parts("review", "").inc()
    assert registry.get_sample_value("linegate_parts_total", {"decision": "reject", "label": OTHER}) == 100
    assert registry.get_sample_value("linegate_parts_total", {"decision": "review", "label": UNCLASSIFIED}) == 1
    assert registry.get_sample_value("linegate_parts_total", {"decision": "pass", "label": "ok"}) == 0
    assert generate_latest(registry).decode().count("linegate_parts_total{") <= 8


def test_a_new_model_takes_the_place_of_the_old() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for hash8 in ("11111111", "22222222"):
        metrics.model(name="ring", version="1", hash8=hash8, backend="litert")
    lines = [line for line in generate_latest(registry).decode().splitlines() if line.startswith("linegate_model_info")]
    assert len(lines) == 1
    assert "22222222" in lines[0]


def test_parts_entered_never_falls() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    read = []
    for total in (2, 5, 4, 4, 6):
        metrics.entered(total)
        read.append(registry.get_sample_value("linegate_parts_entered_total"))
    assert read == [2, 5, 5, 5, 6]


def test_two_stations_in_one_process_need_two_registries() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    Metrics(CollectorRegistry())
    with pytest.raises(ValueError, match="linegate_frames"):
        Metrics(registry)


def test_the_temperature_is_that_of_the_processor(tmp_path: Path) -> None:
    for place, (kind, heat) in enumerate([("acpitz\n", "27800\n"), ("cpu-thermal\n", "51540\n")]):
        zone = tmp_path / f"thermal_zone{place}"
        zone.mkdir()
        (zone / "type").write_text(kind)
        (zone / "temp").write_text(heat)
    assert soc_temperature(tmp_path) == pytest.approx(51.54)
    (tmp_path / "thermal_zone1" / "temp").write_text("")
    assert soc_temperature(tmp_path) is None
    assert soc_temperature(tmp_path / "nowhere") is None


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (apt install prometheus)")
def test_promtool_finds_nothing_to_say() -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=generate_latest(full()), capture_output=True, check=False, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
