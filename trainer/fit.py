"""The training itself: straight down, one step after the other."""

from __future__ import annotations

import dataclasses
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
from trainer.augment import Image, moved, relit, seen, shrink
from trainer.backend import keras, settle, tf
from trainer.dataset import Dataset, Picture, pixels
from trainer.drawn import cells, flawed
from trainer.measure import auroc
from trainer.recipe import Recipe, Training
from trainer.watch import Standing, Watch

STEPS_AT_LEAST, STEPS_AT_MOST = 24, 60
"""Batches per epoch: a small set is seen often in an epoch, always in other variations; a large one in several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A network with the history of how it came about."""

    model: Any
    history: tuple[dict[str, float], ...]
    seconds: float


def input_spec(recipe: Recipe) -> InputSpec:
    """The recipe's input in the words of the bundle."""
    return InputSpec(height=recipe.input.height_px, width=recipe.input.width_px, channels=recipe.input.channels)


def train(
    recipe: Recipe, data: Dataset, labels: Sequence[str], good: Sequence[str], watch: Watch | None = None
) -> Trained:
    """Train the recipe's network on the split's `train`, keep the best by `validation`; float.

    `labels` begin with the `good` ones; `watch` is told of every epoch and knows where a killed training stopped.
    """
    settle(recipe.seed)
    how, counts = recipe.training, (len(good), len(labels) - len(good))
    if not how.coarse:
        model = network.build(recipe.network, recipe.input, *counts)
        return _learn(model, recipe, _Lesson(recipe, data, labels, good), how, stage="fine", watch=watch)
    small = _coarser(recipe)
    begun, lesson = network.build(small.network, small.input, *counts), _Lesson(small, data, labels, good)
    first = _learn(begun, small, lesson, small.training, stage="coarse", watch=watch)
    # Nothing in the network depends on the size of the picture, so that it goes on in full size where it stands.
    model = network.build(recipe.network, recipe.input, *counts)
    model.set_weights(first.model.get_weights())
    how = dataclasses.replace(how, learning_rate=0.5 * how.learning_rate)
    lesson = _Lesson(recipe, data, labels, good)
    second = _learn(model, recipe, lesson, how, hard=True, stage="fine", watch=watch)
    return Trained(model=model, history=(*first.history, *second.history), seconds=first.seconds + second.seconds)


def _coarser(recipe: Recipe) -> Recipe:
    shape = recipe.input
    smaller = dataclasses.replace(
        shape, height_px=max(16, round(0.75 * shape.height_px)), width_px=max(16, round(0.75 * shape.width_px))
    )
    return dataclasses.replace(
        recipe, input=smaller, training=dataclasses.replace(recipe.training, epochs=recipe.training.coarse)
    )


def tune(
    recipe: Recipe,
    data: Dataset,
    labels: Sequence[str],
    good: Sequence[str],
    model: Any,
    watch: Watch | None = None,
) -> Trained:
    """Go on training a network that `aware` has made, briefly and gently."""
    settle(recipe.seed)
    how = recipe.training
    gentle = dataclasses.replace(
        how, epochs=max(1, round(how.epochs * how.aware)), learning_rate=0.1 * how.learning_rate
    )
    return _learn(model, recipe, _Lesson(recipe, data, labels, good), gentle, hard=True, stage="aware", watch=watch)


