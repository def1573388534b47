"""The training itself: straight down, one step after the other."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec
from trainer import network
from trainer.augment import Image, seen
from trainer.backend import keras, settle, tf
from trainer.dataset import Dataset, pixels
from trainer.lesson import FLAWED, Lesson
from trainer.measure import auroc
from trainer.recipe import Recipe, Training
from trainer.register import input_spec
from trainer.watch import Standing, Watch

STEPS_AT_LEAST, STEPS_AT_MOST = 24, 60
"""Batches per epoch: a small set is seen often in an epoch, always in other variations; a large one in several."""
WINDOW_PX = 176
"""Width of the pieces of unrolled parts: a third of the way around costs a third of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A network with the history of how it came about."""

    model: Any
    history: tuple[dict[str, float], ...]
    seconds: float


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
        return _learn(model, Lesson(recipe, input_spec(recipe), data, labels, good), how, stage="fine", watch=watch)
    if recipe.input.registration == "ring":
        return _through_windows(recipe, data, labels, good, watch)
    small = _coarser(recipe)
    begun, lesson = (
        network.build(small.network, small.input, *counts),
        Lesson(small, input_spec(small), data, labels, good),
    )
    first = _learn(begun, lesson, small.training, stage="coarse", watch=watch)
    # Nothing in the network depends on the size of the picture, so that it goes on in full size where it stands.
    model = network.build(recipe.network, recipe.input, *counts)
    model.set_weights(first.model.get_weights())
    how = dataclasses.replace(how, learning_rate=0.5 * how.learning_rate)
    lesson = Lesson(recipe, input_spec(recipe), data, labels, good)
    second = _learn(model, lesson, how, hard=True, stage="fine", watch=watch)
    return Trained(model=model, history=(*first.history, *second.history), seconds=first.seconds + second.seconds)


def _through_windows(
    recipe: Recipe, data: Dataset, labels: Sequence[str], good: Sequence[str], watch: Watch | None
) -> Trained:
    """Learn on pieces of the unrolled parts, flaws in the middle of them, and only then on whole ones."""
    counts, how = (len(good), len(labels) - len(good)), recipe.training
    lesson = Lesson(recipe, input_spec(recipe), data, labels, good)
    narrow = dataclasses.replace(recipe.input, width_px=WINDOW_PX)
    model = network.build(recipe.network, recipe.input, *counts)
    if lesson.bench is not None and how.coarse and narrow.width_px < recipe.input.width_px:
        begun, lesson.window_px = network.build(recipe.network, narrow, *counts), WINDOW_PX
        first = _learn(begun, lesson, dataclasses.replace(how, epochs=how.coarse), stage="coarse", watch=watch)
        model.set_weights(first.model.get_weights())
        lesson.window_px = 0
        how = dataclasses.replace(how, learning_rate=0.4 * how.learning_rate)
        second = _learn(model, lesson, how, hard=True, stage="fine", watch=watch)
        return Trained(model=model, history=(*first.history, *second.history), seconds=first.seconds + second.seconds)
    return _learn(model, lesson, how, stage="fine", watch=watch)


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
    return _learn(
        model,
        Lesson(recipe, input_spec(recipe), data, labels, good),
        gentle,
        hard=True,
        stage="aware",
        watch=watch,
    )


def _learn(
    model: Any,
    lesson: Lesson,
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
    held = len(lesson.held) > 0 and not lesson.window_px
    best, best_weights, began = -np.inf, model.get_weights(), time.perf_counter()
    stopped = watch.resume(stage) if watch else None
    if stopped is not None:
        history, best, best_weights = list(stopped.history), stopped.best, stopped.best_weights
        stopped.restore(model, optimizer, lesson.random)
    for epoch in range(len(history), how.epochs):
        sharpness.assign(_sharpness(1.0 if hard else epoch / how.epochs))
        losses = [float(update(*each)) for each in lesson.batches(steps, defect_map(model).shape[1:3])]
        loss = float(np.mean(losses))
        # Without validation pictures the last weights stay, which the falling learning rate has calmed.
        score = _separation(predict(model, lesson.held), lesson.held_classes, lesson.deck.good) if held else None
        history.append({"epoch": epoch + 1, "loss": loss} | ({} if score is None else {"validation_auroc": score}))
        # Of equal scores the later one wins: its learning rate is lower, its weights calmer.
        if (score or 0.0) >= best:
            best, best_weights = score or 0.0, model.get_weights()
        _progress(epoch + 1, how.epochs, loss, score, time.perf_counter() - began)
        if watch:
            watch.epoch(stage, Standing.of(model, optimizer, lesson.random, history, best, best_weights))
    model.set_weights(best_weights)
    return Trained(model=model, history=tuple(history), seconds=time.perf_counter() - began)


def defect_map(model: Any) -> Any:
    """The tensor with one cell per place and one channel per defect, also in a network with fake-quant nodes."""
    return next(layer for layer in model.layers if layer.name.endswith("defect_map")).output


def stack(data: Dataset, split: str, spec: InputSpec) -> Image:
    """A split as the device would show it to the network: `(n, height, width, channels)` uint8."""
    shown = [seen(each, spec) for each in pixels(data, data.of(split), spec.channels)]
    return np.stack(shown) if shown else np.zeros((0, spec.height, spec.width, spec.channels), np.uint8)


def predict(model: Any, pictures: Image, batch: int = 64) -> NDArray[np.float32]:
    """Logits of the float network, `(n, classes)`."""
    rows = [
        model(pictures[i : i + batch].astype(np.float32), training=False).numpy()
        for i in range(0, len(pictures), batch)
    ]
    return np.concatenate(rows)


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
            bad = tf.cast((wanted >= good) | (wanted == FLAWED), tf.float32) * (1 - 2 * blur) + blur
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
    """The AUROC of good against defective pictures; where all are of one side, the share whose class is told."""
    if (wanted >= good).all():
        return float((logits.argmax(axis=1) == wanted).mean())
    evidence = logits[:, good:].max(axis=1) - logits[:, :good].max(axis=1)
    return auroc(evidence.astype(np.float64), wanted >= good) or 0.0


def _progress(epoch: int, epochs: int, loss: float, score: float | None, seconds: float) -> None:
    filled = round(20 * epoch / epochs)
    bar = "#" * filled + "." * (20 - filled)
    held = "–" if score is None else f"{score:.3f}"
    line = f"  [{bar}] epoch {epoch}/{epochs}  loss {loss:.3f}  validation {held}  {seconds:.0f} s"
    end = "\n" if epoch == epochs or not sys.stderr.isatty() else "\r"
    if sys.stderr.isatty() or epoch % max(1, epochs // 20) == 0 or epoch == epochs:
        print(line, end=end, file=sys.stderr, flush=True)
