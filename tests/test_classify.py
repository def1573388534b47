"""The classifier's door, the same for both runtimes: runs under ai-edge-litert and under tflite-runtime."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import repack

from edge.bundle import Bundle, BundleError, readable_image
from edge.classify import TfliteClassifier, check_golden, installed_runtimes
from edge.classify.trial import try_in_child
from edge.domain import ModelFailed


@pytest.fixture(scope="module")
def bundle(shipped: Path) -> Bundle:
    return Bundle.open(shipped)


@pytest.fixture(scope="module")
def classifier(bundle: Bundle) -> TfliteClassifier:
    return TfliteClassifier(bundle)


def pictures(bundle: Bundle) -> list[np.ndarray]:
    return [readable_image(bundle.folder / each.file, 1) for each in bundle.manifest.golden]


def test_a_runtime_is_here_and_named(classifier: TfliteClassifier) -> None:
    (name, version), *_ = installed_runtimes().items()
    assert classifier.backend == f"{name}-{version}"


def test_the_golden_answers_are_given(classifier: TfliteClassifier, bundle: Bundle) -> None:
    assert check_golden(classifier, bundle) <= bundle.manifest.golden_tolerance_steps


def test_every_class_is_recognised_in_the_golden_pictures(classifier: TfliteClassifier, bundle: Bundle) -> None:
    loudest = classifier.scores(pictures(bundle)).outputs.argmax(axis=1)
    assert {bundle.manifest.labels[each] for each in loudest} == set(bundle.manifest.labels)


def test_views_are_classified_one_by_one(classifier: TfliteClassifier, bundle: Bundle) -> None:
    crops = pictures(bundle)
    together = classifier.scores(crops).outputs
    assert together.shape == (len(crops), len(bundle.manifest.labels))
    assert together.dtype == np.int8
    alone = np.concatenate([classifier.scores([crop]).outputs for crop in crops])
    assert (together == alone).all()


def test_threads_change_nothing(classifier: TfliteClassifier, bundle: Bundle) -> None:
    two = TfliteClassifier(bundle, threads=2)
    assert (two.scores(pictures(bundle)).outputs == classifier.scores(pictures(bundle)).outputs).all()


def test_what_is_no_image_is_a_failure_of_the_model_not_of_the_line(classifier: TfliteClassifier) -> None:
    with pytest.raises(ModelFailed, match="gray or BGR"):
        classifier.scores([np.zeros((4, 4), dtype=np.float32)])


def test_a_runtime_that_is_not_installed_is_named(bundle: Bundle) -> None:
    absent = ({"litert", "tflite-runtime"} - set(installed_runtimes())).pop()
    with pytest.raises(BundleError, match="pip install"):
        TfliteClassifier(bundle, absent)


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        try_in_child(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_good_model_passes_its_trial(shipped: Path, classifier: TfliteClassifier) -> None:
    assert f"golden answers right on {classifier.backend}" in str(try_in_child(shipped))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
def test_a_truncated_model_is_refused_even_when_its_hash_fits(copied: Path, share: float) -> None:
    model = copied / "model.tflite"
    raw = model.read_bytes()
    model.write_bytes(raw[: int(len(raw) * share)])
    said = refusal(repack(copied))
    assert "the runtime refuses it" in said or "the runtime crashes or hangs on this model" in said


def test_a_wrong_input_shape_is_refused(copied: Path) -> None:
    repack(copied, lambda document: document["input"].update(height=64))
    assert "takes int8" in refusal(copied)


def test_a_wrong_number_of_labels_is_refused(copied: Path) -> None:
    def spoil(document: dict) -> None:
        document["labels"].append("rust")
        for golden in document["golden"]["pictures"]:
            golden["outputs"].append(0)

    assert "no int8 output for" in refusal(repack(copied, spoil))


def test_a_wrong_output_scale_is_refused(copied: Path) -> None:
    repack(copied, lambda document: document["output"].update(scale=document["output"]["scale"] * 2))
    assert "output quantization" in refusal(copied)


def test_a_model_that_answers_otherwise_is_refused(copied: Path) -> None:
    def spoil(document: dict) -> None:
        document["golden"]["pictures"][0]["outputs"].reverse()

    assert "instead of" in refusal(repack(copied, spoil))


def test_a_golden_picture_that_is_none_is_refused(copied: Path) -> None:
    name = json.loads((copied / "manifest.json").read_text())["golden"]["pictures"][0]["file"]
    (copied / name).write_bytes(b"no picture")
    assert "no readable picture" in refusal(repack(copied))
