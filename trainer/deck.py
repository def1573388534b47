"""Which picture comes next: good and defective ones in turn, each class and in it each part alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.dataset import Picture


def classes(pictures: Sequence[Picture], labels: Sequence[str]) -> NDArray[np.int64]:
    """The number of each picture's class."""
    return np.array([labels.index(each.label) for each in pictures], dtype=np.int64)


class Deck:
    """Draws as many good pictures as defective ones, each class, each part alike: forty pictures count like three."""

    def __init__(
        self, pictures: Sequence[Picture], labels: Sequence[str], good: Sequence[str], random: np.random.Generator
    ) -> None:
        self.classes = classes(pictures, labels)
        self.good = len(good)
        self._random = random
        parts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, each in enumerate(pictures):
            parts[each.label][each.group].append(index)
        known = [(label, list(parts[label].values())) for label in labels if parts[label]]
        sides = [
            [groups for label, groups in known if label in good],
            [groups for label, groups in known if label not in good],
        ]
        self._sides = [side or sides[1] for side in sides]

    def draw(self, count: int) -> list[int]:
        """`count` indices of pictures, good and defective in turn."""
        return [self.one(bad=turn % 2 == 1) for turn in range(count)]

    def one(self, *, bad: bool) -> int:
        """The index of one picture."""
        side = self._sides[bad]
        groups = side[self._random.integers(len(side))]
        views = groups[self._random.integers(len(groups))]
        return views[self._random.integers(len(views))]
