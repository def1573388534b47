"""`config.yaml` read once into frozen dataclasses; every mistake is reported, with its line.

Each field says its default, range and unit; `config.yaml` at the top of the project is the manual for people.
"""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


class ConfigError(Exception):
    """All mistakes found in one file, one line each, ready to be printed."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def number(default: float, low: float, high: float, unit: str) -> Any:
    """A field that holds a number between `low` and `high`, both allowed."""
    return field(default=default, metadata={"low": low, "high": high, "unit": unit})


def choice(default: str, *allowed: str) -> Any:
    """A field that holds one of a few words."""
    return field(default=default, metadata={"allowed": allowed})


def name(default: str) -> Any:
    """A field that becomes part of MQTT topics and file names: letters, digits, `-`, `_` and `.`."""
    return field(default=default, metadata={"name": True})


def share() -> Any:
    """A field `[left, top, right, bottom]` as shares of the picture; the default is all of it."""
    return field(default=(0.0, 0.0, 1.0, 1.0), metadata={"region": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Who speaks: part of every topic and every verdict."""

    site: str = name("plant1")
    line: str = name("line1")
    station: str = name("cam1")
    recipe: str = name("default")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSource:
    """The belt simulator."""

    width_px: int = number(640, 160, 1920, "px")
    height_px: int = number(480, 120, 1080, "px")
    fps: float = number(30.0, 1.0, 240.0, "frames/s")
    seed: int = number(1, 0, 2**31 - 1, "")
    speed_px_s: float = number(180.0, 10.0, 4000.0, "px/s")
    parts_per_minute: float = number(60.0, 1.0, 3000.0, "1/min")
    part_px: float = number(110.0, 20.0, 600.0, "px")
    defect_share: float = number(0.3, 0.0, 1.0, "")
    noise: float = number(3.0, 0.0, 40.0, "grey levels")
    vibration_px: float = number(0.4, 0.0, 10.0, "px")
    lighting: float = number(0.08, 0.0, 0.6, "")
    lanes: int = number(1, 1, 6, "")
    direction: str = choice("right", "right", "left", "down", "up")
    scenario: str = choice(
        "clean", "clean", "touching", "flicker", "vibration", "seams", "dropped", "stop", "reverse", "two-lanes"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSource:
    """A recorded clip or a folder of pictures."""

    path: str = ""
    paced: bool = True
    repeat: bool = False
    fps: float = number(30.0, 0.1, 1000.0, "frames/s")


@dataclass(frozen=True, slots=True, kw_only=True)
class PicameraSource:
    """A Raspberry Pi camera through picamera2."""

    index: int = number(0, 0, 9, "")
    width_px: int = number(640, 64, 4608, "px")
    height_px: int = number(480, 64, 2592, "px")
    fps: float = number(30.0, 1.0, 240.0, "frames/s")
    exposure_us: int = number(2000, 0, 1000000, "µs")
    gain: float = number(1.0, 0.0, 64.0, "")
    color: bool = False
    triggered: bool = False


Source = SimulatorSource | ClipSource | PicameraSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Which source the line looks through, and the settings of each kind."""

    kind: str = choice("simulator", "simulator", "clip", "picamera")
    simulator: SimulatorSource = SimulatorSource()
    clip: ClipSource = ClipSource()
    picamera: PicameraSource = PicameraSource()

    @property
    def chosen(self) -> Source:
        """The section that `kind` names."""
        section: Source = getattr(self, self.kind)
        return section


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """How the belt moves and what a part looks like on it."""

    direction: str = choice("auto", "auto", "right", "left", "down", "up")
    gate: float = number(0.5, 0.05, 0.95, "share of the picture")
    region: tuple[float, float, float, float] = share()
    part_min_px: float = number(0.0, 0.0, 2000.0, "px")
    speed_px_s: float = number(0.0, 0.0, 10000.0, "px/s")
    views: int = number(3, 1, 9, "")
    margin: float = number(0.08, 0.0, 0.5, "share of the part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Which classifier, and what runs it."""

    shelf: str = "models"
    runtime: str = choice("auto", "auto", "litert", "tflite-runtime")
    threads: int = number(1, 1, 4, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the connection to the broker is protected."""

    enabled: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mqtt:
    """The broker that carries verdicts to the PLC gateway."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = number(1883, 1, 65535, "")
    prefix: str = "linegate/{site}/{line}/{station}"
    username: str = ""
    password_file: str = ""
    keepalive_s: int = number(10, 2, 600, "s")
    inflight: int = number(20, 1, 1000, "messages")
    expiry_s: int = number(0, 0, 31536000, "s")
    commands: bool = False
    tls: Tls = Tls()


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """Where verdicts are kept before anyone else sees them."""

    path: str = "var/journal.sqlite"
    keep_days: float = number(30.0, 0.01, 3650.0, "days")
    keep_mb: float = number(1000.0, 1.0, 100000.0, "MB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """The output that works the reject gate."""

    enabled: bool = False
    pin: int = number(17, 0, 27, "")
    active_high: bool = True
    drives: str = choice("reject", "reject", "pass")
    delay_s: float = number(0.5, 0.0, 600.0, "s")
    distance_px: float = number(0.0, 0.0, 100000.0, "px")
    pulse_s: float = number(0.05, 0.002, 10.0, "s")
    tolerance_s: float = number(0.02, 0.0, 1.0, "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Pictures of judged parts on disk."""

    enabled: bool = False
    folder: str = "var/archive"
    keep_mb: float = number(2000.0, 1.0, 100000.0, "MB")
    free_mb: float = number(500.0, 0.0, 100000.0, "MB")
    pass_every: int = number(100, 0, 1000000, "")
    quality: int = number(85, 1, 100, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """The operator's page and the metrics."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = number(8080, 0, 65535, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What is written to standard error (under systemd: to the system's journal)."""

    level: str = choice("info", "debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything `config.yaml` can say."""

    station: Station = Station()
    source: Sources = Sources()
    tracking: Tracking = Tracking()
    model: Model = Model()
    mqtt: Mqtt = Mqtt()
    journal: Journal = Journal()
    reject: Reject = Reject()
    archive: Archive = Archive()
    http: Http = Http()
    log: Log = Log()


def load(path: Path) -> Config:
    """Read a configuration file; raises `ConfigError` with every mistake in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror}); give another file with --config"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text; save it as UTF-8"]) from None
    return parse(text, str(path))


def parse(text: str, origin: str = "config") -> Config:
    """Read configuration from text; `origin` is the name that mistakes begin with."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{origin}:{mark.line + 1}" if mark else origin
        raise ConfigError([f"{where}: is not YAML ({error.problem}); mind the indentation"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{origin}: is not YAML ({' '.join(str(error).split())})"]) from None
    reader = _Reader(origin)
    config = reader.section(Config, root, "") if root is not None else Config()
    if reader.mistakes:
        raise ConfigError(reader.mistakes)
    return typing.cast(Config, config)


def keys(section: type = Config, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Every key with its field, as `("mqtt.tls.ca_file", field)`, in the order of the file."""
    for each, kind in _fields(section):
        path = f"{prefix}{each.name}"
        if dataclasses.is_dataclass(kind):
            yield from keys(typing.cast(type, kind), f"{path}.")
        else:
            yield path, each


def _fields(section: type) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    kinds = typing.get_type_hints(section)
    for each in dataclasses.fields(section):
        yield each, kinds[each.name]


class _Reader:
    """Walks the YAML nodes (which know their lines) beside the dataclasses (which know what is allowed)."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.mistakes: list[str] = []

    def wrong(self, node: yaml.Node, path: str, problem: str) -> None:
        self.mistakes.append(f"{self.origin}:{node.start_mark.line + 1}: {path}{': ' if path else ''}{problem}")

    def section(self, kind: type, node: yaml.Node, path: str) -> Any:
        """Build one dataclass; on a mistake the default stays, so that later mistakes are found too."""
        if _is_null(node):
            return kind()
        if not isinstance(node, yaml.MappingNode):
            self.wrong(
                node, path.removesuffix("."), "must be a section with keys, such as " + ", ".join(_names(kind)[:3])
            )
            return kind()
        known = {each.name: (each, hint) for each, hint in _fields(kind)}
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in values:
                self.wrong(key_node, f"{path}{key}", "is given twice; keep one")
            elif key not in known:
                self.wrong(key_node, f"{path}{key}", "is not a known key" + _nearest(key, tuple(known)))
            else:
                each, hint = known[key]
                if dataclasses.is_dataclass(hint):
                    values[key] = self.section(typing.cast(type, hint), value_node, f"{path}{key}.")
                else:
                    values[key] = self.value(each, hint, value_node, f"{path}{key}")
        return kind(**values)

    def value(self, each: dataclasses.Field[Any], hint: Any, node: yaml.Node, path: str) -> Any:
        try:
            return _checked(each, hint, _plain(node))
        except ValueError as problem:
            self.wrong(node, path, str(problem))
            return each.default


def _plain(node: yaml.Node) -> Any:
    try:
        return _construct(node)
    except (yaml.YAMLError, ValueError):
        raise ValueError("cannot be read; write a plain value") from None


def _construct(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    finally:
        loader.dispose()


def _checked(each: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    """The value in the field's own type; raises `ValueError` with what is allowed."""
    if isinstance(hint, types.GenericAlias):
        return _region(value)
    if hint is bool:
        if not isinstance(value, bool):
            raise ValueError(f"is {reprlib.repr(value)}; allowed: true, false")
        return value
    if hint is str:
        return _word(each, value)
    return _number(each, hint, value)


def _number(each: dataclasses.Field[Any], hint: Any, value: Any) -> float | int:
    low, high, unit = (each.metadata[key] for key in ("low", "high", "unit"))
    allowed = f"allowed: {low:g} to {high:g}{' ' + unit if unit else ''}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"is {reprlib.repr(value)}, not a number; {allowed}")
    if not low <= value <= high:
        raise ValueError(f"is {value:g}; {allowed}")
    if hint is int and value != int(value):
        raise ValueError(f"is {value:g}, not a whole number; {allowed}")
    return int(value) if hint is int else float(value)


def _word(each: dataclasses.Field[Any], value: Any) -> str:
    allowed = each.metadata.get("allowed")
    if allowed and value not in allowed:
        raise ValueError(
            f"is {reprlib.repr(value)}; allowed: {', '.join(allowed)}{_nearest(str(value), list(allowed))}"
        )
    if not isinstance(value, str):
        raise ValueError(f"is {reprlib.repr(value)}, not text; put it in quotes")
    if each.metadata.get("name") and not (value and all(c.isascii() and (c.isalnum() or c in "-_.") for c in value)):
        raise ValueError(f"is {reprlib.repr(value)}; allowed: letters, digits, - _ . (it becomes part of topics)")
    return value


def _region(value: Any) -> tuple[float, float, float, float]:
    allowed = "[left, top, right, bottom] with 0 <= left < right <= 1, 0 <= top < bottom <= 1"
    problem = f"is {reprlib.repr(value)}; allowed: {allowed}"
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError(problem)
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in value):
        raise ValueError(problem)
    left, top, right, bottom = (float(each) for each in value)
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(problem)
    return left, top, right, bottom


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _names(kind: type) -> list[str]:
    return [each.name for each in dataclasses.fields(kind)]


def _nearest(word: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(allowed)}"
