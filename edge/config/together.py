"""What no single key can be wrong about: sections that do not fit together."""

from __future__ import annotations

from collections.abc import Iterator

from edge.config.sections import Config, PicameraSource, SimulatorSource


def mistakes(config: Config) -> Iterator[str]:
    """One line for each, beginning with the key to change."""
    if config.encoder.kind == "simulator" and not isinstance(config.source.chosen, SimulatorSource):
        yield "encoder.kind: simulator counts the simulated belt; set source.kind: simulator, or gpio"
    if config.reject.enabled and config.reject.follow == "belt":
        yield from _followed(config)
    yield from _pins_taken_twice(config)


def _followed(config: Config) -> Iterator[str]:
    """A gate that follows the belt has to know how far away it is, and somebody has to see the belt."""
    if not config.reject.distance_px:
        yield (
            "reject.distance_px: measure the way to the reject gate (docs/reject.md), "
            "or set reject.follow: time and reject.delay_s"
        )
    source = config.source.chosen
    if isinstance(source, PicameraSource) and source.triggered and config.encoder.kind == "none":
        yield (
            "reject.follow: a triggered camera does not see how the belt moves; set encoder.kind: gpio, "
            "or reject.follow: time"
        )


def _pins_taken_twice(config: Config) -> Iterator[str]:
    """Each pin has one job."""
    reject, encoder, eye = config.reject, config.encoder, config.photo_eye
    taken: dict[int, str] = {}
    for key, pin, used in (
        ("reject.pin", reject.pin, reject.enabled),
        ("reject.stop_pin", reject.stop_pin, reject.enabled),
        ("encoder.pin", encoder.pin, encoder.kind == "gpio"),
        ("encoder.pin_b", encoder.pin_b, encoder.kind == "gpio"),
        ("photo_eye.pin", eye.pin, eye.enabled),
    ):
        if used and pin in taken:
            yield f"{key}: GPIO {pin} is {taken[pin]} already; take another"
        if used and pin >= 0:
            taken.setdefault(pin, key)
