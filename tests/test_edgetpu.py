"""The Edge TPU's door, with a delegate of our own in place of libedgetpu: no device was at hand.

The delegate is compiled here and called by the real runtime, in its real child and threads.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from conftest import ROOT, repack
from test_models_daemon import Place
from test_run import Listener, daemon, ended, status, until, written

from edge.__main__ import main
from edge.bundle import Bundle, BundleError
from edge.changeover.presence import present
from edge.classify import TfliteClassifier, check_golden
from edge.classify.edgetpu import EdgeTpu, try_library
from edge.config import Config, Model
from edge.demo_broker import DemoBroker
from edge.domain import DelegateError, DeviceLost
from edge.models import Models
from edge.sinks.journal import Journal

pytestmark = pytest.mark.wall_clock


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile the delegate with more options for the compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not here: sudo apt install gcc")

    def compile_(*options: str) -> Path:
        library = tmp_path_factory.mktemp("delegate") / "libpretend.so"
        source = ROOT / "tests" / "delegate" / "pretend_edgetpu.c"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", *options, "-o", library, source], check=True)
        return library

    return compile_


@pytest.fixture(scope="session")
def pretended(compiled: Callable[..., Path]) -> Path:
    return compiled()


class Pretended:
    """What the delegate is told to do, and what it says was done."""

    def __init__(self, library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.library, self._set = str(library), monkeypatch.setenv
        self._log, self.gone = folder / "delegate.log", folder / "gone"
        self._set("PRETEND_LOG", str(self._log))
        self._set("PRETEND_GONE", str(self.gone))

    def be(self, mode: str) -> None:
        self._set("PRETEND", mode)

    def forget(self) -> None:
        self._log.unlink()

    def calls(self, what: str) -> list[tuple[int, int]]:
        """Process and thread of each call so far."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [(int(process), int(thread)) for name, process, thread in map(str.split, lines) if name == what]

    def here(self, *kinds: str) -> set[int]:
        """The threads of this process that made such calls."""
        return {thread for each in kinds for process, thread in self.calls(each) if process == os.getpid()}


