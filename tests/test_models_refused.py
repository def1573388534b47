"""Bundles that must not go live, each with one thing wrong: none does, nothing changes, and one line says why.

What is wrong beside the signature is signed by a trusted key, so that nothing but the check in question can find it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import repack
from flatbuffer import FLOAT32, Model
from test_unpack import BAD

from edge.__main__ import main
from edge.bundle import Bundle
from edge.bundle.signature import generate, sign

Spoil = Callable[[Path], None]
Document = dict[str, Any]
OUTPUT = 38
ZEROS = "0" * 64


def changed(**values: Any) -> Spoil:
    """Other values at the top of the manifest."""
    return edited(lambda document: document.update(values))


def edited(change: Callable[[Document], object]) -> Spoil:
    """A manifest that something was done to."""

    def spoil(folder: Path) -> None:
        repack(folder, change)  # type: ignore[arg-type]

    return spoil


def network(change: Callable[[Model], None]) -> Spoil:
    """Another network, with a manifest that vouches for it."""

    def spoil(folder: Path) -> None:
        model = Model(folder / "model.tflite")
        change(model)
        model.save()
        repack(folder)

    return spoil


def flipped(name: str, share: float) -> Spoil:
    """One bit of one file, after everything was signed."""

    def spoil(folder: Path) -> None:
        raw = bytearray((folder / name).read_bytes())
        raw[min(len(raw) - 2, int(share * len(raw)))] ^= 1
        (folder / name).write_bytes(raw)

    return spoil


def cut(name: str, share: float) -> Spoil:
    """The beginning of one file, after everything was signed."""
    return lambda folder: os.truncate(folder / name, int(share * (folder / name).stat().st_size))


def swapped_labels(document: Document) -> None:
    labels = document["labels"]
    for golden in document["golden"]["pictures"]:
        golden["label"] = labels[golden["outputs"].index(max(golden["outputs"]))]
    labels[0], labels[1] = labels[1], labels[0]


def one_answer(document: Document) -> None:
    for golden in document["golden"]["pictures"]:
        golden["outputs"] = document["golden"]["pictures"][0]["outputs"]


def only_passes(document: Document) -> None:
    document["golden"]["pictures"] = document["golden"]["pictures"][:1] + document["golden"]["pictures"][5:]
    document["limits"] = {"pass": 200, "reject": 210}


def off_by(steps: int) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        document["golden"]["tolerance_steps"] = 2
        document["golden"]["pictures"][3]["outputs"][0] += steps

    return change


def flips(document: Document) -> None:
    """Evidence of the first picture is -18 here; its manifest says -20, and that this passes."""
    document["limits"]["pass"] = -19
    document["golden"]["pictures"][0]["outputs"][0] += 2


def fewer_outputs(document: Document) -> None:
    document["labels"].pop()
    for golden in document["golden"]["pictures"]:
        golden["outputs"].pop()


def no_picture(folder: Path) -> None:
    (folder / "golden" / "0.png").write_bytes(b"x")
    repack(folder)


def linked(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).rename(folder.parent / "elsewhere")
        (folder / name).symlink_to(folder.parent / "elsewhere")

    return spoil


def another_manifest(folder: Path) -> None:
    """A manifest with the signature of another one beside it."""
    document = json.loads((folder / "manifest.json").read_bytes())
    document["limits"]["pass"] += 1
    (folder / "manifest.json").write_text(json.dumps(document))


SIGNED_LAST: dict[str, tuple[Spoil, str]] = {
    "labels swapped": (edited(swapped_labels), "its outputs say"),
    "labels twice": (changed(labels=["ok"] * 6), "different names"),
    "a label too few": (edited(fewer_outputs), "no int8 output for 5 labels"),
    "a label unknown to the line": (edited(lambda d: d["labels"].__setitem__(5, "rust")), "does not name: rust"),
    "nothing is good": (changed(good=[]), "not all"),
    "everything is good": (edited(lambda d: d.update(good=d["labels"])), "not all"),
    "another input in the manifest": (edited(lambda d: d["input"].update(height=64, width=64)), "takes int8"),
    "an input larger than the crops": (edited(lambda d: d["input"].update(height=1024, width=1024)), "at most"),
    "an input of 0 pixels": (edited(lambda d: d["input"].update(height=0)), "8 to 2048"),
    "another scale of the input": (edited(lambda d: d["input"].update(scale=0.5)), "scale 1"),
    "another scale of the output": (edited(lambda d: d["output"].update(scale=0.5)), "output quantization"),
    "a temperature that is no number": (edited(lambda d: d["output"].update(temperature=float("nan"))), "above 0"),
    "no review band": (changed(limits={"pass": 5, "reject": 5}), "review band"),
    "a float model": (network(lambda m: m.retype(0, FLOAT32)), "model.tflite"),
    "a float output": (network(lambda m: m.retype(OUTPUT, FLOAT32)), "model.tflite"),
    "a batch of two": (network(lambda m: m.reshape(0, 0, 2)), "model.tflite"),
    "huge tensors": (network(lambda m: m.reshape(26, 1, 60_000) or m.reshape(26, 2, 60_000)), "model.tflite"),
    "a huge input": (network(lambda m: m.reshape(0, 1, 30_000) or m.reshape(0, 2, 30_000)), "model.tflite"),
    "a negative shape": (network(lambda m: m.reshape(0, 1, -5)), "model.tflite"),
    "operations too new": (network(lambda m: m.newer_operations(99)), "newer than litert"),
    "one answer to everything": (edited(one_answer), "one answer"),
    "a model that never rejects": (edited(only_passes), "passes every golden picture"),
    "no golden pictures": (edited(lambda d: d["golden"].update(pictures=[])), "golden picture"),
    "golden answers out of tolerance": (edited(off_by(12)), "do not use it here"),
    "a tolerance without sense": (edited(lambda d: d["golden"].update(tolerance_steps=200)), "0 to 32"),
    "a golden decision that flips": (edited(flips), "is decided otherwise"),
    "older than the live one": (changed(version="0.9"), "older than 1.0"),
    "the live one's version with other content": (changed(version="1.0"), "with other content"),
    "a name that leads away": (changed(name="../demo"), "letters, digits"),
    "a hidden name": (changed(name=".demo"), "letters, digits"),
    "a file above the bundle": (edited(lambda d: d["files"].update({"../keys/a.pub": ZEROS})), "inside the bundle"),
    "an absolute file": (edited(lambda d: d["files"].update({"/etc/passwd": ZEROS})), "inside the bundle"),
    "the signature as a listed file": (edited(lambda d: d["files"].update({"signature": ZEROS})), "inside the bundle"),
    "another schema": (changed(schema="linegate.bundle/9"), "this version reads"),
    "no version": (edited(lambda d: d.pop("version")), "version"),
    "a golden picture that is none": (no_picture, "no readable picture"),
}  # fmt: skip

SIGNED_FIRST: dict[str, tuple[Spoil, str]] = {
    **{f"manifest flipped at {at}": (flipped("manifest.json", at), "") for at in (0.0, 0.02, 0.3, 0.5, 0.8, 0.99)},
    **{f"model flipped at {at}": (flipped("model.tflite", at), "is damaged") for at in (0.0, 0.01, 0.5, 0.99)},
    **{f"signature flipped at {at}": (flipped("signature", at), "signature") for at in (0.0, 0.2, 0.35, 0.6, 0.97)},
    "golden picture flipped": (flipped("golden/3.png", 0.5), "is damaged"),
    "manifest truncated": (cut("manifest.json", 0.5), "not JSON"),
    "model truncated": (cut("model.tflite", 0.7), "is damaged"),
    "signature truncated": (cut("signature", 0.7), "signature"),
    "signature empty": (cut("signature", 0.0), "no signature"),
    "no signature": (lambda folder: (folder / "signature").unlink(), "is unsigned"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json"),
    "no model": (lambda folder: (folder / "model.tflite").unlink(), "is missing"),
    "model is a link": (linked("model.tflite"), "is missing"),
    "a folder of it is a link": (linked("golden"), "is missing"),
    "manifest and signature of two bundles": (another_manifest, "does not fit"),
}  # fmt: skip


class Place:
    """A line with a live model, a trusted key, and a bundle to be spoiled."""

    def __init__(self, folder: Path, shipped: Path) -> None:
        self.folder, self.shelf = folder, folder / "shelf"
        self.key, public = generate(folder / "office", "plant")
        shutil.copytree(shipped, self.shelf / shipped.name)
        shutil.copytree(shipped.parent / "keys", self.shelf / "keys")
        shutil.copy(public, self.shelf / "keys")
        (self.shelf / "current").symlink_to(shipped.name)
        self.bundle = Path(shutil.copytree(shipped, folder / "bundle"))
        (self.bundle / "signature").unlink()
        repack(self.bundle, lambda document: document.update(version="2.0"))
        labels = ", ".join(json.loads((self.bundle / "manifest.json").read_bytes())["labels"])
        self.config = folder / "config.yaml"
        self.config.write_text(f'model: {{shelf: shelf, labels: "{labels}"}}\n')
        self.before = self.state()

    def state(self) -> dict[str, str]:
        """Everything on the shelf but the lock."""
        return {
            str(each.relative_to(self.shelf)): os.readlink(each) if each.is_symlink() else str(each.stat().st_size)
            for each in self.shelf.rglob("*")
            if each.name != ".lock" and (each.is_symlink() or not each.is_dir())
        }

    def vouch(self) -> None:
        """Sign whatever the manifest says now; what cannot even be opened is signed by hand."""
        sign(Bundle(folder=self.bundle, manifest=None, sha256=""), self.key)  # type: ignore[arg-type]

    def flash(self, *more: str) -> int:
        return main(["models", "--config", str(self.config), "flash", str(self.bundle), *more])

    def refused(self, told: str) -> str:
        """The one line, after nothing has changed."""
        print(told)
        lines = [line for line in told.splitlines() if line.startswith("linegate: ")]
        assert len(lines) == 1, told
        assert self.state() == self.before
        return lines[0]


@pytest.fixture
def place(tmp_path: Path, shipped: Path) -> Place:
    return Place(tmp_path, shipped)


def test_the_bundle_is_good_before_it_is_spoiled(place: Place) -> None:
    place.vouch()
    assert place.flash() == 0
    assert (place.shelf / "current").resolve().name != place.before["current"]


@pytest.mark.parametrize("kind", SIGNED_LAST)
def test_what_is_wrong_in_a_signed_bundle_is_refused(place: Place, kind: str, capsys) -> None:
    spoil, says = SIGNED_LAST[kind]
    spoil(place.bundle)
    place.vouch()
    assert place.flash() == 1
    assert says in place.refused(capsys.readouterr().err)


@pytest.mark.parametrize("kind", SIGNED_FIRST)
def test_what_was_changed_after_signing_is_refused(place: Place, kind: str, capsys) -> None:
    spoil, says = SIGNED_FIRST[kind]
    place.vouch()
    spoil(place.bundle)
    assert place.flash() == 1
    assert says in place.refused(capsys.readouterr().err)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_archive_never_reaches_the_shelf(place: Place, kind: str, capsys) -> None:
    place.bundle = place.folder / "bundle.archive"
    place.bundle.write_bytes(BAD[kind][0]())
    assert place.flash() == 1
    place.refused(capsys.readouterr().err)


def test_a_slow_model_is_refused(place: Place, capsys) -> None:
    place.vouch()
    place.config.write_text("model: {shelf: shelf, budget_ms: 0.001}\n")
    assert place.flash() == 1
    assert "0.001 ms are allowed" in place.refused(capsys.readouterr().err)


def test_a_colour_model_for_a_gray_camera_is_refused(place: Place, capsys) -> None:
    repack(place.bundle, lambda document: document["input"].update(channels=3))
    place.vouch()
    place.config.write_text("model: {shelf: shelf}\nsource: {kind: picamera}\n")
    assert place.flash() == 1
    assert "the camera gives gray" in place.refused(capsys.readouterr().err)


def test_a_key_after_its_last_day_is_refused(place: Place, capsys) -> None:
    key, public = generate(place.folder / "office", "old", expires="2020-01-01")
    key.write_text(key.read_text().replace("2020-01-01", "2099-01-01"))
    shutil.copy(public, place.shelf / "keys")
    place.before = place.state()
    sign(Bundle.open(place.bundle), key, datetime(2026, 1, 1, tzinfo=UTC))
    assert place.flash() == 1
    assert "after the last day of the key old" in place.refused(capsys.readouterr().err)


def test_a_revoked_key_is_refused(place: Place, capsys) -> None:
    place.vouch()
    assert main(["models", "--config", str(place.config), "revoke", "plant"]) == 0
    place.before = place.state()
    capsys.readouterr()
    assert place.flash() == 1
    assert "is revoked here" in place.refused(capsys.readouterr().err)


def test_a_shelf_without_room_is_told_before_anything_is_copied(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    place.vouch()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    assert place.flash() == 1
    assert "free some space" in place.refused(capsys.readouterr().err)


def test_at_least_forty_kinds_of_bad_bundles_are_tried() -> None:
    assert len(SIGNED_LAST) + len(SIGNED_FIRST) >= 40
