"""TensorFlow, imported in one file: Keras 2, because quantization-aware training exists for it only."""

from __future__ import annotations

import os

from trainer.quiet import quiet

# Both must be set before the import.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with quiet():
    import tensorflow as tf
    import tf_keras as keras

THREADS = 2


def settle(seed: int) -> None:
    """Make this process repeatable: one seed for every generator, deterministic kernels, few threads."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(THREADS)
        tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    except RuntimeError:
        # TensorFlow has already started in this process and keeps the threads it has.
        return


__all__ = ["keras", "settle", "tf"]
