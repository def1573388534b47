"""Where frames come from: one door, one file per kind."""

from __future__ import annotations

import edge.config
from edge.domain import Source


def open_source(config: edge.config.Source) -> Source:
    """The source that the type of its section asks for; raises `SourceError` when it can never work."""
    match config:
        case edge.config.SimulatorSource():
            from edge.sources.simulator import Simulator

            return Simulator(config)
        case edge.config.ClipSource():
            from edge.sources.clip import Clip

            return Clip(config)
        case edge.config.PicameraSource():
            from edge.sources.picamera import Picamera

            return Picamera(config)
