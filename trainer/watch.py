"""Looks on while a network learns: curves for TensorBoard, and a checkpoint from which a killed training goes on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.backend import tf

Weights = list[NDArray[np.generic]]

SAVE_EVERY_S = 20.0
"""A checkpoint costs a few milliseconds; an epoch may cost less than one is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Everything that the rest of a training depends on, at the end of an epoch."""

    weights: Weights
    optimizer: Weights
    random: dict[str, Any]
    history: tuple[dict[str, float], ...]
    best: float
    best_weights: Weights

    @classmethod
    def of(
        cls,
        model: Any,
        optimizer: Any,
        random: np.random.Generator,
        history: Sequence[dict[str, float]],
        best: float,
        best_weights: Weights,
    ) -> Standing:
        """Where a training stands now."""
        return cls(
            weights=model.get_weights(),
            optimizer=optimizer.get_weights(),
            random=dict(random.bit_generator.state),
            history=tuple(history),
            best=best,
            best_weights=best_weights,
        )

    def restore(self, model: Any, optimizer: Any, random: np.random.Generator) -> None:
        """Put network, optimizer and dice back to where they stood."""
        model.set_weights(self.weights)
        # The optimizer's own variables exist only from its first step on.
        optimizer._create_all_weights(model.trainable_variables)
        optimizer.set_weights(self.optimizer)
        random.bit_generator.state = self.random


class Watch:
    """Keeps one training's checkpoints below `folder` and its curves below `logs`, a stage each."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._folder, self._logs = folder, logs
        self._writers: dict[str, Any] = {}
        self._saved_at_s = -SAVE_EVERY_S

    def resume(self, stage: str) -> Standing | None:
        """Where this stage stopped before; None when it has not been begun, or its checkpoint cannot be read."""
        try:
            with np.load(self._folder / f"{stage}.npz") as kept:
                said = json.loads(str(kept["said"]))
                sets = {
                    name: [kept[f"{name}{i}"] for i in range(said[name])] for name in ("weights", "optimizer", "best")
                }
        except (OSError, ValueError, KeyError):
            return None
        return Standing(
            weights=sets["weights"],
            optimizer=sets["optimizer"],
            random=said["random"],
            history=tuple(said["history"]),
            best=said["score"],
            best_weights=sets["best"],
        )

    def epoch(self, stage: str, standing: Standing) -> None:
        """One more epoch is done."""
        last = standing.history[-1]
        with self._writer(stage).as_default(step=int(last["epoch"])):
            for name, value in last.items():
                if name != "epoch":
                    tf.summary.scalar(name, value)
        if time.monotonic() - self._saved_at_s >= SAVE_EVERY_S:
            self._save(stage, standing)
            self._saved_at_s = time.monotonic()

    def _writer(self, stage: str) -> Any:
        if stage not in self._writers:
            self._writers[stage] = tf.summary.create_file_writer(str(self._logs / stage))
        return self._writers[stage]

    def _save(self, stage: str, standing: Standing) -> None:
        sets = {"weights": standing.weights, "optimizer": standing.optimizer, "best": standing.best_weights}
        arrays = {f"{name}{i}": each for name, weights in sets.items() for i, each in enumerate(weights)}
        said = {name: len(weights) for name, weights in sets.items()}
        said |= {"random": standing.random, "history": standing.history, "score": standing.best}
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f".{stage}.fresh.npz"
        np.savez(fresh, said=np.array(json.dumps(said)), allow_pickle=False, **arrays)
        os.replace(fresh, self._folder / f"{stage}.npz")
