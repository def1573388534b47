"""The one door to the pins of a Raspberry Pi: the only file that knows gpiozero.

API: https://gpiozero.readthedocs.io/en/stable/. Every `factory` is gpiozero's, when not the machine's own.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

MODULES = Path("/sys/module")


class NoPin(OSError):
    """There is no such pin on this machine; one line that says what to do."""


class Output(Protocol):
    """A pin that is driven."""

    value: int | bool

    def close(self) -> None:
        """Let go of the pin: it becomes an input."""


class Input(Protocol):
    """A pin that is listened to until `close`."""

    def close(self) -> None:
        """Stop listening."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the configuration asks for, to be named when it cannot be had."""

    key: str
    off: str
    """The line of configuration that does without."""


def look(wish: Wish) -> str:
    """What works the pins of this machine; none is taken. Raises `NoPin`."""

    def named(gpiozero: Any) -> str:
        gpiozero.Device.ensure_pin_factory()
        factory = gpiozero.Device.pin_factory
        return f"{factory.board_info.description} by {type(factory).__name__}"

    told: str = _taken(wish, "pins", named)
    return told


def keeps_levels(modules: Path = MODULES) -> bool:
    """Whether a pin keeps the level it was driven to when its process is killed; else the kernel lets go of it.

    Kernels of Raspberry Pi OS do by default: https://github.com/raspberrypi/linux/pull/6150.
    """
    return any(each.read_text().strip() in "1Yy" for each in modules.glob("pinctrl_*/parameters/persist_gpio_outputs"))


def open_output(wish: Wish, pin: int, *, active_high: bool = True, factory: Any = None) -> Output:
    """Take a pin and set it to rest; raises `NoPin`."""

    def made(gpiozero: Any) -> Any:
        return gpiozero.OutputDevice(pin, active_high=active_high, initial_value=False, pin_factory=factory)

    output: Output = _taken(wish, str(pin), made)
    return output


def open_switch(
    wish: Wish, pin: int, heard: Callable[[bool, float], None], *, active_high: bool, factory: Any = None
) -> Input:
    """Tell `heard` each change as `(active, at_s)`, at_s on `time.monotonic()`, in a thread of gpiozero's.

    The pin is pulled to its resting level, so a cut wire rests. Raises `NoPin`.
    """

    def made(gpiozero: Any) -> Any:
        device = gpiozero.DigitalInputDevice(pin, pull_up=not active_high, pin_factory=factory)
        device.when_activated = lambda: heard(True, time.monotonic())
        device.when_deactivated = lambda: heard(False, time.monotonic())
        return device

    switch: Input = _taken(wish, str(pin), made)
    return switch


def open_counter(
    wish: Wish, pin: int, pin_b: int | None, heard: Callable[[int, float], None], *, factory: Any = None
) -> Input:
    """Tell `heard` each pulse as `(1 or -1, at_s)`; without `pin_b` there is no direction, and each counts 1.

    With `pin_b` a pulse is a full cycle of a quadrature encoder. Both pins are pulled up. Raises `NoPin`.
    """

    def tachometer(gpiozero: Any) -> Any:
        device = gpiozero.DigitalInputDevice(pin, pull_up=True, pin_factory=factory)
        device.when_activated = lambda: heard(1, time.monotonic())
        return device

    def quadrature(gpiozero: Any) -> Any:
        device = gpiozero.RotaryEncoder(pin, pin_b, max_steps=0, pin_factory=factory)
        device.when_rotated_clockwise = lambda: heard(1, time.monotonic())
        device.when_rotated_counter_clockwise = lambda: heard(-1, time.monotonic())
        return device

    pins = str(pin) if pin_b is None else f"{pin} and {pin_b}"
    counter: Input = _taken(wish, pins, tachometer if pin_b is None else quadrature)
    return counter


def _taken(wish: Wish, pins: str, make: Callable[[Any], Any]) -> Any:
    """What `make` opens with gpiozero; whatever a machine without GPIO says becomes one line."""
    try:
        import gpiozero
    except ImportError:
        raise NoPin(f"{wish.key}: gpiozero is not installed; pip install 'linegate[gpio]', or set {wish.off}") from None
    try:
        with warnings.catch_warnings():  # one for each library that is not there; what is raised says it all
            warnings.simplefilter("ignore", gpiozero.PinFactoryFallback)
            return make(gpiozero)
    except (gpiozero.GPIOZeroError, OSError) as error:
        reason = " ".join(str(error).split())
        raise NoPin(
            f"{wish.key}: GPIO {pins} cannot be used ({reason}); run on a Raspberry Pi with python3-lgpio, "
            f"as a user of group gpio, or set {wish.off}"
        ) from None
