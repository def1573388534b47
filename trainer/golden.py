"""Golden pictures: what the device asks the model before it trusts it, with the answers that it must give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec
from trainer import dataset, lesson, pack, runtime
from trainer.augment import Image, seen
from trainer.dataset import Dataset
from trainer.limits import columns, evidence

Golden = tuple[tuple[str, Image, NDArray[np.int8]], ...]


def ask(
    content: bytes,
    outputs: NDArray[np.generic],
    data: Dataset,
    labels: Sequence[str],
    good: Sequence[str],
    spec: InputSpec,
) -> tuple[Golden, int]:
    """A typical test picture of each class with the file's int8 answers, and how far other kernels may stray.

    `outputs` are those of the whole test split, by which the typical one is chosen.
    """
    tested = data.of("test")
    chosen = pack.golden_choice(lesson.classes(tested, labels), evidence(outputs, columns(labels, good)))
    crops = dataset.pixels(data, [tested[i] for i in chosen], spec.channels)
    shown = [seen(each, spec) for each in crops]
    fast, plain = runtime.Model(content), runtime.Model(content, builtin=True)
    answers = [np.asarray(fast.raw(each), dtype=np.int8) for each in shown]
    apart = max(
        int(np.abs(said.astype(int) - plain.raw(each).astype(int)).max())
        for said, each in zip(answers, shown, strict=True)
    )
    taken = zip(_as_taken(crops, shown, spec), answers, strict=True)
    return tuple((f"{i}.png", each, said) for i, (each, said) in enumerate(taken)), min(32, max(8, 3 * apart))


def _as_taken(crops: Sequence[Image], shown: Sequence[Image], spec: InputSpec) -> list[Image]:
    """As the network is shown them, or whole where the device has to register them first."""
    if spec.registration is None:
        return list(shown)
    return [crop[:, :, ::-1] if crop.ndim == 3 else crop[:, :, None] for crop in crops]
