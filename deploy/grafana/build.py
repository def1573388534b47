"""Write linegate.json, the dashboard, from the panels below.

    pip install 'grafana-foundation-sdk==1769699998!10.1.0'
    python deploy/grafana/build.py

The SDK is needed for this only. The result is committed, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

OUTPUT = Path(__file__).with_name("linegate.json")
SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")

HERE = '{instance=~"$station"}'
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
DECISION_COLORS = {"pass": GREEN, "review": YELLOW, "reject": RED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One line of a panel; `legend` names its series by their labels."""

    expr: str
    legend: str = "{{instance}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a panel shows its values: unit, colours from which value on, colours by series."""

    unit: str
    steps: tuple[tuple[float | None, str], ...] = ((None, GREEN),)
    colors: tuple[tuple[str, str], ...] = ()
    stacked: bool = False
    most: float | None = None
    words: tuple[tuple[str, str, str], ...] = ()
    """`(value, word, colour)`: say a word in place of a number."""


UP_OR_DOWN = Look(unit="none", steps=((None, RED), (1, GREEN)), words=(("0", "down", RED), ("1", "up", GREEN)))


def dashboard_of_the_line() -> build.Dashboard:
    """All rows and panels, top to bottom; the widths of a row's panels add up to 24."""
    page = (
        build.Dashboard("Linegate")
        .uid("linegate")
        .description("One verdict for every part: what the line does, how fast, and whether anything is lost.")
        .tags(["linegate", "inspection"])
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("10s")
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            build.QueryVariable("station")
            .label("Station")
            .datasource(SOURCE)
            .query("label_values(linegate_build_info, instance)")
            .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".+")
        )
    )
    for add in (_now, _verdicts, _speed, _camera, _delivery, _model):
        add(page)
    return page


def _now(page: build.Dashboard) -> None:
    page.with_row(build.Row("Now"))
    _stat(page, 3, "Station", "Whether the daemon answers Prometheus.", UP_OR_DOWN, f'up{{job="linegate",{HERE[1:]}')
    _stat(page, 3, "Camera", "Down: the camera is being looked for.", UP_OR_DOWN, f"min(linegate_camera_up{HERE})")
    _stat(
        page, 3, "Broker", "Down: verdicts wait on disk until it is back.", UP_OR_DOWN, f"min(linegate_mqtt_up{HERE})"
    )
    _stat(
        page,
        3,
        "Parts per minute",
        "Parts with a verdict.",
        Look(unit="suffix: /min", steps=((None, BLUE),)),
        f"sum(rate(linegate_parts_total{HERE}[$__rate_interval])) * 60",
    )
    share = Look(unit="percentunit", steps=((None, GREEN), (0.05, YELLOW), (0.15, RED)), most=1)
    _stat(page, 3, "Defect share", "Rejected parts of all parts, last 15 minutes.", share, _share("reject", "15m"))
    _stat(page, 3, "Review share", "Parts that a person must look at, last 15 minutes.", share, _share("review", "15m"))
    late = Look(unit="none", steps=((None, GREEN), (1, RED)))
    _stat(
        page,
        3,
        "Late verdicts",
        "Verdicts in the last hour that fell after the part had reached the ejector.",
        late,
        f"sum(increase(linegate_verdicts_late_total{HERE}[1h]))",
    )
    _stat(
        page,
        3,
        "Uptime",
        "Since the daemon started.",
        Look(unit="s", steps=((None, YELLOW), (300, GREEN))),
        f'time() - min(process_start_time_seconds{{job="linegate",{HERE[1:]})',
    )


def _verdicts(page: build.Dashboard) -> None:
    page.with_row(build.Row("Verdicts"))
    _series(
        page,
        12,
        "Verdicts per minute",
        "By decision. What is neither passed nor rejected is for a person to review.",
        Look(unit="suffix: /min", colors=tuple(DECISION_COLORS.items()), stacked=True),
        Query(
            expr=f"sum by (decision) (rate(linegate_parts_total{HERE}[$__rate_interval])) * 60", legend="{{decision}}"
        ),
    )
    _series(
        page,
        6,
        "Defect and review share",
        "Of all parts, over 15 minutes.",
        Look(unit="percentunit", colors=(("reject", RED), ("review", YELLOW)), most=1),
        Query(expr=_share("reject", "15m"), legend="reject"),
        Query(expr=_share("review", "15m"), legend="review"),
    )
    _series(
        page,
        6,
        "Parts by class, last hour",
        "The class that spoke loudest, whatever the decision.",
        Look(unit="none"),
        Query(expr=f"sum by (label) (increase(linegate_parts_total{HERE}[1h]))", legend="{{label}}"),
    )
    _series(
        page,
        12,
        "Parts on their way",
        "Noticed on the belt and not judged yet. It follows the belt's load; a rise without end means lost parts.",
        Look(unit="none"),
        Query(
            expr=f"sum by (instance) (linegate_parts_entered_total{HERE})"
            f" - sum by (instance) (linegate_parts_total{HERE})"
        ),
    )
    _series(
        page,
        12,
        "Late verdicts per minute",
        "Each is a part whose ejector could not act in time.",
        Look(unit="suffix: /min", steps=((None, GREEN), (0.001, RED))),
        Query(expr=f"sum by (instance) (rate(linegate_verdicts_late_total{HERE}[$__rate_interval])) * 60"),
    )


