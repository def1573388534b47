"""MobileNetV2 at width 0.35, as far as its map has a cell every 8 or 16 px: a larger network to compare with.

Layout: Sandler and others, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018; the layers are Keras' own.
"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any

from trainer.backend import keras
from trainer.quiet import quiet

layers = keras.layers

WIDTH = 0.35
LAST = "block_12_add"
"""The map here has a cell every 16 px; what follows in the whole network would make it 32."""


def features(picture: Any, pretrained: bool) -> Any:
    """The feature map of `(n, height, width, 1 or 3)` grey levels; gray is shown as three equal channels."""
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="normalise")(picture)
    if picture.shape[-1] == 1:
        x = layers.Concatenate(name="three_channels")([x, x, x])
    # Built from the same layers rather than called as one, so that each can be quantized and has its weights saved.
    whole = keras.applications.MobileNetV2(
        input_tensor=x, include_top=False, alpha=WIDTH, weights=None, input_shape=(*picture.shape[1:3], 3)
    )
    if pretrained:
        _load(whole)
    return whole.get_layer(LAST).output


def _load(whole: Any) -> None:
    """Put ImageNet's weights in where they can be had; without them the network starts from random ones, said aloud."""
    try:
        with quiet(), contextlib.redirect_stdout(io.StringIO()):
            known = keras.applications.MobileNetV2(
                input_shape=(96, 96, 3), include_top=False, alpha=WIDTH, weights="imagenet"
            )
    except Exception as error:
        # Keras raises nothing narrower than this when a download fails.
        if "fetch failure" not in str(error):
            raise
        print(
            "  mobilenet_v2_035: ImageNet weights cannot be fetched; it starts from random weights instead. "
            "Where there is no network: `pretrained: false`, or put Keras' weight file into ~/.keras/models.",
            file=sys.stderr,
        )
        return
    learned = {layer.name: layer.get_weights() for layer in known.layers if layer.weights}
    for layer in whole.layers:
        if layer.name in learned:
            layer.set_weights(learned[layer.name])
