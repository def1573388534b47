"""The training itself: straight down, one step after the other."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec
from trainer import network
from trainer.augment import Image, seen, shrink, varied
from trainer.backend import keras, settle, tf
from trainer.dataset import Dataset, Picture, pixels
from trainer.recipe import Recipe

STEPS_AT_MOST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A network with the history of how it came about."""

    model: Any
    history: tuple[dict[str, float], ...]
    seconds: float


def input_spec(recipe: Recipe) -> InputSpec:
    """The recipe's input in the words of the bundle."""
    return InputSpec(height=recipe.input.height_px, width=recipe.input.width_px, channels=recipe.input.channels)


def train(recipe: Recipe, data: Dataset, labels: Sequence[str]) -> Trained:
    """Train the recipe's network on the split's `train`, keep the best by `validation`; float, not yet quantized."""
    settle(recipe.seed)
    spec, how = input_spec(recipe), recipe.training
    random = np.random.default_rng(recipe.seed)
    crops = [shrink(each, spec) for each in pixels(data, data.of("train"), spec.channels)]
    deck = _Deck(data.of("train"), labels, random)
    held, held_classes = stack(data, "validation", spec), classes(data.of("validation"), labels)

    model = network.build(recipe.network, recipe.input, len(labels), how.weight_decay)
    steps = how.steps or min(STEPS_AT_MOST, max(4, len(crops) // how.batch))
    rate = keras.optimizers.schedules.CosineDecay(how.learning_rate, how.epochs * steps, alpha=0.01, warmup_target=None)
    optimizer = keras.optimizers.legacy.Adam(rate)
    update = _update_function(model, optimizer, len(labels), how.smoothing)

    history: list[dict[str, float]] = []
    best, best_weights, began = -np.inf, model.get_weights(), time.perf_counter()
    for epoch in range(how.epochs):
        losses = []
        for _ in range(steps):
            drawn = deck.draw(how.batch)
            pictures = np.stack([varied(crops[i], spec, recipe.augment, random) for i in drawn])
            losses.append(float(update(pictures.astype(np.float32), deck.classes[drawn])))
        logits = predict(model, held)
        score = _balanced(logits, held_classes)
        loss = float(np.mean(losses))
        history.append({"epoch": epoch + 1, "loss": loss, "validation_balanced_accuracy": score})
        # Of equal scores the later one wins: its learning rate is lower, its weights calmer.
        if score >= best:
            best, best_weights = score, model.get_weights()
        _progress(epoch + 1, how.epochs, loss, score, time.perf_counter() - began)
    model.set_weights(best_weights)
    return Trained(model=model, history=tuple(history), seconds=time.perf_counter() - began)


def stack(data: Dataset, split: str, spec: InputSpec) -> Image:
    """A split as the device would show it to the network: `(n, height, width, channels)` uint8."""
    shown = [seen(each, spec) for each in pixels(data, data.of(split), spec.channels)]
    return np.stack(shown) if shown else np.zeros((0, spec.height, spec.width, spec.channels), np.uint8)


def classes(pictures: Sequence[Picture], labels: Sequence[str]) -> NDArray[np.int64]:
    """The number of each picture's class."""
    return np.array([labels.index(each.label) for each in pictures], dtype=np.int64)


def predict(model: Any, pictures: Image, batch: int = 64) -> NDArray[np.float32]:
    """Logits of the float network, `(n, classes)`."""
    rows = [
        model(pictures[i : i + batch].astype(np.float32), training=False).numpy()
        for i in range(0, len(pictures), batch)
    ]
    return np.concatenate(rows)


class _Deck:
    """Draws pictures class by class, part by part: a part with forty pictures counts no more than one with three."""

    def __init__(self, pictures: Sequence[Picture], labels: Sequence[str], random: np.random.Generator) -> None:
        self.classes = classes(pictures, labels)
        self._random = random
        parts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, each in enumerate(pictures):
            parts[each.label][each.group].append(index)
        self._parts = [list(parts[label].values()) for label in labels if parts[label]]

    def draw(self, count: int) -> list[int]:
        """`count` indices of pictures, every class as often as every other."""
        offset = int(self._random.integers(len(self._parts)))
        drawn = []
        for turn in range(count):
            groups = self._parts[(turn + offset) % len(self._parts)]
            views = groups[self._random.integers(len(groups))]
            drawn.append(views[self._random.integers(len(views))])
        return drawn


def _update_function(model: Any, optimizer: Any, count: int, smoothing: float) -> Any:
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)

    @tf.function(reduce_retracing=True)
    def update(pictures: Any, wanted: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model(pictures, training=True)
            loss = loss_of(tf.one_hot(wanted, count), logits)
            total = loss + tf.add_n(model.losses) if model.losses else loss
        gradients = tape.gradient(total, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return update


def _balanced(logits: NDArray[np.float32], wanted: NDArray[np.int64]) -> float:
    guessed = logits.argmax(axis=1)
    return float(np.mean([np.mean(guessed[wanted == each] == each) for each in np.unique(wanted)]))


def _progress(epoch: int, epochs: int, loss: float, score: float, seconds: float) -> None:
    filled = round(20 * epoch / epochs)
    bar = "#" * filled + "." * (20 - filled)
    line = f"  [{bar}] epoch {epoch}/{epochs}  loss {loss:.3f}  validation {score:.3f}  {seconds:.0f} s"
    end = "\n" if epoch == epochs or not sys.stderr.isatty() else "\r"
    if sys.stderr.isatty() or epoch % max(1, epochs // 10) == 0 or epoch == epochs:
        print(line, end=end, file=sys.stderr, flush=True)
