"""`config.yaml` read once into frozen dataclasses; the file at the top of the project is the manual for people."""

from edge.config.reader import ConfigError, keys, load, parse
from edge.config.sections import (
    Archive,
    ClipSource,
    Config,
    Http,
    Journal,
    Log,
    Model,
    Mqtt,
    PicameraSource,
    Reject,
    SimulatorSource,
    Source,
    Sources,
    Station,
    Tls,
    Tracking,
)

__all__ = [
    "Archive",
    "ClipSource",
    "Config",
    "ConfigError",
    "Http",
    "Journal",
    "Log",
    "Model",
    "Mqtt",
    "PicameraSource",
    "Reject",
    "SimulatorSource",
    "Source",
    "Sources",
    "Station",
    "Tls",
    "Tracking",
    "keys",
    "load",
    "parse",
]
