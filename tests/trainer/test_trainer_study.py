"""What is measured beyond right and wrong: on numbers whose answer is known, and on what a true run has left."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import draw

from trainer import curves, explain, lime, lint, masks, other_runtime, recipe, reference, robustness, rough
from trainer.dataset import Picture
from trainer.errors import Refused
from trainer.limits import Limits, columns, middle
from trainer.runtime import Model

LIMITS = Limits(pass_steps=-10, reject_steps=10, temperature=1.0, clamped=False)


def test_the_curves_of_a_perfect_and_of_a_useless_score() -> None:
    truth = np.arange(200) >= 100
    perfect = curves.assess(np.where(truth, 30.0, -30.0), truth, LIMITS, 0.1)
    assert (perfect["auroc"], perfect["average_precision"]) == (1.0, 1.0)
    assert [0.0, 1.0] in perfect["roc"]
    useless = curves.assess(np.random.default_rng(1).normal(size=200), truth, LIMITS, 0.1)
    assert useless["auroc"] == pytest.approx(0.5, abs=0.08)
    assert useless["average_precision"] == pytest.approx(0.5, abs=0.1)


def test_calibration_knows_honest_from_boastful() -> None:
    random = np.random.default_rng(2)
    score = random.uniform(0, 1, 20_000)
    honest = random.uniform(0, 1, 20_000) < score
    assert curves.calibration(score, honest)["ece"] < 0.02
    boastful = curves.calibration(np.where(score > 0.5, 0.99, 0.01), honest)
    assert boastful["ece"] == pytest.approx(0.24, abs=0.02)


def test_the_middle_of_two_kinds_lies_between_them() -> None:
    steps = np.concatenate([np.linspace(40, 60, 20), np.linspace(90, 110, 20)])
    assert 60 < middle(steps, np.arange(40) >= 20) < 90


def sample() -> robustness.Sample:
    pictures = tuple(
        Picture(file=f"{i}", label="ok" if i % 2 else "bad", group=str(i // 2 * 2 + i % 2), sha256="")
        for i in range(12)
    )
    crops = tuple(np.full((40, 40), 60 if i % 2 else 160, np.uint8) for i in range(12))
    return robustness.Sample(pictures=pictures, crops=crops, good=("ok",))


def test_the_grid_reddens_where_light_misleads() -> None:
    # A judge that looks at brightness: above 110 is a defect.
    got = robustness.grid(sample(), lambda crop: float(crop.mean()) - 110, LIMITS, 40, 1)
    cells = {(each["kind"], each["value"]): each for each in got["cells"]}
    assert got["unchanged"]["escape_rate"] == got["unchanged"]["overkill_rate"] == 0.0
    assert cells["gain", 0.7]["escape_rate"] == 0.0
    assert cells["offset", -40.0]["escape_rate"] == 0.0
    assert not cells["jpeg", 90.0]["red"]
    darker = robustness.grid(sample(), lambda crop: float(crop.mean()) - 125, LIMITS, 40, 1)
    gained = {(each["kind"], each["value"]): each for each in darker["cells"]}["gain", 0.7]
    assert gained["red"]
    assert gained["escape_rate"] == 1.0


def test_a_part_that_is_not_found_never_escapes() -> None:
    got = robustness.grid(sample(), lambda _: float("nan"), LIMITS, 40, 1)
    assert got["unchanged"]["escape_rate"] == 0.0
    assert got["unchanged"]["review_rate"] == 1.0


def test_a_sample_keeps_every_part() -> None:
    pictures = [Picture(file=str(i), label="ok", group=str(i % 5), sha256="") for i in range(100)]
    chosen = robustness.choose(pictures, 12)
    assert len(chosen) == 12
    assert {pictures[i].group for i in chosen} == set("01234")
    assert len(robustness.choose(pictures, 2)) == 5


def test_an_unsteady_judge_is_told_from_a_steady_one() -> None:
    steady = robustness.repeatability(sample(), lambda crop: 50.0 if crop.mean() > 110 else -50.0, LIMITS, 1)
    assert steady["parts_with_more_than_one_verdict"] == 0
    random = np.random.default_rng(1)
    unsteady = robustness.repeatability(sample(), lambda _: float(random.normal(0, 40)), LIMITS, 1)
    assert unsteady["parts_with_more_than_one_verdict"] > 6
    assert unsteady["median_std_steps"] > 15


def test_the_int8_file_maps_to_an_edge_tpu_and_the_others_do_not(trained: Path) -> None:
    whole = lint.look((trained / "int8_ptq.tflite").read_bytes())
    assert whole["map"] == whole["of"] > 5
    assert all(version >= 1 for version in whole["versions"].values())
    for variant in ("float32", "float16", "dynamic_range"):
        looked = lint.look((trained / f"{variant}.tflite").read_bytes())
        assert looked["map"] == 0
        assert any("computes in float" in each["obstacle"] for each in looked["operations"])
    with pytest.raises(Refused, match=r"no \.tflite file"):
        lint.look(b"nonsense")


def test_the_compiler_is_called_when_there_is_one(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (trained / "int8_ptq.tflite").read_bytes()
    monkeypatch.setenv("PATH", str(tmp_path))
    made, said = lint.compiled(content)
    assert made is None
    assert "is not installed" in said
    # A stand-in for an external program, called as that program documents its options.
    script = tmp_path / "edgetpu_compiler"
    script.write_text('#!/bin/sh\n[ "$1" = --out_dir ] && /bin/cp "$3" "$2/model_edgetpu.tflite"\n')
    script.chmod(0o755)
    made, said = lint.compiled(content)
    assert made == content
    assert "compiled" in said
    script.write_text("#!/bin/sh\necho 'Invalid model' >&2\nexit 1\n")
    made, said = lint.compiled(content)
    assert made is None
    assert "refused the model (Invalid model)" in said


def test_both_runtimes_answer_alike(trained: Path) -> None:
    if other_runtime.interpreter() is None:
        pytest.skip("tflite-runtime is not set up here: make test-tflite")
    pictures = np.stack([draw(i, "hole" if i % 2 else "ok")[8:40, 8:40, None] for i in range(10)])
    files = {name: (trained / f"{name}.tflite").read_bytes() for name in ("float32", "dynamic_range", "int8_ptq")}
    expected = {name: Model(content).outputs(pictures) for name, content in files.items()}
    got = other_runtime.ask({**files, "broken": b"\0" * 64}, pictures, {**expected, "broken": expected["float32"]})
    assert got["runtime"] == "tflite-runtime 2.14.0"
    assert got["variants"]["float32"]["largest_difference"] < 1e-3
    assert got["variants"]["int8_ptq"]["other_decisions"] == 0
    assert got["variants"]["broken"]["takes_it"] is False


def test_a_missing_runtime_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEGATE_TFLITE_PYTHON", "/nowhere/python")
    got = other_runtime.ask({}, np.zeros((1, 8, 8, 1), np.uint8), {})
    assert got["asked"] is False
    assert "make test-tflite" in got["why"]


def dark_spot(picture: np.ndarray) -> float:
    return 255.0 - float(cv2.blur(picture[:, :, 0], (5, 5)).min())


def spotted() -> tuple[np.ndarray, np.ndarray]:
    picture = np.full((64, 64, 1), 150, np.uint8)
    mask = np.zeros((64, 64), np.float32)
    cv2.circle(picture[:, :, 0], (44, 20), 5, 20, -1)
    cv2.circle(mask, (44, 20), 5, 1.0, -1)
    return picture, mask


@pytest.mark.parametrize("way", ["occlusion", "lime"])
def test_the_place_that_spoke_is_found(way: str) -> None:
    picture, mask = spotted()
    heat = explain.occlusion(dark_spot, picture) if way == "occlusion" else lime.lime(dark_spot, picture, seed=1)
    assert explain.points_at(heat, mask)
    assert not explain.points_at(heat, mask[::-1, ::-1])


def test_superpixels_keep_to_edges() -> None:
    picture, mask = spotted()
    cut = lime.superpixels(picture, 49)
    assert 20 < len(np.unique(cut)) <= 49
    inside = [float(mask[cut == region].mean()) for region in np.unique(cut)]
    assert max(inside) > 0.7


def test_the_shipped_file_gives_out_its_map(trained: Path) -> None:
    model = Model(trained / "int8_ptq.tflite")
    assert model.has_map
    picture = draw(7, "hole")[8:40, 8:40, None]
    assert model.heat(picture).ndim == 2
    # The map's highest cell is the defect's logit: what is shown is what decided.
    assert float(model.heat(picture).max()) == pytest.approx(float(model.logits(picture[None])[0, 1]), abs=0.2)


def test_a_difference_from_the_good_part_finds_what_is_always_elsewhere() -> None:
    good = [draw(i, "ok")[:, :, None] for i in range(30)]
    known = reference.build(good)
    assert known.score(draw(99, "hole")[:, :, None]) > known.score(draw(98, "ok")[:, :, None])
    assert reference.side_by_side(known, good[0]).shape == (48, 144, 3)


def test_the_run_measured_all_of_it(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    assert len(metrics["robustness"]["cells"]) == sum(len(values) for _, _, values in robustness.GRID)
    assert metrics["repeatability"]["parts"] == 16
    assert metrics["curves"]["grouped"]["by_part"]["calibration"]["ece"] <= 1
    assert metrics["reference"]["grouped"]["auroc"] is not None
    assert set(metrics["lint"]) == {"float32", "float16", "dynamic_range", "int8_ptq", "int8_qat"}
    assert metrics["edgetpu_compiler"]
    page = (trained / "report.html").read_text(encoding="utf-8")
    for heading in (
        "What may be claimed",
        "Curves and calibration",
        "Light, focus, noise",
        "Against a good part",
        "Why",
    ):
        assert heading in page


def test_moved_flaws_healed_parts_and_a_control_stand_beside_the_figures(trained: Path) -> None:
    got = json.loads((trained / "metrics.json").read_text())["trials"]
    assert got["placed_by"] == "map"
    assert got["transplants_flagged"]["of"] == got["heals_passed"]["of"] >= 8
    assert got["transplants_flagged"]["rate"] >= 0.6
    assert got["heals_passed"]["rate"] >= 0.6
    assert got["drawn_holes_flagged"]["of"] == 16
    assert got["control"]["balanced_accuracy"] is not None
    assert "Only the flaw differs" in (trained / "report.html").read_text(encoding="utf-8")


def test_the_published_layout_is_trained_and_timed_beside_it(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    got, ours = metrics["compared"]["plain_cnn_24"]["grouped"], metrics["int8_ptq"]["grouped"]
    assert got["bytes"] == (trained / "plain_cnn_24.tflite").stat().st_size
    assert (got["parts"], got["pictures"]) == (ours["parts"], ours["pictures"])
    assert got["escape_rate"]["of"] == ours["escape_rate"]["of"]
    assert got["latency_ms"] > 0
    assert "The published layout" in (trained / "report.html").read_text(encoding="utf-8")


def test_the_hot_place_is_marked_and_nothing_else() -> None:
    heat = np.zeros((8, 8), np.float32)
    heat[2, 5], heat[6, 1] = 9.0, 3.0
    mask = rough.hot(heat, (48, 48))
    assert mask[15, 33] == 255
    assert mask[39, 9] == 0
    assert 0.05 < (mask > 0).mean() < 0.3


def test_a_moved_patch_takes_on_the_light_of_where_it_goes() -> None:
    donor, whole, mask = np.full((40, 40), 90, np.uint8), np.full((40, 40), 160, np.uint8), np.zeros((40, 40), np.uint8)
    cv2.circle(mask, (20, 20), 8, 255, -1)
    cv2.circle(donor, (20, 20), 3, 20, -1)
    moved = masks.blended(donor, whole, mask)
    assert abs(int(moved[20, 20]) - 90) <= 4
    assert (moved[:, :8] == 160).all()
    assert abs(int(moved[20, 13]) - 160) <= 4


def test_every_misjudged_part_is_pictured(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    cases = json.loads((trained / "explained.json").read_text())["cases"]
    wrong = {(each["part"], each["label"]) for each in metrics["int8_ptq"]["grouped"]["wrong_parts"]}
    assert wrong <= {(each["part"], each["label"]) for each in cases if each["kind"] != "close"}
    assert all((trained / "explained" / each["file"]).is_file() for each in cases)


def test_the_networks_to_compare_with() -> None:
    from trainer import network, quantize

    shape = recipe.Input(height_px=75, width_px=75)
    plain = network.build(recipe.Network(kind="plain_cnn"), shape, 1, 2)
    assert plain.output_shape == (None, 3)
    pictures = np.random.default_rng(1).integers(0, 255, (4, 75, 75, 1), dtype=np.uint8)
    content = quantize.convert(plain, "int8_ptq", np.concatenate([pictures, quantize.stretched(pictures[0])[None]]))
    assert 0.22e6 < len(content) < 0.24e6
    assert not Model(content).has_map
    wide = network.build(recipe.Network(kind="mobilenet_v2_035", pretrained=False), shape, 1, 2)
    assert wide.output_shape == (None, 3)
    assert wide.count_params() > 50_000


def test_weights_that_cannot_be_fetched_are_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import mobilenet
    from trainer.backend import keras

    real = keras.applications.MobileNetV2

    def offline(*arguments: object, **named: object) -> object:
        if named.get("weights") == "imagenet":
            raise Exception("URL fetch failure on somewhere: None")
        return real(*arguments, **named)

    monkeypatch.setattr(keras.applications, "MobileNetV2", offline)
    mobilenet.features(keras.layers.Input((48, 48, 1)), pretrained=True)
    assert "ImageNet weights cannot be fetched; it starts from random weights" in capsys.readouterr().err


def test_networks_of_one_size_refuse_what_changes_it() -> None:
    for text, said in (
        ("network: {kind: plain_cnn}\ntraining: {coarse: 3}", "training.coarse: must be 0"),
        ("compare: {plain_cnn_px: [75, 12]}", "whole numbers from 24"),
        ("network: {kind: mobilenet_v2_035}\ninput: {height_px: 16, width_px: 32}", "32 px or more"),
    ):
        with pytest.raises(Refused, match=said):
            recipe.parse(text)


def test_good_classes_are_told_apart_by_column() -> None:
    assert columns(("ok", "hole"), ("ok",)).tolist() == [True, False]
