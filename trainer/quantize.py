"""From the trained network to a file for the device: int8 through and through, one picture at a time, fixed shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from trainer.augment import Image
from trainer.backend import keras, tf
from trainer.errors import Refused
from trainer.fit import defect_map
from trainer.limits import Steps
from trainer.quiet import quiet
from trainer.runtime import logits_of

VARIANTS = ("float32", "float16", "dynamic_range", "int8_ptq")
AWARE = "int8_qat"


def convert(model: Any, variant: str, representative: Image) -> bytes:
    """One of `VARIANTS` as a `.tflite` file; `representative` is `(n, height, width, channels)` uint8."""
    converter = _converter(model)
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "dynamic_range":
        # Per-channel dense weights would need an operation that tflite-runtime 2.14 does not know.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if variant == "int8_ptq":
        converter.representative_dataset = lambda: _samples(representative)
        _all_int8(converter)
    with quiet():
        content = bytes(converter.convert())
    if variant == "int8_ptq":
        check(content)
    return content


def convert_aware(model: Any) -> bytes:
    """The network that quantization-aware training has left, with the ranges it has learned; no pictures needed."""
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # Not `supported_ops = INT8`: the converter would ask for pictures before it has looked for fake-quant nodes.
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with quiet():
        content = bytes(converter.convert())
    check(content)
    return content


def _converter(model: Any) -> Any:
    _, height, width, channels = model.input_shape
    picture = tf.TensorSpec((1, height, width, channels), tf.float32, name="picture")
    # A concrete function of one picture: a Keras input would leave an open batch size in the file.
    asked = with_map(model)
    function = tf.function(lambda x: asked(x, training=False)).get_concrete_function(picture)
    return tf.lite.TFLiteConverter.from_concrete_functions([function], asked)


def with_map(model: Any) -> Any:
    """The network with its defect map as a second output, where it has one of more than a single cell.

    The map is computed anyway; giving it out lets the device show where a defect is, for the price of a copy.
    """
    places = defect_map(model)
    return model if 1 in places.shape[1:3] else keras.Model(model.input, [model.output, places])


def _all_int8(converter: Any) -> None:
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8


def check(content: bytes) -> tuple[Steps, Steps]:
    """Steps of a full-int8 file's input and logits; raises `Refused` when it is not what the device takes."""
    interpreter = Interpreter(model_content=content)
    (taken,), outputs = interpreter.get_input_details(), interpreter.get_output_details()
    given = logits_of(outputs)
    if taken["dtype"] is not np.int8 or any(each["dtype"] is not np.int8 for each in outputs):
        raise Refused(
            f"the converted model takes {taken['dtype'].__name__}, not int8; this is a fault of the converter"
        )
    if taken["shape_signature"][0] != 1 or -1 in taken["shape_signature"]:
        raise Refused("the converted model has an open batch size; this is a fault of the converter")
    floats = [each["name"] for each in interpreter.get_tensor_details() if np.issubdtype(each["dtype"], np.floating)]
    if floats:
        raise Refused(f"the converted model computes in float at {floats[0]!r}; this is a fault of the converter")
    steps = [
        Steps(scale=float(each["quantization"][0]), zero_point=int(each["quantization"][1])) for each in (taken, given)
    ]
    if (steps[0].scale, steps[0].zero_point) != (1.0, -128):
        raise Refused(f"the converted model's input has {steps[0]}, not scale 1 and zero point -128")
    return steps[0], steps[1]


def representative_of(pictures: Image, wanted: Sequence[int], count: int, seed: int) -> Image:
    """About `count` pictures, every class alike, of which one is stretched to span 0 to 255 exactly.

    The stretched one pins the input's quantization to one grey level per step without showing the network
    anything that a camera could not: flat black and white would widen every range behind it.
    """
    random, kinds = np.random.default_rng(seed), np.asarray(wanted)
    chosen: list[int] = []
    for kind in np.unique(kinds):
        mine = np.flatnonzero(kinds == kind)
        chosen += list(random.choice(mine, min(len(mine), max(1, count // len(np.unique(kinds)))), replace=False))
    sample = pictures[np.sort(chosen)]
    widest = int(np.argmax(np.ptp(sample.reshape(len(sample), -1), axis=1)))
    return np.concatenate([sample, stretched(sample[widest])[None]])


def stretched(image: Image) -> Image:
    """The picture with its darkest point at 0 and its brightest at 255."""
    low, high = int(image.min()), int(image.max())
    if low == high:
        ramp = np.linspace(0, 255, image.size, dtype=np.float32).reshape(image.shape)
        return np.asarray(np.rint(ramp), dtype=np.uint8)
    return np.asarray(np.rint((image.astype(np.float32) - low) * (255.0 / (high - low))), dtype=np.uint8)


def _samples(pictures: Image) -> Iterator[list[NDArray[np.float32]]]:
    for each in pictures:
        yield [each[None].astype(np.float32)]
