"""The networks: grey levels 0 to 255 in, one logit per class out, everything between inside the graph."""

from __future__ import annotations

from typing import Any

from trainer import mobilenet
from trainer.backend import keras, tf
from trainer.recipe import Input, Network

layers = keras.layers

FOLD_PX = 4


@keras.utils.register_keras_serializable("linegate")
class Peak(layers.Layer):
    """The highest point of each channel of a map: `(n, height, width, channels)` to `(n, channels)`.

    While training it is a soft maximum, so that more than one place learns from a picture; `sharpness` grows until
    the two are nearly one. What is exported is the plain maximum.
    """

    def build(self, input_shape: Any) -> None:
        """Add the sharpness, which is set from outside and not trained."""
        self.sharpness = self.add_weight(name="sharpness", shape=(), initializer="ones", trainable=False)
        super().build(input_shape)

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Pool one batch."""
        if not training:
            return tf.reduce_max(inputs, axis=[1, 2])
        count = tf.cast(tf.shape(inputs)[1] * tf.shape(inputs)[2], inputs.dtype)
        soft = tf.reduce_logsumexp(self.sharpness * inputs, axis=[1, 2]) - tf.math.log(count)
        return soft / self.sharpness


@keras.utils.register_keras_serializable("linegate")
class Folded(layers.Layer):
    """Each square of `FOLD_PX` pixels as one place: `(n, height, width, 1)` to `(n, height / 4, width / 4, 16)`.

    Nothing is lost, and convolutions cost least where there are many channels and few places. A picture that is no
    multiple of `FOLD_PX` is made one, by zeros at its lower and right edge.
    """

    def call(self, inputs: Any) -> Any:
        """Fold one batch."""
        missing = [[0, -side % FOLD_PX] for side in inputs.shape[1:3]]
        whole = tf.pad(inputs, [[0, 0], *missing, [0, 0]]) if any(map(any, missing)) else inputs
        return tf.nn.space_to_depth(whole, FOLD_PX)


def build(network: Network, shape: Input, good: int, defects: int) -> Any:
    """An untrained Keras model: float32 `(n, height, width, channels)` in 0..255 to logits `(n, good + defects)`.

    A part is good as a whole and defective in one place: good classes are read from the mean of the features, each
    defect is a map whose highest point counts. The map, layer `defect_map`, is what shows where the defect is.
    """
    picture = layers.Input((shape.height_px, shape.width_px, shape.channels), name="picture")
    match network.kind:
        case "plain_cnn":
            whole, places = _plain_cnn(picture, good, defects)
        case "mobilenet_v2_035":
            features = mobilenet.features(picture, network.pretrained)
            whole, places = _judged(features, network.good, good, defects)
        case _:
            # In the graph, so that the device's int8 input is simply the grey level minus 128.
            x = layers.Rescaling(1 / 32, offset=-3.0, name="normalise")(picture)
            whole, places = _judged(_ds_cnn(x, network), network.good, good, defects)
    peak = Peak(name="peak")(places)
    logits = layers.Concatenate(name="logits")([whole(peak), peak])
    return keras.Model(picture, logits, name=network.kind)


def _judged(x: Any, read: str, good: int, defects: int) -> tuple[Any, Any]:
    """What speaks for the good classes, asked with the peaks of the map, and the map."""
    places = layers.Conv2D(defects, 1, name="defect_map")(x)
    if read == "place":
        # Nothing but the loudest places reaches the verdict: how a part as a whole was photographed cannot.
        return layers.Dense(good, kernel_initializer=keras.initializers.Constant(-1.0), name="good"), places
    whole = layers.Dense(good, name="good")(layers.GlobalAveragePooling2D(name="mean")(x))
    return lambda _: whole, places


def _plain_cnn(x: Any, good: int, defects: int) -> tuple[Any, Any]:
    """The layout that the reference system published at 75, 150 and 300 px: three convolutions, pooled, then dense.

    The published files hold 0.23, 1.22 and 5.05 MB of int8 weights; 16, 32 and 64 filters of 3 x 3 without padding and
    a dense layer of 64 account for all three (0.22, 1.21, 5.04 MB). It has no places, so its map is one single cell.
    """
    x = layers.Rescaling(1 / 255, name="normalise")(x)
    for block, filters in enumerate((16, 32, 64), start=1):
        x = layers.Conv2D(filters, 3, activation="relu", name=f"block{block}")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    x = layers.Dense(64, activation="relu", name="dense")(layers.Flatten(name="flat")(x))
    spoken = layers.Dense(defects, name="defects")(layers.Dropout(0.2, name="dropout")(x))
    whole = layers.Dense(good, name="good")(x)
    return lambda _: whole, layers.Reshape((1, 1, defects), name="defect_map")(spoken)


def _ds_cnn(x: Any, network: Network) -> Any:
    """One or two ordinary convolutions, then depthwise-separable ones; the map's cells are 8 px apart."""
    width = network.width
    if network.stem == "folded":
        x = Folded(name="fold")(x)
    else:
        x = layers.Conv2D(width, 5, strides=2, padding="same", use_bias=False, name="stem")(x)
        x = _settled(x, "stem")
    strides = 1 if network.stem == "folded" else 2
    x = layers.Conv2D(2 * width, 3, strides=strides, padding="same", use_bias=False, name="block1")(x)
    x = _settled(x, "block1")
    for block in range(2, network.blocks + 1):
        strides, name = 2 if block == 3 else 1, f"block{block}"
        x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False, name=f"{name}_depth")(x)
        x = _settled(x, f"{name}_depth")
        channels = 3 * width if block == 2 else 4 * width
        x = _settled(layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_point")(x), f"{name}_point")
    return x


def _settled(x: Any, name: str) -> Any:
    # A short memory: an epoch has few batches, and a long one would lag behind the weights.
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
