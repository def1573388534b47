"""Scrape configuration and alerts, tried by Prometheus' own tool."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploying import GENERAL, PROMETHEUS, PROMISED, metric_names, need, run

pytestmark = pytest.mark.wall_clock

RULES = PROMETHEUS / "linegate.rules.yml"
CASES = PROMETHEUS / "linegate.rules.test.yml"


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture
def promtool() -> str:
    return need("promtool", "prometheus")


@pytest.mark.parametrize(
    "command",
    [("check", "config", "prometheus.yml"), ("check", "rules", RULES.name), ("test", "rules", CASES.name)],
    ids=" ".join,
)
def test_prometheus_accepts(promtool: str, command: tuple[str, ...]) -> None:
    done = run(promtool, *command[:2], PROMETHEUS / command[2])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", alerts(), ids=lambda each: str(each["alert"]))
def test_each_alert_is_tried_both_ways(alert: dict[str, Any]) -> None:
    checks = [each for case in yaml.safe_load(CASES.read_text())["tests"] for each in case["alert_rule_test"]]
    mine = [bool(each["exp_alerts"]) for each in checks if each["alertname"] == alert["alert"]]
    assert set(mine) == {True, False}


@pytest.mark.parametrize("alert", alerts(), ids=lambda each: str(each["alert"]))
def test_each_alert_says_what_to_do_about_names_that_stay(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["action"]
    names = metric_names(alert["expr"])
    assert names
    assert names <= PROMISED | GENERAL


def test_the_cases_would_notice_a_changed_limit(promtool: str, tmp_path: Path) -> None:
    shutil.copy(CASES, tmp_path)
    changed = RULES.read_text().replace("linegate_outbox_oldest_seconds > 30", "linegate_outbox_oldest_seconds > 300")
    assert changed != RULES.read_text()
    (tmp_path / RULES.name).write_text(changed)
    assert run(promtool, "test", "rules", tmp_path / CASES.name).returncode != 0
