"""A Google Coral Edge TPU behind the same door: one process opens it, one thread of that process touches it.

The library is called through the runtime's external delegate
(https://ai.google.dev/edge/api/tflite/python/tf/lite/experimental/load_delegate). One built for another runtime may
end the process instead of raising, so a child loads it first.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from edge.bundle import BundleError
from edge.classify.child import REFUSED, ChildFailed, ChildRefused, ask_child
from edge.classify.tflite import first_line, runtime_module, why_refused
from edge.domain import DelegateError, DeviceLost

T = TypeVar("T")

DEADLINE_S = 30.0
SETTLE_S = 3.0
"""A USB device that the child has let go of may take a moment until it can be opened again."""
OFF = "or set model.delegate: none"


class NetworkCrashes(Exception):
    """A network ends the process that loads it, while the library alone does not."""

    def __init__(self, network: Path, how: ChildFailed) -> None:
        super().__init__(f"crashes or hangs the library ({how}); compile it again")
        self.network = network


class EdgeTpu:
    """The device and the one thread that may touch it; open as long as this process lives."""

    def __init__(self, library: str, runtime: str = "auto", first: Path | None = None) -> None:
        """Try the library in a child, then open the device here; raises `DelegateError`.

        `first`: the network that will be loaded first; the child tries it too, and one that crashes there is refused.
        """
        self._crashing: dict[Path, str] = {}
        try:
            try_library(library, runtime, first)
        except NetworkCrashes as how:
            self._crashing[how.network] = str(how)
        self.lost = ""
        """Why the device answers no more; empty while it does."""
        self._runtime = runtime
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        Thread(target=self._work, name="edgetpu", daemon=True).start()
        self._delegate = self._do(lambda: _opened(library, runtime, patience_s=SETTLE_S))

    def interpreter(self, model: Path) -> OnDevice:
        """A network on the device, beside those that are there already; raises `BundleError`."""
        box = self._do(lambda: self._loaded(model))
        if isinstance(box, str):
            raise BundleError(f"{model}: on the Edge TPU {box}")
        return OnDevice(self, box)

    def invoke(self, network: OnDevice) -> None:
        """Run a network in the device's thread; raises `DeviceLost`.

        The device is lost with the first failure of a network that has answered before; one that never did is at
        fault itself.
        """
        if self.lost:
            raise DeviceLost(self.lost)
        box = network.box
        try:
            self._do(lambda: box[0].invoke())
        except RuntimeError as error:
            if network.has_answered:
                self.lost = first_line(error)
            raise DeviceLost(first_line(error)) from None
        network.has_answered = True

    def post(self, job: Callable[[], object]) -> None:
        """Have something done in the device's thread, some time."""
        self._jobs.put(job)

    def _do(self, job: Callable[[], T]) -> T:
        done: Future[T] = Future()

        def work() -> None:
            try:
                done.set_result(job())
            except Exception as error:  # noqa: BLE001 - it is raised again by whoever waits for the job
                done.set_exception(error)

        self.post(work)
        return done.result()

    def _work(self) -> None:
        while True:
            self._jobs.get()()

    def _loaded(self, model: Path) -> list[Any] | str:
        """A box with the interpreter, or why there is none: an exception would take it along to another thread."""
        if model in self._crashing:
            return self._crashing[model]
        return _network(model, self._runtime, self._delegate)


class OnDevice:
    """As the runtime's interpreter; what touches the device happens in the device's thread, the end as well."""

    def __init__(self, tpu: EdgeTpu, box: list[Any]) -> None:
        """`box` holds the only reference to the interpreter, so that who empties it destroys it."""
        self.box = box
        self.has_answered = False
        self._tpu = tpu
        weakref.finalize(self, tpu.post, box.clear).atexit = False

    def get_input_details(self) -> Any:
        """As the interpreter."""
        return self.box[0].get_input_details()

    def get_output_details(self) -> Any:
        """As the interpreter."""
        return self.box[0].get_output_details()

    def set_tensor(self, index: int, value: Any) -> None:
        """As the interpreter."""
        self.box[0].set_tensor(index, value)

    def get_tensor(self, index: int) -> Any:
        """As the interpreter."""
        return self.box[0].get_tensor(index)

    def invoke(self) -> None:
        """As the interpreter; raises `DeviceLost`."""
        self._tpu.invoke(self)


def try_library(library: str, runtime: str = "auto", network: Path | None = None) -> None:
    """Load the library, open the device and let it go again, in a child; with a network on it, if one is given.

    Raises `DelegateError` and `NetworkCrashes`. Not while another process has the device: it would be refused.
    """
    words = [library, runtime] if network is None else [library, runtime, str(network)]
    try:
        ask_child("edge.classify.edgetpu", *words, deadline_s=DEADLINE_S)
    except ChildRefused as refused:
        raise DelegateError(str(refused)) from None
    except ChildFailed as failed:
        if network is not None:
            try_library(library, runtime)
            raise NetworkCrashes(network, failed) from None
        raise DelegateError(
            f"model.delegate_library {library}: crashes or hangs when it is loaded ({failed}); install the one that was"
            f" built for this runtime, {OFF}"
        ) from None


def _opened(library: str, runtime: str, patience_s: float = 0.0) -> Any:
    until_s = time.monotonic() + patience_s
    while True:
        try:
            return _delegate(library, runtime)
        except DelegateError:
            if time.monotonic() >= until_s:
                raise
        time.sleep(0.2)


def _delegate(library: str, runtime: str) -> Any:
    where = f"model.delegate_library {library}"
    _, module = runtime_module(runtime)
    try:
        return module.load_delegate(library)
    except OSError as error:
        raise DelegateError(f"{where}: cannot be loaded ({first_line(error)}); install libedgetpu, {OFF}") from None
    except AttributeError as error:
        raise DelegateError(f"{where}: is no delegate ({first_line(error)}); name libedgetpu, {OFF}") from None
    except (ValueError, RuntimeError) as error:
        why = " ".join(str(error).partition("\n")[2].split())[:200] or first_line(error)  # the library's own words
        raise DelegateError(
            f"{where}: the device is refused ({why}); plug it in, let this user open it,"
            f" end whatever else uses it, {OFF}"
        ) from None


def _network(model: Path, runtime: str, delegate: Any) -> list[Any] | str:
    _, module = runtime_module(runtime)
    try:
        network = module.Interpreter(model_path=str(model), experimental_delegates=[delegate])
        network.allocate_tensors()
    except (ValueError, RuntimeError, MemoryError) as error:
        return why_refused(error, "edgetpu")
    return [network]


def main(library: str, runtime: str, network: str = "") -> int:
    """What the child does. A network that is only refused is left to the daemon, which says so."""
    try:
        delegate = _delegate(library, runtime)
        if network:
            _network(Path(network), runtime, delegate)
    except (DelegateError, BundleError) as error:
        print(error)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
