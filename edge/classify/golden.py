"""A model must give the answers it gave when it was made, on this very device, before it judges a part."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, BundleError, Manifest, readable_image
from edge.domain import Classifier, Image, ModelFailed

TIMED = 30


def check_golden(classifier: Classifier, bundle: Bundle) -> int:
    """Ask for every golden picture; the largest difference in int8 steps.

    Kernels of different machines round differently, so outputs may differ by the bundle's tolerance; what follows
    from them, the loudest label and the decision, may not. Raises `BundleError`.
    """
    worst = 0
    for golden in bundle.manifest.golden:
        picture = bundle.folder / golden.file
        expected = np.array(golden.outputs, dtype=np.int64)
        answer = _asked(classifier, bundle, golden.file)
        off = int(np.abs(answer - expected).max())
        if off > bundle.manifest.golden_tolerance_steps or answer[expected.argmax()] != answer.max():
            raise BundleError(
                f"{picture}: the model answers {answer.tolist()} instead of {expected.tolist()} on this device;"
                " do not use it here, pack it again with this device's runtime"
            )
        here, there = (_decision(each, bundle.manifest) for each in (answer, expected))
        if here != there:
            raise BundleError(
                f"{picture}: is decided otherwise on this device ({here} instead of {there}); do not use it here,"
                " pack it again with this device's runtime"
            )
        worst = max(worst, off)
    return worst


def check_use(bundle: Bundle) -> None:
    """Refuse a model whose own golden answers show that it tells nothing apart; raises `BundleError`."""
    manifest = bundle.manifest
    answers = {golden.outputs for golden in manifest.golden}
    if len(manifest.golden) > 1 and len(answers) == 1:
        raise BundleError(f"{bundle.model}: gives one answer to every golden picture; train it again")
    decisions = {_decision(np.array(each, dtype=np.int64), manifest) for each in answers}
    if decisions == {"pass"}:
        raise BundleError(f"{bundle.model}: passes every golden picture; pack it with pictures of defects as well")


def latency_ms(classifier: Classifier, bundle: Bundle) -> float:
    """The usual time of one answer here, preprocessing included: the median over golden pictures, in turn."""
    crops = [_picture(bundle, golden.file) for golden in bundle.manifest.golden]
    took_s = []
    for turn in range(TIMED):
        began = time.perf_counter()
        classifier.scores([crops[turn % len(crops)]])
        took_s.append(time.perf_counter() - began)
    return 1000 * median(took_s)


def check_latency(classifier: Classifier, bundle: Bundle, budget_ms: float) -> float:
    """As `latency_ms`; raises `BundleError` when it is above the budget, 0 being none."""
    took_ms = latency_ms(classifier, bundle)
    if budget_ms and took_ms > budget_ms:
        raise BundleError(
            f"{bundle.folder}: takes {took_ms:.2f} ms an answer here, {budget_ms:g} ms are allowed (model.budget_ms);"
            " train a smaller one"
        )
    return took_ms


def _asked(classifier: Classifier, bundle: Bundle, file: str) -> NDArray[np.int64]:
    try:
        scores = classifier.scores([_picture(bundle, file)])
        if not len(scores.outputs):
            raise ModelFailed(scores.unusable)
    except ModelFailed as error:
        raise BundleError(f"{bundle.folder / file}: {error}; copy the bundle again as a whole") from None
    answer: NDArray[np.int64] = scores.outputs[0].astype(np.int64)
    return answer


def _picture(bundle: Bundle, file: str) -> Image:
    try:
        return readable_image(bundle.folder / file, bundle.manifest.input.channels)
    except ValueError as error:
        raise BundleError(f"{bundle.folder / file}: {error}; copy the bundle again as a whole") from None


def _decision(outputs: NDArray[np.int64], manifest: Manifest) -> str:
    """Of a part with this one view: pass, reject or review, as the judge compares."""
    is_good = np.array([label in manifest.good for label in manifest.labels])
    evidence = int(outputs[~is_good].max() - outputs[is_good].max())
    if evidence <= manifest.limits.pass_steps:
        return "pass"
    return "reject" if evidence >= manifest.limits.reject_steps else "review"
