"""Recordings as they are: real ones, broken ones, and none."""

import itertools
import logging
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.config import ClipSource
from edge.domain import Frame, SourceError
from edge.sources.clip import Clip

DATA = Path(os.environ.get("LINEGATE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def frames(path: Path, **settings: object) -> list[Frame]:
    return list(Clip(ClipSource(path=str(path), paced=False, **settings)).frames(threading.Event()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "count", "seconds"),
    [("bolt.gif", 37, 2.40), ("fruit_vegetables.gif", 101, 6.67), ("composited_screws.mp4", 447, 14.88)],
)
def test_real_clips_are_read_to_their_end_on_their_own_clock(name: str, count: int, seconds: float) -> None:
    path = DATA / "clips" / name
    if not path.exists():
        pytest.skip(f"{path} is not there; set LINEGATE_DATA")
    found = frames(path)
    times = [frame.at_s for frame in found]
    assert len(found) == count
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert times[-1] == pytest.approx(seconds, abs=0.02)
    assert found[0].image.shape[2] == 3


def test_a_clip_that_repeats_goes_on_in_time(avi: Path) -> None:
    source = Clip(ClipSource(path=str(avi), paced=False, repeat=True))
    found = list(itertools.islice(source.frames(threading.Event()), 25))
    assert [frame.index for frame in found] == list(range(25))
    assert np.diff([frame.at_s for frame in found]) == pytest.approx(np.full(24, 0.1), abs=1e-6)


def test_a_clip_that_breaks_off_ends_and_says_how_far_it_came(avi: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = avi.read_bytes()
    avi.write_bytes(data[: len(data) // 2])
    with caplog.at_level(logging.WARNING):
        found = frames(avi)
    assert 0 < len(found) < 10
    assert f"breaks off after {len(found)} of 10 frames" in caplog.text


@pytest.fixture
def avi(tmp_path: Path) -> Path:
    path = tmp_path / "ten.avi"
    clip = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48), isColor=False)
    rng = np.random.default_rng(1)
    for _ in range(10):
        clip.write(rng.integers(0, 255, (48, 64), dtype=np.uint8))
    clip.release()
    return path


def test_pictures_come_in_the_order_people_number_them(tmp_path: Path) -> None:
    for number in (10, 9, 1, 2):
        cv2.imwrite(str(tmp_path / f"view{number}.png"), np.full((8, 8), number, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._view3.png").write_text("left by another system")
    found = frames(tmp_path, fps=4.0)
    assert [int(frame.image[0, 0]) for frame in found] == [1, 2, 9, 10]
    assert [frame.at_s for frame in found] == [0.0, 0.25, 0.5, 0.75]
    assert found[0].image.ndim == 2


def test_every_recording_that_cannot_work_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "junk.mp4").write_bytes(os.urandom(4000))
    (tmp_path / "nothing.avi").write_bytes(b"")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.png").write_bytes(b"no picture")
    for name, said in [
        ("empty", "holds no pictures"),
        ("junk.mp4", "is no readable clip"),
        ("nothing.avi", "is no readable clip"),
        ("broken", "1.png: is no readable picture"),
        ("absent.mp4", "no such clip or folder"),
    ]:
        with pytest.raises(SourceError, match=said) as caught:
            Clip(ClipSource(path=str(tmp_path / name)))
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match=r"source\.clip\.path"):
        Clip(ClipSource())


def test_pictures_of_two_sizes_are_refused_where_they_differ(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8), np.uint8))
    cv2.imwrite(str(tmp_path / "2.png"), np.zeros((8, 9), np.uint8))
    with pytest.raises(SourceError, match=r"2\.png: is 9 x 8 px, the first picture 8 x 8"):
        frames(tmp_path)