@pytest.fixture
def device(pretended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    return Pretended(pretended, tmp_path, monkeypatch)


def compile_bundle(folder: Path) -> Path:
    """Give a bundle its file for the device: for this delegate, the same network."""
    shutil.copy(folder / "model.tflite", folder / "model_edgetpu.tflite")
    (folder / "signature").unlink(missing_ok=True)
    digest = hashlib.sha256((folder / "model.tflite").read_bytes()).hexdigest()
    return repack(folder, lambda document: document["files"].update({"model_edgetpu.tflite": digest}))


def said(work: Callable[[], object]) -> str:
    with pytest.raises((DelegateError, BundleError)) as caught:
        work()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_library_that_is_not_there_is_named() -> None:
    line = said(lambda: EdgeTpu("libedgetpu-absent.so.1"))
    assert "libedgetpu-absent.so.1: cannot be loaded" in line
    assert "model.delegate: none" in line


def test_a_library_that_is_no_delegate_is_named(compiled: Callable[..., Path]) -> None:
    library = str(compiled("-DNO_DELEGATE"))
    assert f"{library}: is no delegate" in said(lambda: EdgeTpu(library))


def test_a_refused_device_is_named_with_what_the_library_says(device: Pretended) -> None:
    device.be("refuse")
    line = said(lambda: EdgeTpu(device.library))
    assert "the device is refused" in line
    assert "no pretended device" in line


def test_a_library_that_crashes_ends_the_child_only(device: Pretended) -> None:
    device.be("crash")
    assert "crashes or hangs when it is loaded (SIGSEGV)" in said(lambda: EdgeTpu(device.library))
    assert not device.here("create")


def test_a_device_that_needs_a_moment_after_the_child_is_waited_for(device: Pretended) -> None:
    device.be("busy")
    EdgeTpu(device.library)
    processes = [process for process, _ in device.calls("create")]
    assert processes[1:] == 3 * [os.getpid()]
    assert processes[0] != os.getpid()


def test_the_device_answers_as_the_processor_does(device: Pretended, copied: Path) -> None:
    bundle = Bundle.open(compile_bundle(copied))
    on_device = TfliteClassifier(bundle, device=EdgeTpu(device.library))
    assert on_device.backend == "edgetpu"
    assert check_golden(on_device, bundle) == check_golden(TfliteClassifier(bundle), bundle)
    assert len(device.calls("invoke")) == len(bundle.manifest.golden)


def test_one_thread_touches_the_device_from_opening_to_the_end_of_a_network(device: Pretended, copied: Path) -> None:
    bundle = Bundle.open(compile_bundle(copied))
    tpu = EdgeTpu(device.library)
    first, second = (TfliteClassifier(bundle, device=tpu) for _ in range(2))
    threads = [threading.Thread(target=check_golden, args=(each, bundle)) for each in (first, second)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    del first
    gc.collect()
    (owner,) = [thread for process, thread in device.calls("create") if process == os.getpid()]
    # Networks of earlier tests may end meanwhile, each in its own device's thread.
    until(lambda: owner in device.here("free"), "the end of the first network")
    check_golden(second, bundle)  # the other goes on with the same handle
    assert device.here("prepare", "invoke") == {owner}
    assert threading.get_native_id() not in device.here("create", "prepare", "invoke", "free")


def test_a_network_that_the_device_refuses_is_named(device: Pretended, copied: Path) -> None:
    bundle = Bundle.open(compile_bundle(copied))
    tpu = EdgeTpu(device.library)
    device.be("prepare")
    line = said(lambda: TfliteClassifier(bundle, device=tpu))
    assert "model_edgetpu.tflite: on the Edge TPU the runtime refuses it" in line
    device.be("")
    check_golden(TfliteClassifier(bundle, device=tpu), bundle)


def test_a_bundle_without_a_compiled_network_is_named(device: Pretended, copied: Path) -> None:
    tpu = EdgeTpu(device.library)
    assert "has no model_edgetpu.tflite" in said(lambda: TfliteClassifier(Bundle.open(copied), device=tpu))


def test_an_answer_that_fails_after_good_ones_is_the_loss_of_the_device(device: Pretended, copied: Path) -> None:
    bundle = Bundle.open(compile_bundle(copied))
    tpu = EdgeTpu(device.library)
    classifier = TfliteClassifier(bundle, device=tpu)
    picture = cv2.imread(str(bundle.folder / bundle.manifest.golden[0].file))
    classifier.scores([picture])
    device.gone.touch()
    with pytest.raises(DeviceLost):
        classifier.scores([picture])
    assert "pretended device is gone" in tpu.lost
    asked = len(device.calls("invoke"))
    with pytest.raises(DeviceLost):
        classifier.scores([picture])
    assert len(device.calls("invoke")) == asked, "a lost device is not asked again"


def custom_network() -> bytes:
    """A network of one operation that only an Edge TPU knows, as its compiler writes it."""
    flatbuffers = pytest.importorskip("flatbuffers", reason="comes with ai-edge-litert")
    builder = flatbuffers.Builder(1024)

    def table(**fields: tuple[str, int]) -> int:
        builder.StartObject(5)
        for name, (kind, value) in fields.items():
            getattr(builder, f"Prepend{kind}Slot")(int(name[1:]), value, 0)
        return int(builder.EndObject())

    def vector(values: list[int], kind: str = "UOffsetTRelative") -> tuple[str, int]:
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            getattr(builder, f"Prepend{kind}")(value)
        return "UOffsetTRelative", int(builder.EndVector())

    name = "UOffsetTRelative", builder.CreateString("edgetpu-custom-op")
    code = table(f0=("Int8", 32), f1=name, f3=("Int32", 32))
    shape = vector([1, 4], "Int32")
    tensors = vector([table(f0=shape, f1=("Int8", 9)), table(f0=shape, f1=("Int8", 9))])
    taken, given = vector([0], "Int32"), vector([1], "Int32")
    operators = vector([table(f1=taken, f2=given)])
    graph = table(f0=tensors, f1=taken, f2=given, f3=operators)
    codes, graphs, buffers = vector([code]), vector([graph]), vector([table()])
    builder.Finish(table(f0=("Uint32", 3), f1=codes, f2=graphs, f4=buffers), b"TFL3")
    return bytes(builder.Output())


def test_a_compiled_network_without_a_device_is_named(copied: Path) -> None:
    (copied / "model.tflite").write_bytes(custom_network())
    line = said(lambda: TfliteClassifier(Bundle.open(repack(copied))))
    assert "model.tflite: is compiled for an Edge TPU, which nothing drives here" in line


class Wired(Place):
    """A shelf whose models are compiled, and a line that judges on the device."""

    def __init__(self, base: Path, shipped: Path, device: Pretended) -> None:
        super().__init__(base, shipped)
        (self.shelf / "current").unlink()
        slot = Bundle.open(compile_bundle(self.shelf / shipped.name)).slot
        (self.shelf / shipped.name).rename(self.shelf / slot)
        (self.shelf / "current").symlink_to(slot)
        compile_bundle(self.second)
        model = Model(
            shelf="shelf", unsigned="allow", shadow_folder="shadow", probation_parts=50, budget_ms=5000.0,
            delegate="edgetpu", delegate_library=device.library,
        )  # fmt: skip
        self.config = Config(model=model)
        self.flasher = type(self.flasher)(self.config, base)


@pytest.fixture
def wired(tmp_path: Path, shipped: Path, device: Pretended) -> Wired:
    return Wired(tmp_path, shipped, device)


def answer(models: Models) -> int:
    """How far the live model is off its golden answers; raises when that is too far, or there is no answer."""
    return check_golden(models.live.classifier, models.live.bundle)


def test_a_model_is_changed_under_the_same_handle(wired: Wired, device: Pretended) -> None:
    models = wired.models()
    assert models.live.classifier.backend == "edgetpu"
    assert models.device_up == 1.0
    wired.flasher.flash(str(wired.second))
    wired.running(models, lambda: models.live.bundle.manifest.version == "2.0")
    assert models.live.classifier.backend == "edgetpu"
    answer(models)
    assert len(device.here("create", "prepare", "invoke")) == 1
    assert len([process for process, _ in device.calls("create") if process == os.getpid()]) == 1


def test_a_model_that_the_device_refuses_leaves_the_old_one_at_work(wired: Wired, device: Pretended) -> None:
    models = wired.models()
    device.be("prepare")
    wired.flasher.flash(str(wired.second))
    wired.running(models, lambda: bool(wired.events))
    assert wired.events[0]["event"] == "model_refused"
    assert "on the Edge TPU" in wired.events[0]["detail"]
    assert models.live.bundle.manifest.version == "1.0"
    answer(models)
    assert models.device_up == 1.0


def test_a_model_that_crashes_the_library_gives_way_to_the_one_before(wired: Wired, device: Pretended) -> None:
    wired.models()
    wired.flasher.flash(str(wired.second))
    device.forget()
    device.be("trap")
    models = wired.models()
    assert models.live.bundle.manifest.version == "1.0"
    answer(models)
    wired.running(models, lambda: bool(wired.events))
    assert wired.events[0]["event"] == "model_rolled_back"
    assert "crashes or hangs the library (SIGSEGV)" in wired.events[0]["detail"]


def test_a_bundle_that_is_not_compiled_is_not_flashed(wired: Wired) -> None:
    repack(wired.second, lambda document: document["files"].pop("model_edgetpu.tflite"))
    assert "has no model_edgetpu.tflite" in said(lambda: wired.flasher.flash(str(wired.second)))


def test_a_shadow_judges_on_the_processor(wired: Wired, device: Pretended) -> None:
    models = wired.models()
    wired.flasher.shadow(str(wired.second))
    wired.running(models, lambda: models.shadowing.shadow is not None)
    assert len([process for process, _ in device.calls("prepare") if process == os.getpid()]) == 1


def test_the_loss_of_the_device_is_told_and_ends_the_thread(wired: Wired, device: Pretended) -> None:
    models = wired.models()
    device.gone.touch()
    with pytest.raises(BundleError, match="pretended device is gone"):
        answer(models)
    assert models.device_up == 0.0
    with pytest.raises(DelegateError, match="the Edge TPU is lost"):
        models.run(threading.Event())
    assert wired.events[0]["event"] == "tpu_lost"


def test_a_daemon_that_loses_its_device_reviews_parts_and_fails(
    tmp_path: Path, wired: Wired, device: Pretended
) -> None:
    model = {"shelf": str(wired.shelf), "unsigned": "allow", "delegate": "edgetpu", "delegate_library": device.library}
    with DemoBroker() as broker:
        listener = Listener(broker.port)
        config = written(tmp_path, model=model, mqtt={"port": broker.port})
        with daemon(config) as process:
            until(lambda: status(config)["parts"]["decided"] >= 2, "two verdicts")
            assert status(config)["model"]["backend"] == "edgetpu"
            device.gone.touch()
            code, told = ended(process)
        until(lambda: "tpu_lost" in [each["event"] for each in listener.of("event")], "the event")
        listener.close()
    assert code == 1
    assert "linegate: the Edge TPU is lost" in told
    assert "Traceback" not in told
    journal = Journal(tmp_path / "journal.sqlite", 1.0, 10.0)
    verdicts = [json.loads(each.payload) for each in journal.since(0, 1000)]
    journal.close()
    assert verdicts[-1]["decision"] == "review"
    assert "the Edge TPU did not answer" in [each["reason"] for each in verdicts]


def test_a_daemon_whose_device_is_not_there_does_not_start(tmp_path: Path, wired: Wired, device: Pretended) -> None:
    model = {"shelf": str(wired.shelf), "unsigned": "allow", "delegate": "edgetpu", "delegate_library": "absent.so"}
    with daemon(written(tmp_path, model=model)) as process:
        code, told = ended(process)
    assert code == 1
    assert "linegate: model.delegate_library absent.so: cannot be loaded" in told


def test_the_doctor_names_the_state(
    tmp_path: Path, wired: Wired, device: Pretended, capsys: pytest.CaptureFixture[str]
) -> None:
    def finding(library: str) -> dict:
        model = {"shelf": str(wired.shelf), "unsigned": "allow", "delegate": "edgetpu", "delegate_library": library}
        main(["doctor", "--json", "--config", str(written(tmp_path, model=model))])
        return next(each for each in json.loads(capsys.readouterr().out) if each["what"] == "delegate")

    assert finding(device.library)["well"]
    device.be("crash")
    bad = finding(device.library)
    assert not bad["well"]
    assert "SIGSEGV" in bad["found"]
    assert "model.delegate: none" in bad["do"]
    tries = len(device.calls("create"))
    with present(wired.flasher.shelf):
        assert "the daemon that runs has it" in finding(device.library)["found"]
    assert len(device.calls("create")) == tries, "a daemon's device is not disturbed"


def test_a_child_that_opens_the_device_lets_it_go(device: Pretended) -> None:
    try_library(device.library)
    assert len(device.calls("create")) == len(device.calls("destroy")) == 1
