"""The networks: grey levels 0 to 255 in, one logit per class out, everything between inside the graph."""

from __future__ import annotations

from typing import Any

from trainer.backend import keras
from trainer.recipe import Input, Network

layers = keras.layers


def build(network: Network, shape: Input, classes: int, weight_decay: float = 0.0) -> Any:
    """An untrained Keras model: float32 `(n, height, width, channels)` in 0..255 to logits `(n, classes)`."""
    picture = layers.Input((shape.height_px, shape.width_px, shape.channels), name="picture")
    # In the graph, so that the device's int8 input is simply the grey level minus 128.
    x = layers.Rescaling(1 / 64, offset=-2.0, name="normalise")(picture)
    x = _ds_cnn(x, network)
    logits = layers.Dense(classes, name="logits")(x)
    model = keras.Model(picture, logits, name=network.kind)
    if weight_decay:
        _decay(model, weight_decay)
    return model


def _ds_cnn(x: Any, network: Network) -> Any:
    """Small depthwise-separable blocks; the mean tells what a part looks like, the maximum finds the one bad spot."""
    x = _settled(layers.Conv2D(network.width, 3, strides=2, padding="same", use_bias=False, name="stem")(x), "stem")
    width = network.width
    for block in range(network.blocks):
        strides = 2 if block in (1, 2) else 1
        width = min(width + network.width // 2, 4 * network.width)
        name = f"block{block + 1}"
        x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False, name=f"{name}_depth")(x)
        x = _settled(x, f"{name}_depth")
        x = _settled(layers.Conv2D(width, 1, use_bias=False, name=f"{name}_point")(x), f"{name}_point")
    mean = layers.GlobalAveragePooling2D(name="mean")(x)
    peak = layers.GlobalMaxPooling2D(name="peak")(x)
    return layers.Concatenate(name="pooled")([mean, peak])


def _settled(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)
    return layers.ReLU(max_value=6.0, name=f"{name}_relu")(x)


def _decay(model: Any, weight_decay: float) -> None:
    for layer in model.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            model.add_loss(lambda kernel=kernel: weight_decay * keras.backend.sum(keras.backend.square(kernel)))