def _speed(page: build.Dashboard) -> None:
    page.with_row(build.Row("Speed"))
    for width, title, about, metric, limit_s in (
        (8, "Inference", "One classification of one view.", "linegate_inference_seconds", 0.02),
        (8, "Frame to verdict", "From the crossing of the gate to the verdict.", _TO_VERDICT, 0.15),
    ):
        steps = ((None, GREEN), (limit_s, YELLOW), (limit_s * 5, RED))
        _series(page, width, title, about, Look(unit="s", steps=steps), *_quantiles(metric))
    _series(
        page,
        8,
        "Stages",
        "Mean time. track: for each frame; classify: for each part with all its views.",
        Look(unit="s"),
        Query(
            expr=f"sum by (stage) (rate(linegate_stage_seconds_sum{HERE}[$__rate_interval]))"
            f" / (sum by (stage) (rate(linegate_stage_seconds_count{HERE}[$__rate_interval])) > 0)",
            legend="{{stage}}",
        ),
    )


def _camera(page: build.Dashboard) -> None:
    page.with_row(build.Row("Camera"))
    _series(
        page,
        8,
        "Frames per second",
        "What the camera delivered.",
        Look(unit="suffix: /s"),
        Query(
            expr=f"sum by (instance, camera) (rate(linegate_frames_total{HERE}[$__rate_interval]))",
            legend="{{instance}} {{camera}}",
        ),
    )
    _series(
        page,
        6,
        "Frames dropped per second",
        "overload: taken, but too late to inspect. camera: never arrived.",
        Look(unit="suffix: /s", steps=((None, GREEN), (1, RED))),
        Query(
            expr=f"sum by (reason) (rate(linegate_frames_dropped_total{HERE}[$__rate_interval]))", legend="{{reason}}"
        ),
    )
    _series(
        page,
        5,
        "Frame age",
        "Since the newest frame was inspected.",
        Look(unit="s", steps=((None, GREEN), (1, YELLOW), (5, RED))),
        Query(expr=f"linegate_frame_age_seconds{HERE}"),
    )
    _timeline(page, 5, "Camera up", "Gaps in the camera.", f"linegate_camera_up{HERE}", "{{instance}} {{camera}}")


def _delivery(page: build.Dashboard) -> None:
    page.with_row(build.Row("Delivery and machine"))
    _timeline(page, 5, "Broker up", "Gaps in the connection.", f"linegate_mqtt_up{HERE}", "{{instance}}")
    _series(
        page,
        5,
        "Outbox: waiting verdicts",
        "On disk, not acknowledged by the broker yet.",
        Look(unit="none", steps=((None, GREEN), (20, YELLOW), (1000, RED))),
        Query(expr=f"linegate_outbox_pending{HERE}"),
    )
    _series(
        page,
        5,
        "Outbox: oldest verdict",
        "How long the oldest of them has waited.",
        Look(unit="s", steps=((None, GREEN), (5, YELLOW), (30, RED))),
        Query(expr=f"linegate_outbox_oldest_seconds{HERE}"),
    )
    process = f'{{job="linegate",{HERE[1:]}'
    _series(
        page,
        5,
        "Processor and memory",
        "Cores in use, and memory as a share of 1 GiB.",
        Look(unit="percentunit"),
        Query(expr=f"rate(process_cpu_seconds_total{process}[$__rate_interval])", legend="{{instance}} core"),
        Query(expr=f"process_resident_memory_bytes{process} / 1073741824", legend="{{instance}} memory / GiB"),
    )
    _series(
        page,
        4,
        "Temperature",
        "Of the processor; a Raspberry Pi slows down from 80 °C on.",
        Look(unit="celsius", steps=((None, GREEN), (70, YELLOW), (80, RED))),
        Query(expr=f"linegate_soc_temperature_celsius{HERE}"),
    )
    _timeline(
        page,
        12,
        "Journal writes",
        "While it does not, parts become review.",
        f"linegate_journal_up{HERE}",
        "{{instance}}",
    )
    _series(
        page,
        12,
        "Written to the disk",
        "In bytes per second, in whole pages: what wears an SD card out.",
        Look(unit="Bps"),
        Query(expr=f"rate(linegate_disk_written_bytes_total{HERE}[$__rate_interval])"),
    )


