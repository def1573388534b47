"""Parts that file names tell apart: in `exp2_num_417` and `exp5_num_417` the number says the part, `exp` the view.

Names are only believed where pictures of one name are more alike than pictures of different ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from trainer.leakage import Prints

FIELD = re.compile(r"([A-Za-z]*)[-_. #]*(\d+)")
PART_WORDS = frozenset(
    {"group", "grp", "part", "piece", "specimen", "object", "obj", "item", "tile", "num", "sn", "id"}
)
VIEW_WORDS = frozenset({"view", "cam", "camera", "frame", "shot", "exp", "exposure", "light", "angle", "copy", "aug"})
MOST = 0.1
"""Share of all pictures above which what shares a number is no part; below `FEW` pictures it always may be."""
FEW = 16
LIKELIER = 0.75
"""Share of comparisons that pictures of one name must win against pictures of different names, unless words say it."""
ASKED = 200

Key = tuple[str, ...]


def named(files: Sequence[str], labels: Sequence[str], prints: Prints, seed: int = 1) -> tuple[list[int], str]:
    """The group of each picture by what its name says, as the place of the group's first picture, and the field.

    Each picture is alone, and the field empty, where names say nothing that likeness bears out.
    """
    fields = [FIELD.findall(PurePosixPath(each).stem.casefold()) for each in files]
    shapes = [tuple(word for word, _ in each) for each in fields]
    usual, count = Counter(shapes).most_common(1)[0]
    if count >= 0.9 * len(files):
        for chosen, said in _candidates(usual):
            keys = [
                (label, *(mine[i][1] for i in chosen)) if shape == usual else (file,)
                for file, label, mine, shape in zip(files, labels, fields, shapes, strict=True)
            ]
            wins = _likeness(keys, labels, prints, seed) if _plausible(keys) else 0.0
            if wins >= (0.5 if said else LIKELIER):
                first: dict[Key, int] = {}
                return [first.setdefault(key, i) for i, key in enumerate(keys)], " and ".join(
                    usual[i] or f"number {i + 1}" for i in chosen
                )
    return list(range(len(files))), ""


def _candidates(words: Key) -> list[tuple[tuple[int, ...], bool]]:
    """Which fields may name the part, and whether their words say so; the surest first."""
    every = range(len(words))
    part = tuple(i for i in every if words[i] in PART_WORDS)
    rest = tuple(i for i in every if words[i] not in VIEW_WORDS)
    said = [each for each in (part, rest) if 0 < len(each) < len(words)]
    tried = [*((each, True) for each in dict.fromkeys(said)), *(((i,), False) for i in every if len(words) > 1)]
    return list(dict.fromkeys(tried))


def _plausible(keys: Sequence[Key]) -> bool:
    """Whether at least a third of the pictures share their key, and no key is shared by too many."""
    counts = Counter(keys)
    shared = sum(count for count in counts.values() if count > 1)
    return shared * 3 >= len(keys) and max(counts.values()) <= max(FEW, MOST * len(keys))


def _likeness(keys: Sequence[Key], labels: Sequence[str], prints: Prints, seed: int) -> float:
    """How often two pictures of one key are more alike than two of the same class and different keys."""
    random = np.random.default_rng(seed)
    members: dict[Key, list[int]] = {}
    for i, key in enumerate(keys):
        members.setdefault(key, []).append(i)
    several = [each for each in members.values() if len(each) > 1]
    wins = []
    for _ in range(ASKED):
        mine = several[random.integers(len(several))]
        one, other = random.choice(mine, 2, replace=False)
        strangers = [i for i in random.permutation(len(keys))[:40] if labels[i] == labels[one] and keys[i] != keys[one]]
        if strangers:
            near, far = prints.alike(int(one), int(other)), prints.alike(int(one), int(strangers[0]))
            wins.append(0.5 if near == far else float(near > far))
    return float(np.mean(wins)) if wins else 0.0