def _learn(
    model: Any,
    recipe: Recipe,
    lesson: _Lesson,
    how: Training,
    *,
    stage: str,
    watch: Watch | None = None,
    hard: bool = False,
) -> Trained:
    steps = how.steps or min(STEPS_AT_MOST, max(STEPS_AT_LEAST, len(lesson.crops) // how.batch))
    rate = keras.optimizers.schedules.CosineDecay(how.learning_rate, how.epochs * steps, alpha=0.01)
    optimizer = keras.optimizers.legacy.Adam(rate)
    update = _update_function(model, optimizer, lesson.deck.good, how)
    sharpness = next(each for each in model.weights if "sharpness" in each.name)

    history: list[dict[str, float]] = []
    best, best_weights, began = -np.inf, model.get_weights(), time.perf_counter()
    stopped = watch.resume(stage) if watch else None
    if stopped is not None:
        history, best, best_weights = list(stopped.history), stopped.best, stopped.best_weights
        stopped.restore(model, optimizer, lesson.random)
    for epoch in range(len(history), how.epochs):
        sharpness.assign(_sharpness(1.0 if hard else epoch / how.epochs))
        losses = [float(update(*_batch(lesson, recipe, defect_map(model).shape[1:3]))) for _ in range(steps)]
        loss = float(np.mean(losses))
        score = _separation(predict(model, lesson.held), lesson.held_classes, lesson.deck.good)
        history.append({"epoch": epoch + 1, "loss": loss, "validation_auroc": score})
        # Of equal scores the later one wins: its learning rate is lower, its weights calmer.
        if score >= best:
            best, best_weights = score, model.get_weights()
        _progress(epoch + 1, how.epochs, loss, score, time.perf_counter() - began)
        if watch:
            watch.epoch(stage, Standing.of(model, optimizer, lesson.random, history, best, best_weights))
    model.set_weights(best_weights)
    return Trained(model=model, history=tuple(history), seconds=time.perf_counter() - began)


class _Lesson:
    """What a training draws from: crops in memory, the deck, and the validation pictures it is held against."""

    def __init__(self, recipe: Recipe, data: Dataset, labels: Sequence[str], good: Sequence[str]) -> None:
        spec = input_spec(recipe)
        self.random = np.random.default_rng(recipe.seed)
        self.crops = [shrink(each, spec) for each in pixels(data, data.of("train"), spec.channels)]
        self.deck = _Deck(data.of("train"), labels, good, self.random)
        self.held = stack(data, "validation", spec)
        self.held_classes = classes(data.of("validation"), labels)


def defect_map(model: Any) -> Any:
    """The tensor with one cell per place and one channel per defect, also in a network with fake-quant nodes."""
    return next(layer for layer in model.layers if layer.name.endswith("defect_map")).output


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
        self._sides = [
            [groups for label, groups in known if label in good],
            [groups for label, groups in known if label not in good],
        ]

    def draw(self, count: int) -> list[int]:
        """`count` indices of pictures."""
        drawn = []
        for turn in range(count):
            side = self._sides[turn % 2]
            groups = side[self._random.integers(len(side))]
            views = groups[self._random.integers(len(groups))]
            drawn.append(views[self._random.integers(len(views))])
        return drawn


def _batch(
    lesson: _Lesson, recipe: Recipe, grid: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Pictures, their classes (one below zero: a drawn flaw, of no class) and, cell by cell, where a flaw is.

    A cell is 1 where there is a flaw, 0 where there is none, -1 where nobody knows.
    """
    spec, how, deck, random = input_spec(recipe), recipe.augment, lesson.deck, lesson.random
    pictures, wanted, places = [], [], []
    for index in deck.draw(recipe.training.batch):
        kind, crop = int(deck.classes[index]), moved(lesson.crops[index], how, random)
        known = kind < deck.good
        place = np.full(grid, 0.0 if known else -1.0, dtype=np.float32)
        if known and random.random() < how.drawn:
            crop, mask = flawed(crop, random)
            kind, place = -1, cells(mask, *grid)
        pictures.append(relit(seen(crop, spec), how, random))
        wanted.append(kind)
        places.append(place)
    return np.stack(pictures).astype(np.float32), np.array(wanted, dtype=np.int64), np.stack(places)


def _update_function(model: Any, optimizer: Any, good: int, how: Training) -> Any:
    """One step of training: tell good from defective, tell the classes apart, and point at what was drawn."""
    taught = keras.Model(model.input, [model.output, defect_map(model)])
    kernels = [each for each in model.trainable_variables if "kernel" in each.name]
    blur = how.smoothing

    @tf.function(reduce_retracing=True)
    def update(pictures: Any, wanted: Any, places: Any) -> Any:
        with tf.GradientTape() as tape:
            logits, places_said = taught(pictures, training=True)
            real = tf.cast(wanted >= 0, tf.float32)
            classes = tf.one_hot(tf.maximum(wanted, 0), logits.shape[1]) * (1 - blur) + blur / logits.shape[1]
            which = tf.nn.softmax_cross_entropy_with_logits(classes, logits)
            evidence = tf.reduce_logsumexp(logits[:, good:], axis=1) - tf.reduce_logsumexp(logits[:, :good], axis=1)
            bad = tf.cast((wanted >= good) | (wanted < 0), tf.float32) * (1 - 2 * blur) + blur
            whether = tf.nn.sigmoid_cross_entropy_with_logits(bad, evidence)
            loss = tf.reduce_sum(which * real) / (tf.reduce_sum(real) + 1e-6) + tf.reduce_mean(whether)
            loss += _pointing(tf.reduce_logsumexp(places_said, axis=3), places)
            total = loss + how.weight_decay * tf.add_n([tf.nn.l2_loss(each) for each in kernels])
        gradients = tape.gradient(total, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return update


def _pointing(said: Any, places: Any) -> Any:
    """Cross entropy over cells, those with a flaw and those without weighing the same."""
    missed = tf.nn.sigmoid_cross_entropy_with_logits(tf.maximum(places, 0.0), said)
    flawed_cells, clean_cells = tf.cast(places > 0.5, tf.float32), tf.cast(tf.abs(places) < 0.5, tf.float32)
    return sum(tf.reduce_sum(missed * each) / (tf.reduce_sum(each) + 1.0) for each in (flawed_cells, clean_cells))


def _sharpness(progress: float) -> float:
    """A soft maximum for the first third of the way, then harder and harder."""
    return float(8 ** min(1.0, max(0.0, (progress - 0.3) / 0.5)))


def _separation(logits: NDArray[np.float32], wanted: NDArray[np.int64], good: int) -> float:
    """The AUROC of good against defective pictures."""
    evidence = logits[:, good:].max(axis=1) - logits[:, :good].max(axis=1)
    return auroc(evidence.astype(np.float64), wanted >= good) or 0.0


def _progress(epoch: int, epochs: int, loss: float, score: float, seconds: float) -> None:
    filled = round(20 * epoch / epochs)
    bar = "#" * filled + "." * (20 - filled)
    line = f"  [{bar}] epoch {epoch}/{epochs}  loss {loss:.3f}  validation {score:.3f}  {seconds:.0f} s"
    end = "\n" if epoch == epochs or not sys.stderr.isatty() else "\r"
    if sys.stderr.isatty() or epoch % max(1, epochs // 20) == 0 or epoch == epochs:
        print(line, end=end, file=sys.stderr, flush=True)