def _model(page: build.Dashboard) -> None:
    page.with_row(build.Row("Model"))
    _table(page, 12, "Live model", "Name, version and hash as in every verdict.", f"linegate_model_info{HERE}")
    _table(page, 6, "Program", "The version that runs.", f"linegate_build_info{HERE}")
    _series(
        page,
        6,
        "Model changes, last day",
        "By result.",
        Look(unit="none"),
        Query(expr=f"sum by (result) (increase(linegate_model_swaps_total{HERE}[1d]))", legend="{{result}}"),
    )
    _series(
        page,
        12,
        "Drift",
        "How far pictures have gone from those the model learned from.",
        Look(unit="none"),
        Query(expr=f"linegate_drift_score{HERE}", legend="{{instance}} {{signal}}"),
    )
    _timeline(page, 12, "Edge TPU up", "Empty without one.", f"linegate_tpu_up{HERE}", "{{instance}}")


_TO_VERDICT = "linegate_frame_to_verdict_seconds"


def _share(decision: str, window: str) -> str:
    """The share of one decision; no value while no part has passed."""
    chosen = f'{{decision="{decision}",{HERE[1:]}'
    return (
        f"sum(increase(linegate_parts_total{chosen}[{window}]))"
        f" / (sum(increase(linegate_parts_total{HERE}[{window}])) > 0)"
    )


def _quantiles(metric: str) -> list[Query]:
    return [
        Query(
            expr=f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{HERE}[$__rate_interval])))",
            legend=f"p{share * 100:.0f}",
        )
        for share in (0.5, 0.95, 0.99)
    ]


# --- how a panel is made --------------------------------------------------------------------------------


def _stat(page: build.Dashboard, width: int, title: str, about: str, look: Look, expr: str) -> None:
    panel = (
        stat.Panel()
        .color_mode(common.BigValueColorMode.BACKGROUND)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    _dress(panel, width, 4, title, about, look, [Query(expr=expr)])
    page.with_panel(panel)


def _series(page: build.Dashboard, width: int, title: str, about: str, look: Look, *queries: Query) -> None:
    panel = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(30 if look.stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .min(0)
        .legend(
            common_builders.VizLegendOptions()
            .show_legend(True)
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
        )
    )
    if look.stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if len(look.steps) > 1:
        panel.thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.LINE))
    for name, color in look.colors:
        panel.override_by_name(
            name, [dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})]
        )
    _dress(panel, width, 8, title, about, look, queries)
    page.with_panel(panel)


def _timeline(page: build.Dashboard, width: int, title: str, about: str, expr: str, legend: str) -> None:
    panel = statetimeline.Panel().merge_values(True).show_value(common.VisibilityMode.NEVER)
    _dress(panel, width, 8, title, about, UP_OR_DOWN, [Query(expr=expr, legend=legend)])
    page.with_panel(panel)


def _table(page: build.Dashboard, width: int, title: str, about: str, expr: str) -> None:
    hidden = {"Time": True, "Value": True, "__name__": True, "job": True}
    panel = table.Panel().with_transformation(
        dashboard.DataTransformerConfig(id_val="organize", options={"excludeByName": hidden})
    )
    _dress(panel, width, 6, title, about, Look(unit="none"), [Query(expr=expr)], as_table=True)
    page.with_panel(panel)


def _dress(
    panel: Any,
    width: int,
    height: int,
    title: str,
    about: str,
    look: Look,
    queries: Sequence[Query],
    as_table: bool = False,
) -> None:
    """What every kind of panel has: a place, words, a unit, thresholds and queries."""
    panel.title(title).description(about).datasource(SOURCE).span(width).height(height).unit(look.unit)
    steps = [dashboard.Threshold(value=value, color=color) for value, color in look.steps]
    panel.thresholds(build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps))
    if look.most is not None:
        panel.max(look.most)
    if look.words:
        words = {value: dashboard.ValueMappingResult(text=word, color=color) for value, word, color in look.words}
        panel.mappings([dashboard.ValueMap(options=words)])
    for letter, query in zip("ABCDEF", queries, strict=False):
        target = prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend).datasource(SOURCE)
        panel.with_target(target.format(PromQueryFormat.TABLE).instant() if as_table else target.range())


def text() -> str:
    """The dashboard as it is committed."""
    built = dashboard_of_the_line().build()
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    return str(JSONEncoder(sort_keys=True, indent=2).encode(built)) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(text(), encoding="utf-8")
