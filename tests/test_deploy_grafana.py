"""The dashboard: complete, in Prometheus' language, of names that stay, and full of data when a station runs."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploying import DEPLOY, GENERAL, PROMETHEUS, PROMISED, ROOT, free_port, metric_names, need, run

pytestmark = pytest.mark.wall_clock

FOLDER = DEPLOY / "grafana"
BOARD = json.loads((FOLDER / "linegate.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = {
    f"{panel['title']} {target['refId']}": str(target["expr"]) for panel in PANELS for target in panel["targets"]
}
NOT_EVERYWHERE = {
    "linegate_tpu_up": "has an Edge TPU",
    "linegate_soc_temperature_celsius": "has a thermal zone",
    "linegate_drift_score": "has seen enough parts",
    "linegate_model_swaps_total": "has had its model changed",
    "linegate_frames_dropped_total": "has dropped a picture",
}
"""What a station tells only when it …"""


def test_the_committed_file_is_what_the_generator_writes() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk is not installed")
    spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["build"] = module
    spec.loader.exec_module(module)
    assert module.text() == (FOLDER / "linegate.json").read_text()


@pytest.mark.parametrize("panel", PANELS, ids=lambda each: str(each["title"]))
def test_each_panel_has_words_unit_thresholds_and_the_chosen_datasource(panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert panel["description"]
    assert defaults["unit"]
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert [target["datasource"]["uid"] for target in panel["targets"]] == ["${datasource}"] * len(panel["targets"])
    assert panel["datasource"]["uid"] == "${datasource}"


def test_panels_do_not_overlap_and_have_their_own_ids() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in BOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_variables_choose_datasource_and_station() -> None:
    kinds = {each["name"]: each["type"] for each in BOARD["templating"]["list"]}
    assert kinds == {"datasource": "datasource", "station": "query"}


@pytest.mark.parametrize("expr", QUERIES.values(), ids=QUERIES.keys())
def test_each_query_reads_names_that_stay_of_the_chosen_station(expr: str) -> None:
    assert metric_names(expr)
    assert metric_names(expr) <= PROMISED | GENERAL
    assert expr.count('instance=~"$station"') >= 1


def concrete(expr: str) -> str:
    """As Grafana sends it: variables filled in."""
    return expr.replace("$__rate_interval", "20s").replace("$station", ".+")


def test_prometheus_can_parse_each_query(tmp_path: Path) -> None:
    rules = [{"record": f"query:{n}", "expr": concrete(expr)} for n, expr in enumerate(QUERIES.values())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = run(need("promtool", "prometheus"), "check", "rules", path)
    assert f"SUCCESS: {len(rules)} rules found" in done.stdout, done.stdout + done.stderr


def test_every_promised_metric_is_on_the_dashboard() -> None:
    assert set().union(*map(metric_names, QUERIES.values())) >= PROMISED


# --- a station that runs, and a Prometheus that scrapes it ------------------------------------------------


def started(stack: ExitStack, *command: str | Path, log: Path) -> None:
    with log.open("w") as output:
        process = subprocess.Popen([str(each) for each in command], cwd=ROOT, stdout=output, stderr=output)

    def stop() -> None:
        process.terminate()
        process.wait(20)

    stack.callback(stop)


class Prometheus:
    """A real one, asked over HTTP."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **arguments: str) -> Any:
        with urllib.request.urlopen(f"{self.address}/{path}?{urllib.parse.urlencode(arguments)}", timeout=5) as answer:
            return json.load(answer)["data"]

    def values(self, expr: str) -> list[float]:
        return [float(each["value"][1]) for each in self.get("query", query=expr)["result"]]

    def wait_for(self, expr: str, seconds: float, log: Path) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if any(self.values(expr)):
                    return
            except OSError:
                pass
            time.sleep(0.5)
        pytest.fail(f"{expr} did not come true in {seconds} s; the daemon said: {log.read_text()[-2000:]}")


def scrape_config(folder: Path, target: str) -> Path:
    """Ours, with the station's port and a scrape every second."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    shutil.copy(PROMETHEUS / "linegate.rules.yml", folder)
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus after it has watched a simulated station at work for a while."""
    program = need("prometheus", "prometheus")
    model = (ROOT / "models" / "current").resolve()
    assert model.is_dir(), "no model is on the shelf"
    folder = tmp_path_factory.mktemp("scraped")
    page, broker, own = free_port(), free_port(), free_port()
    config = folder / "config.yaml"
    config.write_text(
        f"source: {{simulator: {{parts_per_minute: 120}}}}\nmodel: {{shelf: {ROOT / 'models'}}}\n"
        f"mqtt: {{port: {broker}}}\njournal: {{path: {folder / 'journal.sqlite'}}}\nhttp: {{port: {page}}}\n"
    )
    log = folder / "daemon.log"
    with ExitStack() as stack:
        if os.access("/usr/sbin/mosquitto", os.X_OK):
            started(stack, "/usr/sbin/mosquitto", "-p", str(broker), log=folder / "broker.log")
        started(stack, sys.executable, "-m", "edge", "run", "--config", config, log=log)
        listen, keep = f"--web.listen-address=127.0.0.1:{own}", f"--storage.tsdb.path={folder / 'tsdb'}"
        settings = f"--config.file={scrape_config(folder, f'127.0.0.1:{page}')}"
        started(stack, program, settings, listen, keep, "--log.level=warn", log=folder / "prometheus.log")
        prometheus = Prometheus(own)
        prometheus.wait_for("sum(increase(linegate_parts_total[20s])) > 3", 60, log)
        yield prometheus


@pytest.mark.parametrize("expr", QUERIES.values(), ids=QUERIES.keys())
def test_each_query_has_an_answer_from_a_running_station(scraped: Prometheus, expr: str) -> None:
    values = scraped.values(concrete(expr))
    assert values or metric_names(expr) & NOT_EVERYWHERE.keys()
    assert all(math.isfinite(value) for value in values), values


def test_the_station_variable_finds_the_station(scraped: Prometheus) -> None:
    found = scraped.get("label/instance/values", **{"match[]": "linegate_build_info"})
    assert len(found) == 1


def test_the_alerts_are_evaluated_and_a_healthy_station_is_silent(scraped: Prometheus) -> None:
    rules = [rule for group in scraped.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 5
    assert {rule["health"] for rule in rules} == {"ok"}
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
