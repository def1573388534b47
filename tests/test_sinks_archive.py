"""The archive of pictures: bounded, fair between classes, and never in the way."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from brokers import eventually
from small_disk import small_disk

from edge import config
from edge.domain import Box, Decision, Part, Verdict, View
from edge.message import Record
from edge.sinks.archive import UNDECIDED, WAITING, ImageArchive, picture_name

pytestmark = pytest.mark.wall_clock

SETTINGS = config.Archive(enabled=True, free_mb=0, pass_every=2)
NOISE = np.random.default_rng(1).integers(0, 255, (120, 120), np.uint8)


def verdict(number: int, decision: Decision, views: int = 1) -> Verdict:
    return Verdict(
        number=number, decision=decision, label="", reason="", score=0.5, limits=(0.2, 0.6), views=views,
        captured_at_s=1.0,
    )  # fmt: skip


def part(number: int) -> Part:
    box = Box(left_px=0, top_px=0, width_px=120, height_px=120)
    return Part(number=number, at_s=1.0, views=(View(crop=NOISE, box=box, at_s=1.0),))


def record(number: int, decision: Decision, day: str = "2026-11-24") -> Record:
    part_id = uuid.UUID(int=number)
    name = picture_name(SETTINGS, verdict(number, decision), sequence=number, day=day, part_id=str(part_id))
    document = {"decision": decision.value, "sequence": number, "model": {"hash8": "3fa91c07"}, "image": name}
    return Record(sequence=number, payload=json.dumps(document, separators=(",", ":")).encode())


def run(archive: ImageArchive, feed: Callable[[], None]) -> None:
    """Feed it while its thread runs, then let it drain."""
    stopping = threading.Event()
    thread = threading.Thread(target=archive.run, args=(stopping,))
    thread.start()
    feed()
    stopping.set()
    thread.join(20)
    assert not thread.is_alive()


def keep(archive: ImageArchive, decision: Decision, numbers: range, day: str = "2026-11-24") -> None:
    for number in numbers:
        archive.seen(part(number))
        eventually(lambda: archive._waiting.qsize() < WAITING)
        archive.committed(verdict(number, decision), record(number, decision, day))


def pictures(folder: Path, decision: Decision) -> list[int]:
    found = (folder / decision.value).glob("*/*.jpg")
    return sorted(uuid.UUID(path.stem).int for path in found if not path.name.endswith(".map.jpg"))


def test_a_picture_lies_beside_its_verdict(tmp_path: Path) -> None:
    archive = ImageArchive(SETTINGS, tmp_path)
    run(archive, lambda: keep(archive, Decision.REJECT, range(1, 4)))
    assert pictures(tmp_path, Decision.REJECT) == [1, 2, 3]
    name = json.loads(record(2, Decision.REJECT).payload)["image"]
    assert json.loads((tmp_path / name).with_suffix(".json").read_bytes())["sequence"] == 2
    image = cv2.imread(str(tmp_path / name), cv2.IMREAD_GRAYSCALE)
    assert np.abs(image.astype(int) - NOISE).mean() < 12
    assert list(tmp_path.rglob("*.part")) == []


def explained(crop: np.ndarray, hash8: str) -> tuple[np.ndarray, np.ndarray]:
    assert hash8 == "3fa91c07"
    return crop[::2, ::2], np.eye(8, dtype=np.float32)


def test_beside_rejects_and_reviews_lies_where_the_model_saw_the_defect(tmp_path: Path) -> None:
    archive = ImageArchive(SETTINGS, tmp_path, explained)

    def feed() -> None:
        for place, decision in enumerate(Decision):
            keep(archive, decision, range(10 * place + 2, 10 * place + 4))

    run(archive, feed)
    for decision, count in {Decision.REJECT: 2, Decision.REVIEW: 2, Decision.PASS: 0}.items():
        maps = sorted((tmp_path / decision.value).glob("*/*.map.jpg"))
        assert len(maps) == count
        assert all(cv2.imread(str(path)).shape == (60, 60, 3) for path in maps)
        assert len([path for path in (tmp_path / decision.value).rglob("*.jpg") if path not in maps]) in (1, 2)


def test_maps_count_and_go_with_their_pictures_and_what_a_crash_left_goes(tmp_path: Path) -> None:
    settings = config.Archive(enabled=True, free_mb=0, keep_mb=1)
    first = ImageArchive(settings, tmp_path, explained)
    run(first, lambda: keep(first, Decision.REJECT, range(1, 80)))
    day = tmp_path / "reject" / "2026-11-24"
    whole = sorted(path.name for path in day.iterdir())
    assert len(whole) == 3 * len(pictures(tmp_path, Decision.REJECT))
    for name in ("0192f1c2.json", "0192f1c2.map.jpg", f"{uuid.UUID(int=79)}.jpg.part"):
        (day / name).write_bytes(b"x")
    second = ImageArchive(settings, tmp_path, explained)
    run(second, lambda: None)
    assert sorted(path.name for path in day.iterdir()) == whole
    third = ImageArchive(settings, tmp_path, explained)
    run(third, lambda: keep(third, Decision.REJECT, range(80, 160)))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.*") if path.is_file()) <= 1e6
    assert pictures(tmp_path, Decision.REJECT)[-1] == 159


def test_passed_parts_are_sampled_and_parts_without_a_view_have_no_picture() -> None:
    def name(decision: Decision, sequence: int, views: int = 1, settings: config.Archive = SETTINGS) -> str | None:
        return picture_name(settings, verdict(1, decision, views), sequence=sequence, day="d", part_id="x")

    assert [name(Decision.PASS, sequence) for sequence in range(1, 5)] == [None, "pass/d/x.jpg", None, "pass/d/x.jpg"]
    assert name(Decision.PASS, 2, settings=config.Archive(enabled=True, pass_every=0)) is None
    assert name(Decision.REVIEW, 1) == "review/d/x.jpg"
    assert name(Decision.REVIEW, 1, views=0) is None
    assert name(Decision.REJECT, 1, settings=config.Archive(enabled=False)) is None


def test_each_class_is_a_ring_of_its_own(tmp_path: Path) -> None:
    settings = config.Archive(enabled=True, free_mb=0, keep_mb=1)

    def feed() -> None:
        keep(archive, Decision.REVIEW, range(1, 6))
        keep(archive, Decision.REJECT, range(100, 200))

    archive = ImageArchive(settings, tmp_path)
    run(archive, feed)
    rejected = pictures(tmp_path, Decision.REJECT)
    assert pictures(tmp_path, Decision.REVIEW) == [1, 2, 3, 4, 5]
    assert rejected == list(range(rejected[0], 200))
    assert 30 < len(rejected) < 100
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.*")) <= 1e6


def test_what_earlier_runs_left_counts_and_old_days_disappear(tmp_path: Path) -> None:
    settings = config.Archive(enabled=True, free_mb=0, keep_mb=1)
    first = ImageArchive(settings, tmp_path)
    run(first, lambda: keep(first, Decision.REJECT, range(1, 40), "2026-11-23"))
    second = ImageArchive(settings, tmp_path)
    run(second, lambda: keep(second, Decision.REJECT, range(40, 140), "2026-11-24"))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.*")) <= 1e6
    assert not (tmp_path / "reject" / "2026-11-23").exists()
    assert pictures(tmp_path, Decision.REJECT)[-1] == 139


def test_a_disk_that_others_fill_costs_pictures_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        settings = config.Archive(enabled=True, free_mb=1, keep_mb=100)
        archive = ImageArchive(settings, disk / "archive")

        def feed() -> None:
            keep(archive, Decision.PASS, range(2, 20, 2))
            keep(archive, Decision.REJECT, range(100, 110))
            eventually(lambda: archive._waiting.empty())
            (disk / "other").write_bytes(bytes(2_900_000))
            keep(archive, Decision.REJECT, range(110, 113))
            eventually(lambda: archive._waiting.empty())
            with open(disk / "other", "ab") as other:
                other.write(bytes(900_000))
            keep(archive, Decision.REJECT, range(200, 205))

        run(archive, feed)
        assert pictures(disk / "archive", Decision.PASS) == []
        assert pictures(disk / "archive", Decision.REJECT) == []
    assert archive.left_out == 5
    assert caplog.text.count("leaves out pictures: the disk has less than 1 MB free") == 1


def test_a_slow_disk_never_blocks_nor_fills_memory(tmp_path: Path) -> None:
    archive = ImageArchive(SETTINGS, tmp_path)
    for number in range(1, 1001):
        archive.seen(part(number))
        if number > 500:
            archive.committed(verdict(number, Decision.REJECT), record(number, Decision.REJECT))
    assert archive.left_out == 500 - WAITING
    assert len(archive._crops) <= UNDECIDED


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot be made .*; set another archive\.folder$"):
        ImageArchive(SETTINGS, tmp_path / "file" / "archive")
