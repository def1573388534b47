"""The ways in which inspection sets are laid out: classes, masks and parts are told apart before anything is read."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import cv2
import layouts
import numpy as np
import outlines
import pytest
from drawn import draw, fill

from trainer import dataset, folder, grouping, leakage, naming
from trainer.dataset import Dataset
from trainer.errors import Refused
from trainer.leakage import Prints


def counts(data: Dataset) -> dict[str, tuple[int, int]]:
    """Per class, pictures and masks."""
    masked = Counter(each.label for each in data.pictures if each.mask)
    return {label: (n, masked[label]) for label, n in Counter(each.label for each in data.pictures).items()}


def prints(data: Dataset) -> Prints:
    return Prints.of(dataset.readable(data.root, each.file, 1) for each in data.pictures)


def test_masks_beside_pictures_in_a_folder_more_are_no_pictures(tmp_path: Path) -> None:
    data = dataset.scan(layouts.tiles(tmp_path, 3))
    assert counts(data) == {"MT_Free": (18, 18), "MT_Blowhole": (9, 9), "MT_Crack": (9, 9)}
    for each in data.pictures:
        assert Path(each.mask) == Path(each.file).with_suffix(".png")
        assert folder.region(data.root / each.mask).any() == (each.label != "MT_Free")


def test_a_tree_of_masks_beside_train_and_test_is_no_class(tmp_path: Path) -> None:
    data = dataset.scan(layouts.divided(tmp_path, 3, layouts.toy, ("missing", "stain")))
    assert counts(data) == {"good": (12, 0), "missing": (3, 3), "stain": (3, 3)}
    assert {each.mask for each in data.pictures if each.file == "test/stain/001.png"} == {
        "ground_truth/stain/001_mask.png"
    }
    assert not dataset.has_official(data)


@pytest.mark.parametrize("place", ["masks", "hole/masks", "hole/ground_truth"])
def test_masks_in_folders_of_their_own_find_their_pictures(tmp_path: Path, place: str) -> None:
    fill(tmp_path, {"ok": 4, "hole": 4})
    for number in range(4):
        image = np.zeros((48, 48), np.uint8)
        cv2.circle(image, (20, 20 + number), 4, 255, -1)
        layouts.write(tmp_path / place / f"hole-{number:03d}-0_mask.png", image)
    assert counts(dataset.scan(tmp_path)) == {"ok": (4, 0), "hole": (4, 4)}


def test_a_class_that_is_merely_called_mask_keeps_its_pictures(tmp_path: Path) -> None:
    fill(tmp_path, {"ok": 4})
    random = np.random.default_rng(1)
    for number in range(4):
        face = outlines.finished(outlines.grain(random, (40, 40), 3, 40) + 120)
        layouts.write(tmp_path / "mask" / f"{number}.png", face)
    assert counts(dataset.scan(tmp_path)) == {"ok": (4, 0), "mask": (4, 0)}


def test_two_photographs_of_one_name_are_two_pictures(tmp_path: Path) -> None:
    fill(tmp_path, {"ok": 4, "hole": 4})
    layouts.write(tmp_path / "ok" / "ok-000-0.jpg", draw(9, "ok"))
    assert counts(dataset.scan(tmp_path)) == {"ok": (5, 0), "hole": (4, 0)}


@pytest.mark.parametrize("level", [1, 3, 255])
def test_a_mask_may_hold_numbers_or_white(tmp_path: Path, level: int) -> None:
    image = np.zeros((30, 30), np.uint8)
    image[4:9, 4:9] = level
    layouts.write(tmp_path / "m.png", image)
    assert folder.is_mask(tmp_path / "m.png")
    assert (folder.region(tmp_path / "m.png") == np.where(image > 0, 255, 0)).all()


def test_train_and_validation_are_a_division_too(tmp_path: Path) -> None:
    for side in ("train", "validation"):
        layouts.steels(tmp_path / side / "images", 2, ".jpg")
    data = dataset.scan(tmp_path)
    assert data.labels == layouts.STEEL
    assert dataset.has_official(data)


def test_folders_inside_a_class_are_parts(tmp_path: Path) -> None:
    fill(tmp_path / "once", {"ok": 6, "hole": 6})
    for path in (tmp_path / "once").rglob("*.png"):
        inner = tmp_path / "data" / path.parent.name / f"part{int(path.stem[-3]) % 2}"
        inner.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, inner / path.name)
    data = dataset.scan(tmp_path / "data")
    assert data.grouped_by == "folders"
    assert {each.group for each in data.pictures} == {f"{kind}/part{n}" for kind in ("hole", "ok") for n in (0, 1)}


@pytest.mark.parametrize("inner", [("good", "hole"), ("train", "test")])
def test_several_sets_of_parts_are_not_one(tmp_path: Path, inner: tuple[str, str]) -> None:
    for product in ("bottle", "cable"):
        for name in inner:
            layouts.write(tmp_path / product / name / "x.png", draw(1, "ok"))
    with pytest.raises(Refused, match=r"several sets of pictures \(bottle, cable\); give one: .*bottle"):
        dataset.scan(tmp_path)


def test_pictures_without_folders_are_told_what_to_do(tmp_path: Path) -> None:
    layouts.write(tmp_path / "a.png", draw(1, "ok"))
    with pytest.raises(Refused, match="one folder per class"):
        dataset.scan(tmp_path)


def test_names_that_say_the_part_keep_it_on_one_side(tmp_path: Path) -> None:
    data = dataset.scan(layouts.tiles(tmp_path, 6, exposures=3))
    asked = prints(data)
    found = grouping.grouped(data, asked, leakage.parts(len(data.pictures), asked.pairs()))
    assert found.grouped_by.startswith("num in the file names")
    for code in {each.file.rsplit("_", 1)[1] for each in data.pictures}:
        assert len({each.group for each in found.pictures if each.file.endswith(f"_{code}")}) == 1


def test_numbers_that_say_nothing_group_nothing(tmp_path: Path) -> None:
    data = dataset.scan(fill(tmp_path, {"ok": 20, "hole": 20}))
    files = [f"{each.label}/run{i % 7}_{i // 7}.png" for i, each in enumerate(data.pictures)]
    numbers, field = naming.named(files, [each.label for each in data.pictures], prints(data))
    assert field == ""
    assert numbers == list(range(40))


def test_what_was_masked_stays_so_when_a_run_goes_on(tmp_path: Path) -> None:
    data = dataset.scan(layouts.tiles(tmp_path / "tiles", 2))
    dataset.save(data, tmp_path / "split.csv")
    assert dataset.restore(tmp_path / "split.csv", data.root).pictures == data.pictures


def test_a_list_that_keeps_copies_apart_is_found_out(tmp_path: Path) -> None:
    pictures, random = [], np.random.default_rng(3)
    for part in range(6):
        strip = outlines.finished(outlines.grain(random, (64, 256), 2, 25) + 120)
        for turn, group in ((0, part), (70, part), (131, part + 10 if part < 2 else part)):
            noisy = outlines.finished(np.roll(strip, turn, axis=1) * 0.9 + random.normal(0, 2, strip.shape))
            pictures.append((str(group), noisy[:, ::-1] if turn == 131 else noisy))
    few = [dataset.Picture(file=f"{i}", label="ok", group=group, sha256="") for i, (group, _) in enumerate(pictures)]
    apart = grouping.kept_apart(few, Prints.of_strips(np.ascontiguousarray(each) for _, each in pictures))
    assert apart == [["0", "10"], ["1", "11"]]
    joined = grouping.joined(Dataset(root=tmp_path, pictures=tuple(few), grouped_by="groups.csv"), apart)
    assert len({each.group for each in joined.pictures}) == 6


@pytest.mark.parametrize("place", ["", "IMAGES"])
def test_without_folders_names_say_the_class(tmp_path: Path, place: str) -> None:
    for kind in ("Cr", "rolled-in_scale", "In"):
        for number in range(3):
            layouts.write(tmp_path / place / f"{kind}_{number}.bmp", layouts.steel(number, "crazing", 40))
    assert dataset.scan(tmp_path).labels == ("Cr", "In", "rolled-in_scale")


@pytest.mark.parametrize(
    "names", [("1", "2", "3", "4"), ("Cr_1", "Cr_2", "Cr_3", "In_1"), ("Cr_1", "Cr_2", "Cr_3", "x")]
)
def test_names_that_do_not_divide_are_no_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        layouts.write(tmp_path / f"{name}.png", draw(1, "ok"))
    with pytest.raises(Refused, match="one folder per class"):
        dataset.scan(tmp_path)
