"""A model must give the answers it gave when it was made, on this very device, before it judges a part."""

from __future__ import annotations

import numpy as np

from edge.bundle import Bundle, BundleError, readable_image
from edge.domain import Classifier, ModelFailed


def check_golden(classifier: Classifier, bundle: Bundle) -> int:
    """Ask for every golden picture; the largest difference in int8 steps.

    Raises `BundleError` when an output differs by more than the bundle's tolerance (kernels of different
    machines round differently) or when a picture's loudest label is another one.
    """
    manifest = bundle.manifest
    worst = 0
    for golden in manifest.golden:
        picture = bundle.folder / golden.file
        expected = np.array(golden.outputs, dtype=np.int64)
        try:
            crop = readable_image(picture, manifest.input.channels)
            scores = classifier.scores([crop])
            if not len(scores.outputs):
                raise ModelFailed(scores.unusable)
            answer = scores.outputs[0].astype(np.int64)
        except (ValueError, ModelFailed) as error:
            raise BundleError(f"{picture}: {error}; copy the bundle again as a whole") from None
        off = int(np.abs(answer - expected).max())
        same_label = answer[expected.argmax()] == answer.max()
        if off > manifest.golden_tolerance_steps or not same_label:
            raise BundleError(
                f"{picture}: the model answers {answer.tolist()} instead of {expected.tolist()} on this device;"
                " do not use it here, pack it again with this device's runtime"
            )
        worst = max(worst, off)
    return worst
