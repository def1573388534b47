"""Quantization-aware training: the network learns with the rounding of int8 already in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.backend import keras, tf
from trainer.network import Folded, Peak
from trainer.quiet import quiet

with quiet():
    import tensorflow_model_optimization as tfmot
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_configs as configs,
    )


def aware(model: Any) -> Any:
    """The same network with fake-quant nodes and the same weights; it is this object that is trained and converted.

    The input's range is pinned to 0..255, so that its int8 numbers are grey levels minus 128, exactly.
    """
    with tfmot.quantization.keras.quantize_scope({"Folded": Folded, "Peak": Peak}):
        marked = keras.models.clone_model(model, clone_function=_marked)
        for layer in marked.layers:
            _take_over(getattr(layer, "layer", layer), model)
        quantized = tfmot.quantization.keras.quantize_apply(marked)
    for weight in quantized.layers[1].weights:
        if "min" in weight.name or "max" in weight.name:
            weight.assign(0.0 if "min" in weight.name else 255.0)
    return quantized


def fake_quant_nodes(model: Any) -> int:
    """How many fake-quant operations the network's graph holds; none means that it was never made aware."""
    _, height, width, channels = model.input_shape
    spec = tf.TensorSpec((1, height, width, channels), tf.float32)
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec).graph
    inner = graph.as_graph_def()
    names = [node.op for node in inner.node] + [node.op for each in inner.library.function for node in each.node_def]
    return sum(name.startswith("FakeQuant") for name in names)


def _marked(layer: Any) -> Any:
    """Layers that the toolkit does not know by itself are told how they are quantized."""
    if isinstance(layer, Folded | Peak):
        return tfmot.quantization.keras.quantize_annotate_layer(layer, configs.NoOpQuantizeConfig())
    if isinstance(layer, keras.layers.InputLayer):
        return layer
    if isinstance(layer, keras.layers.Rescaling):
        # The toolkit would leave its factor in float; as a convolution of one pixel it is rounded like any other.
        layer = keras.layers.DepthwiseConv2D(1, name=layer.name, trainable=False)
    return tfmot.quantization.keras.quantize_annotate_layer(layer)


def _take_over(layer: Any, model: Any) -> None:
    before = model.get_layer(layer.name)
    if isinstance(before, keras.layers.Rescaling):
        kernel, bias = layer.get_weights()
        layer.set_weights([np.full_like(kernel, before.scale), np.full_like(bias, before.offset)])
    else:
        layer.set_weights(before.get_weights())
