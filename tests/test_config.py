"""The configuration: the file is the manual, and each mistake has its line."""

import dataclasses
import itertools
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edge.__main__ import main
from edge.config import Config, ConfigError, keys, load, parse

ROOT = Path(__file__).parents[1]
MANUAL = ROOT / "config.yaml"


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml")
    return caught.value.mistakes


def test_the_shipped_file_says_the_defaults() -> None:
    assert load(MANUAL) == Config()


def test_the_shipped_file_has_every_key_with_a_comment() -> None:
    def paths(node: object, prefix: str = "") -> set[str]:
        if not isinstance(node, dict):
            return {prefix[:-1]}
        return set().union(*(paths(value, f"{prefix}{key}.") for key, value in node.items()))

    text = MANUAL.read_text(encoding="utf-8")
    assert paths(yaml.safe_load(text)) == {path for path, _ in keys()}
    bare = [line for line in text.splitlines() if line.strip() and "#" not in line]
    assert bare == []


@pytest.mark.parametrize(("path", "field"), list(keys()), ids=lambda value: value if isinstance(value, str) else "")
def test_the_shipped_comment_states_the_range(path: str, field: dataclasses.Field) -> None:
    lines = MANUAL.read_text(encoding="utf-8").splitlines()[line_of(path) :]
    more = itertools.takewhile(lambda line: line.strip().startswith("# ") and line.startswith("  "), lines[1:])
    comment = " ".join(line.split("#", 1)[1] for line in [lines[0], *more])
    for word in field.metadata.get("allowed", ()):
        assert word in comment
    for bound in ("low", "high"):
        if bound in field.metadata:
            assert f"{field.metadata[bound]:g}" in comment or str(field.metadata[bound]) in comment


def line_of(path: str) -> int:
    """Where the shipped file sets a key, counted from 0."""
    node = yaml.compose(MANUAL.read_text(encoding="utf-8"))
    for name in path.split("."):
        key, node = next((key, value) for key, value in node.value if key.value == name)
    return key.start_mark.line


def test_every_mistake_is_told_with_line_allowed_values_and_nearest_key() -> None:
    found = mistakes(
        "mqqt: 3\nmqtt:\n  prot: 1\n  port: 99999\n  enabled: yess\ntracking:\n  gate: high\n  region: [0, 0, 2]\n"
        "source: {kind: picam}\nstation:\n  site: 'a/b'\n  line: [1]\n  line: x\njournal: 7\n"
    )
    starts = [re.match(r"c\.yaml:(\d+): ([\w.]+): ", each).groups() for each in found]
    assert starts == [
        ("1", "mqqt"),
        ("3", "mqtt.prot"),
        ("4", "mqtt.port"),
        ("5", "mqtt.enabled"),
        ("7", "tracking.gate"),
        ("8", "tracking.region"),
        ("9", "source.kind"),
        ("11", "station.site"),
        ("12", "station.line"),
        ("13", "station.line"),
        ("14", "journal"),
    ]
    assert "did you mean 'mqtt'" in found[0]
    assert "did you mean 'port'" in found[1]
    assert "1 to 65535" in found[2]
    assert "allowed: simulator, clip, picamera" in found[6]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "is not YAML"),
        ("\ttab: 1", "is not YAML"),
        ("- list", "must be a section"),
        ("mqtt: {port: .nan}", "allowed: 1 to 65535"),
        ("mqtt: {port: 1.5}", "whole number"),
        ("mqtt: {port: true}", "not a number"),
        ("mqtt: {host: 12}", "put it in quotes"),
        ("mqtt: {host: !!python/name:os.system x}", "plain value"),
        ("mqtt: {host: 2026-13-45}", "plain value"),
        ("tracking: {region: [0.5, 0, 0.5, 1]}", "left < right"),
        ("tracking: {region: &loop [*loop, 0, 1, 1]}", ""),
    ],
)
def test_bad_text_is_one_line(text: str, says: str) -> None:
    (told,) = mistakes(text)
    assert says in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("encoder: {kind: simulator}\nsource: {kind: clip}", "c.yaml: encoder.kind: "),
        ("reject: {enabled: true}", "c.yaml: reject.distance_px: measure"),
        ("reject: {enabled: true}\nencoder: {kind: gpio}", "c.yaml: reject.distance_px: measure"),
        (
            "reject: {enabled: true, distance_px: 9}\nsource: {kind: picamera, picamera: {triggered: true}}",
            "c.yaml: reject.follow: a triggered camera",
        ),
        (
            "encoder: {kind: gpio, pin: 25}\nphoto_eye: {enabled: true}",
            "c.yaml: photo_eye.pin: GPIO 25 is encoder.pin already",
        ),
        (
            "reject: {enabled: true, follow: time, stop_pin: 17}",
            "c.yaml: reject.stop_pin: GPIO 17 is reject.pin already",
        ),
    ],
)
def test_sections_that_do_not_fit_together_are_one_line(text: str, says: str) -> None:
    (told,) = mistakes(text)
    assert told.startswith(says)


@pytest.mark.parametrize(
    "text",
    [
        "reject: {enabled: true, follow: time}",
        "reject: {enabled: true, distance_px: 900}",
        "reject: {enabled: true, distance_px: 9}\nencoder: {kind: gpio}\n"
        "source: {kind: picamera, picamera: {triggered: true}}",
        "encoder: {kind: gpio, pin: 17}\nreject: {pin: 17}",
    ],
)
def test_sections_that_fit_together_are_accepted(text: str) -> None:
    assert parse(text)


def test_an_empty_file_and_an_empty_section_mean_the_defaults() -> None:
    assert parse("") == parse("mqtt:\n") == Config()


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        understood = isinstance(parse(text), Config)
    except ConfigError as error:
        understood = bool(error.mistakes)
    assert understood


def test_check_exits_78_and_prints_all_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mqtt: {prot: 1}\nhttp: {port: -1}\n")
    assert main(["check", "--config", str(path)]) == 78
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert all(str(path) in line for line in told)


def test_check_accepts_the_shipped_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(MANUAL)]) == 0
    assert "no mistakes" in capsys.readouterr().out


def test_a_missing_file_is_a_configuration_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(tmp_path / "none.yaml")]) == 78
    assert "No such file" in capsys.readouterr().err
