"""From a folder to a split: parts stay whole, copies stay together, and bad folders are told apart in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import draw, fill

from trainer import dataset
from trainer.errors import Refused
from trainer.recipe import Split


def divided(root: Path, seed: int = 1) -> dataset.Dataset:
    data = dataset.scan(root)
    return dataset.divide(data, dataset.good_labels(data.labels, ()), Split(), seed)


def test_no_part_is_on_two_sides(parts: Path) -> None:
    data = divided(parts)
    sides = {each.group: each.split for each in data.pictures}
    assert all(sides[each.group] == each.split for each in data.pictures)
    assert data.grouped_by == "groups.csv"
    assert len(sides) == 60


@pytest.mark.parametrize("split", dataset.PARTS)
def test_every_side_holds_every_class(parts: Path, split: str) -> None:
    assert {each.label for each in divided(parts).of(split)} == {"hole", "ok"}


def test_the_same_seed_divides_alike_and_another_differently(parts: Path) -> None:
    assert divided(parts, 1) == divided(parts, 1)
    assert divided(parts, 1) != divided(parts, 2)


def test_identical_files_share_a_group(tmp_path: Path) -> None:
    fill(tmp_path, {"ok": 6, "hole": 6})
    shutil.copy(tmp_path / "ok" / "ok-000-0.png", tmp_path / "ok" / "zz.png")
    groups = {each.file: each.group for each in dataset.scan(tmp_path).pictures}
    assert groups["ok/zz.png"] == groups["ok/ok-000-0.png"] != groups["ok/ok-001-0.png"]


def test_official_folders_are_recognised(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"ok": 8, "hole": 8})
    fill(tmp_path / "test", {"ok": 3, "hole": 3})
    data = dataset.scan(tmp_path)
    assert dataset.has_official(data)
    official = dataset.divide_officially(data, ("ok",), Split(), 1)
    assert {each.official for each in official.of("test")} == {"test"}
    assert {each.official for each in official.of("validation")} == {"train"}


def test_what_is_saved_is_restored(parts: Path, tmp_path: Path) -> None:
    data = divided(parts)
    dataset.save(data, tmp_path / "split.csv")
    assert dataset.restore(tmp_path / "split.csv", parts).pictures == data.pictures


def test_unicode_names_mixed_sizes_and_channels_are_read(tmp_path: Path) -> None:
    fill(tmp_path, {"ok": 4, "Löcher 孔": 4}, suffix=".jpg")
    colour = cv2.cvtColor(cv2.resize(draw(1, "ok"), (97, 31)), cv2.COLOR_GRAY2BGR)
    cv2.imencode(".bmp", colour)[1].tofile(tmp_path / "ok" / "grün ø.bmp")
    data = dataset.scan(tmp_path)
    assert data.labels == ("Löcher 孔", "ok")
    shapes = {each.shape for each in dataset.pixels(data, data.pictures, 3)}
    assert shapes == {(48, 48, 3), (31, 97, 3)}


def test_corrupt_files_are_left_out_and_named(tmp_path: Path) -> None:
    fill(tmp_path, {"ok": 4, "hole": 4})
    whole = (tmp_path / "ok" / "ok-000-0.png").read_bytes()
    (tmp_path / "ok" / "cut.png").write_bytes(whole[:20])
    (tmp_path / "ok" / "empty.png").write_bytes(b"")
    (tmp_path / "ok" / "notes.txt").write_text("not a picture")
    data = dataset.scan(tmp_path)
    assert data.unreadable == ("ok/cut.png", "ok/empty.png")
    assert len(data.pictures) == 8


def test_a_class_with_a_single_part_is_trained_on(tmp_path: Path) -> None:
    fill(tmp_path, {"ok": 9, "hole": 9, "crack": 1})
    data = divided(tmp_path)
    assert [each.split for each in data.pictures if each.label == "crack"] == ["train"]


def test_many_classes_of_one_part_still_leave_a_test(tmp_path: Path) -> None:
    fill(tmp_path, {"ok": 9, **{f"defect{i}": 1 for i in range(5)}})
    data = divided(tmp_path)
    for split in dataset.PARTS:
        assert any(each.label != "ok" for each in data.of(split))


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, "holds no readable picture"),
        ({"ok": 5}, "holds one class only ('ok')"),
        ({"ok": 2, "hole": 1}, "has 2 good parts (ok); at least 3 are needed"),
        ({"ok": 5, "hole": 1}, "has 1 defective part (hole); at least 3 are needed"),
        ({"left": 4, "right": 4}, "none of the classes left, right is called ok, good or normal"),
        ({"ok": 4, "good": 4}, "all classes (good, ok) are good"),
    ],
)
def test_too_little_is_refused_in_one_line(tmp_path: Path, counts: dict[str, int], said: str) -> None:
    fill(tmp_path, counts)
    with pytest.raises(Refused) as caught:
        divided(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("label", "good"),
    [
        *((each, True) for each in ("ok_front", "MT_Free", "good", "Normal", "no_defect", "defect-free", "OK")),
        *((each, False) for each in ("not_ok", "def_front", "no good", "MT_Crack", "defect", "scratches", "nok")),
    ],
)
def test_a_good_class_is_known_by_its_name(label: str, good: bool) -> None:
    assert dataset.sounds_good(label) is good


def test_kinds_of_defects_alone_are_divided_too(tmp_path: Path) -> None:
    fill(tmp_path, {"crack": 6, "pit": 6, "stain": 6})
    data = divided(tmp_path)
    assert all({each.label for each in data.of(split)} == {"crack", "pit", "stain"} for split in dataset.PARTS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("part,kind\n1,2\n", "needs the columns group,label,file; it has part,kind"),
        ("group,label,file\n1,ok,nothing.png\n", "does not name"),
    ],
)
def test_a_bad_groups_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    fill(tmp_path, {"ok": 4, "hole": 4})
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(Refused, match=said):
        dataset.scan(tmp_path)


def test_a_picture_that_vanished_is_named(tmp_path: Path) -> None:
    data = divided(fill(tmp_path, {"ok": 4, "hole": 4}))
    (tmp_path / data.pictures[0].file).unlink()
    with pytest.raises(Refused, match="the data has changed"):
        dataset.pixels(data, data.pictures, 1)


def test_the_fingerprint_changes_with_one_byte(tmp_path: Path) -> None:
    fill(tmp_path, {"ok": 4, "hole": 4})
    before = dataset.scan(tmp_path).fingerprint()
    cv2.imwrite(str(tmp_path / "ok" / "ok-000-0.png"), np.zeros((8, 8), np.uint8))
    assert dataset.scan(tmp_path).fingerprint() != before


def test_a_person_settles_a_part_that_carries_two_labels(tmp_path: Path) -> None:
    data = torn_data(tmp_path)
    assert {group: dict(counts) for group, counts in dataset.torn(data).items()} == {"7": {"ok": 2, "def": 1}}
    settled = dataset.decided(data, [("7", "ok")])
    assert not dataset.torn(settled)
    assert [each.label for each in settled.pictures] == ["def", "ok", "ok", "ok"]
    assert settled.fingerprint() != data.fingerprint()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (("8", "ok"), "part '8' does not carry several labels; those that do: 7"),
        (("7", "fine"), "part '7' carries def, ok, not 'fine'"),
    ],
)
def test_a_decision_about_nothing_is_refused(tmp_path: Path, wish: tuple[str, str], said: str) -> None:
    with pytest.raises(Refused, match=said):
        dataset.decided(torn_data(tmp_path), [wish])


def torn_data(root: Path) -> dataset.Dataset:
    named = (("8", "def"), ("7", "def"), ("7", "ok"), ("7", "ok"))
    pictures = (
        dataset.Picture(file=f"{i}.png", label=label, group=group, sha256=str(i))
        for i, (group, label) in enumerate(named)
    )
    return dataset.Dataset(root=root, pictures=tuple(pictures))
