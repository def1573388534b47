"""What is wired to the machine around the line: the belt's count, the reject gate, the photo-eye."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from threading import Event
from typing import Any

from edge.belt import Belt, Clockwork, EncoderBelt, FollowedTracker, PhotoEye, SimulatedEncoder, TrackedBelt, Witness
from edge.config import Config
from edge.domain import Part, Source, Tracker, Verdict
from edge.sinks.reject import Forecast, RejectOutput

Say = Callable[[Mapping[str, Any]], None]
UNKNOWN = Forecast(at_s=None, late=False)


class Machine:
    """Built from the configuration; the line does not know it.

    For each frame and in this order: the tracker that `followed` gave is updated, `seen` is called for each part,
    and `looked` when all of them were.
    """

    def __init__(
        self,
        config: Config,
        *,
        on_late: Callable[[Verdict, str], None],
        on_unwitnessed: Callable[[Part], None],
        on_encoder: Callable[[bool], None],
    ) -> None:
        """Take the pins; raises `NoPin`."""
        self.tracked = TrackedBelt(config.reject.belt_stop_s)
        self._encoder: EncoderBelt | None = None
        self._simulated: SimulatedEncoder | None = None
        self._eye: PhotoEye | None = None
        self.witness: Witness | None = None
        self.reject: RejectOutput | None = None
        with ExitStack() as undo:
            if config.encoder.kind == "gpio":
                self._encoder = EncoderBelt(
                    config.encoder, self.tracked, on_silent=lambda silent: on_encoder(not silent)
                )
                undo.callback(self._encoder.close)
            if config.encoder.kind == "simulator":
                self._simulated = SimulatedEncoder(config.encoder, self.tracked, config.source.simulator.speed_px_s)
            if config.photo_eye.enabled:
                self.witness = Witness(config.photo_eye, self._encoder or self.tracked, on_unwitnessed=on_unwitnessed)
                self._eye = PhotoEye(config.photo_eye, self.witness)
                undo.callback(self._eye.close)
            if config.reject.enabled:
                self.reject = RejectOutput(config.reject, self._belt(config), on_late=on_late)
            undo.pop_all()

    def _belt(self, config: Config) -> Belt:
        """The best count there is."""
        if config.reject.follow == "time":
            return Clockwork()
        return self._encoder or self._simulated or self.tracked

    def followed(self, tracker: Tracker) -> Tracker:
        """The tracker, with an ear for what it says of the belt."""
        return FollowedTracker(tracker, self.tracked)

    def opened(self, source: Source) -> Source:
        """A source was opened; the simulated encoder counts its belt."""
        if self._simulated is not None:
            self._simulated.watch(source)  # type: ignore[arg-type]  # config/together.py: it is the simulator
        return source

    def seen(self, part: Part) -> None:
        """A part is settled and about to be judged."""
        if self.reject is not None:
            self.reject.expect(part)
        if self._encoder is not None and part.views:
            self._encoder.passed(part.at_s)

    def looked(self, at_s: float) -> None:
        """Every part that was settled by the frame of this time was `seen`."""
        if self.reject is not None:
            self.reject.looked(at_s)

    def forecast(self, verdict: Verdict) -> Forecast:
        """When the part will be before the reject gate."""
        return UNKNOWN if self.reject is None else self.reject.forecast(verdict)

    def eject_s(self, part: Part) -> float | None:
        """The moment by which a part must have been judged; None without a reject gate."""
        return None if self.reject is None else self.reject.eject_s(part)

    def run(self, stopping: Event) -> None:
        """Work the reject gate, as the body of a thread."""
        if self.reject is not None:
            self.reject.run(stopping)

    def close(self) -> None:
        """Let go of every pin."""
        for each in (self._eye, self._encoder, self.reject):
            if each is not None:
                each.close()
