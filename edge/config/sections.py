"""The sections of `config.yaml` as frozen dataclasses: each field says its default, range and unit."""

from __future__ import annotations

from dataclasses import dataclass

from edge.config.fields import choice, hosts, name, number, share


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
        "clean",
        "clean", "touching", "overlapping", "flicker", "vibration", "seams", "bar", "dropped", "stop", "reverse",
        "speeds", "wrong-speed", "side", "taken", "hand", "two-lanes", "opposed", "empty", "full", "crowded",
    )  # fmt: skip


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
    look_at: str = choice("needed", "needed", "all")
    margin: float = number(0.08, 0.0, 0.5, "share of the part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Which classifier, and what runs it."""

    shelf: str = "models"
    keys: str = ""
    unsigned: str = choice("refuse", "refuse", "allow")
    labels: str = ""
    budget_ms: float = number(0.0, 0.0, 10000.0, "ms")
    keep: int = number(5, 2, 1000, "")
    flash_from: str = ""
    probation_parts: int = number(200, 0, 1000000, "")
    shadow_share: float = number(1.0, 0.0, 1.0, "")
    shadow_folder: str = "var/shadow"
    runtime: str = choice("auto", "auto", "litert", "tflite-runtime")
    threads: int = number(1, 1, 4, "")
    delegate: str = choice("none", "none", "edgetpu")
    delegate_library: str = "libedgetpu.so.1"
    hurry_s: float = number(0.1, 0.005, 60.0, "s")
    deadline_s: float = number(0.0, 0.0, 600.0, "s")


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
class Sparkplug:
    """A view for SCADA systems, over the same broker."""

    enabled: bool = False
    group: str = "{site}"
    node: str = "{line}-{station}"
    device: str = "inspection"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeAssistant:
    """Announcement of the station to Home Assistant, over the same broker."""

    enabled: bool = False
    prefix: str = "homeassistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """Where verdicts are kept before anyone else sees them."""

    path: str = "var/journal.sqlite"
    keep_days: float = number(30.0, 0.01, 3650.0, "days")
    keep_mb: float = number(1000.0, 1.0, 100000.0, "MB")
    commits_per_s: float = number(50.0, 0.1, 1000.0, "1/s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """The output that works the reject gate."""

    enabled: bool = False
    pin: int = number(17, 0, 27, "")
    active_high: bool = True
    drives: str = choice("reject", "reject", "pass")
    follow: str = choice("belt", "belt", "time")
    distance_px: float = number(0.0, 0.0, 100000.0, "px")
    delay_s: float = number(0.5, 0.0, 600.0, "s")
    pulse_s: float = number(0.05, 0.002, 10.0, "s")
    tolerance_s: float = number(0.02, 0.0, 1.0, "s")
    belt_stop_s: float = number(0.3, 0.02, 60.0, "s")
    stop_pin: int = number(-1, -1, 27, "")
    stop_s: float = number(1.0, 0.01, 600.0, "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """What counts the way of the belt."""

    kind: str = choice("none", "none", "gpio", "simulator")
    pin: int = number(23, 0, 27, "")
    pin_b: int = number(-1, -1, 27, "")
    px_per_pulse: float = number(1.0, 0.001, 1000.0, "px")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoEye:
    """A light barrier over the belt that counts parts beside the camera."""

    enabled: bool = False
    pin: int = number(25, 0, 27, "")
    active_high: bool = True
    distance_px: float = number(0.0, -100000.0, 100000.0, "px")
    match_px: float = number(40.0, 1.0, 10000.0, "px")


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
    names: str = hosts()


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
    sparkplug: Sparkplug = Sparkplug()
    home_assistant: HomeAssistant = HomeAssistant()
    journal: Journal = Journal()
    reject: Reject = Reject()
    encoder: Encoder = Encoder()
    photo_eye: PhotoEye = PhotoEye()
    archive: Archive = Archive()
    http: Http = Http()
    log: Log = Log()
