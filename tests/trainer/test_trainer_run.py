"""A whole run on drawn parts by the real tools: what it leaves is what the device and the contract ask for."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn import fill

from edge.bundle import Bundle, Shelf, prepare, readable_image
from trainer import aware, lint, network, quantize, recipe
from trainer.__main__ import main
from trainer.runtime import Model


@pytest.fixture(scope="session")
def bundle(trained: Path) -> Bundle:
    return Bundle.open(next(trained.glob("tiny-????????")))


def test_the_network_has_learned_to_see_the_hole(trained: Path) -> None:
    got = json.loads((trained / "metrics.json").read_text())["int8_ptq"]["grouped"]
    assert got["balanced_accuracy"] >= 0.85
    assert got["parts"] == 16


@pytest.mark.parametrize("variant", [*quantize.VARIANTS, quantize.AWARE])
def test_every_variant_is_measured_as_promised(trained: Path, variant: str) -> None:
    got = json.loads((trained / "metrics.json").read_text())[variant]["grouped"]
    wanted = {
        "accuracy",
        "precision",
        "recall",
        "f1",
        "escape_rate",
        "overkill_rate",
        "confusion",
        "bytes",
        "latency_ms",
    }
    assert wanted <= set(got)
    assert got["bytes"] == (trained / f"{variant}.tflite").stat().st_size
    assert got["escape_rate"]["low"] <= got["escape_rate"]["rate"] <= got["escape_rate"]["high"]


def test_the_model_is_int8_from_end_to_end(trained: Path) -> None:
    taken, given = quantize.check((trained / "int8_ptq.tflite").read_bytes())
    assert (taken.scale, taken.zero_point) == (1.0, -128)
    assert given.scale > 0


def test_aware_training_holds_fake_quant_nodes_and_plain_training_none() -> None:
    model = network.build(recipe.Network(blocks=2, width=4), recipe.Input(height_px=16, width_px=16), 1, 1)
    assert aware.fake_quant_nodes(model) == 0
    assert aware.fake_quant_nodes(aware.aware(model)) > 8


def test_a_folded_stem_loses_no_pixel_and_becomes_int8_either_way() -> None:
    """Also of a picture that is no multiple of the fold; every pixel must be able to change the answer."""
    shape = recipe.Input(height_px=30, width_px=45)
    model = network.build(recipe.Network(blocks=3, width=4, stem="folded"), shape, 1, 1)
    cells = model.get_layer("defect_map").output.shape[1:3]
    plain = network.build(recipe.Network(blocks=3, width=4), shape, 1, 1)
    assert cells == plain.get_layer("defect_map").output.shape[1:3] == (4, 6)
    numbered = np.arange(30 * 45, dtype=np.float32).reshape(1, 30, 45, 1)
    folded = network.Folded()(numbered).numpy()
    assert folded.shape == (1, 8, 12, 16)
    assert set(folded.ravel()) == set(numbered.ravel())
    pictures = np.random.default_rng(1).integers(0, 256, (8, 30, 45, 1), dtype=np.uint8)
    sample = np.concatenate([pictures, quantize.stretched(pictures[0])[None]])
    for content in (quantize.convert(model, "int8_ptq", sample), quantize.convert_aware(aware.aware(model))):
        assert "SPACE_TO_DEPTH" in lint.look(content)["versions"]
        assert Model(content).raw(pictures[0]).shape == (2,)


def test_the_aware_variant_is_another_network_than_the_converted_one(trained: Path) -> None:
    aware_file, plain_file = (trained / f"{name}.tflite" for name in ("int8_qat", "int8_ptq"))
    taken, _ = quantize.check(aware_file.read_bytes())
    assert (taken.scale, taken.zero_point) == (1.0, -128)
    assert aware_file.read_bytes() != plain_file.read_bytes()


def test_int8_decides_like_float(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["int8_ptq"]["grouped"]["against_float32"]["count"] <= 2
    assert metrics["float32"]["grouped"]["against_float32"]["count"] == 0


def test_the_bundle_gives_its_golden_answers(bundle: Bundle) -> None:
    model = Model(bundle.model)
    for golden in bundle.manifest.golden:
        crop = readable_image(bundle.folder / golden.file, bundle.manifest.input.channels)
        shown = prepare(crop, bundle.manifest.input)[0].view(np.uint8) ^ np.uint8(0x80)
        assert model.raw(shown).tolist() == list(golden.outputs)


def test_the_bundle_says_what_it_is(bundle: Bundle) -> None:
    assert bundle.folder.name == bundle.slot
    assert bundle.manifest.labels == ("ok", "hole")
    assert bundle.manifest.good == {"ok"}
    assert bundle.manifest.limits.pass_steps < bundle.manifest.limits.reject_steps
    assert {"model.tflite", "report.html", "card.md", "recipe.yaml"} <= set(bundle.manifest.files)
    assert {"costs", "reference", "data", "metrics", "operations", "runtime"} <= set(bundle.manifest.document)


def test_the_bundle_names_no_folder_of_this_machine(bundle: Bundle, trained: Path) -> None:
    for name in bundle.manifest.files:
        assert str(trained.parent).encode() not in (bundle.folder / name).read_bytes()


def test_the_bundle_is_live_on_the_shelf(bundle: Bundle, trained: Path) -> None:
    assert Shelf(trained.parent / "shelf").current().hash8 == bundle.hash8


def test_the_split_is_saved_with_parts_whole(trained: Path) -> None:
    with (trained / "split.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    assert len({(row["group"], row["split"]) for row in rows}) == len({row["group"] for row in rows})


def test_packing_again_gives_the_same_bundle(trained: Path, bundle: Bundle) -> None:
    assert main(["pack", "--out", str(trained)]) == 0
    assert [each.name for each in trained.glob("tiny-????????")] == [bundle.slot]


def test_the_same_seed_trains_the_same_network_in_another_process(trained: Path, parts: Path, tmp_path: Path) -> None:
    recipe_file = trained.parent / "tiny.yaml"
    arguments = ["train", str(recipe_file), "--data", str(parts), "--out", str(tmp_path / "again")]
    done = subprocess.run([sys.executable, "-m", "trainer", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((each / "history.json").read_text())["epochs"] for each in (trained, tmp_path / "again"))
    assert one == two


MISTAKES = [
    (["run"], 1, "no data: give a folder"),
    (["run", "missing.yaml", "--data", "."], 78, "missing.yaml: cannot be read"),
    (["run", "--data", "nowhere"], 1, "nowhere: there is no such folder"),
    (["run", "--data", "empty"], 1, "empty: holds no readable picture"),
    (["run", "--data", "three"], 1, "three: has 1 defective part (hole); at least 3 are needed"),
    (["run", "--data", "three", "--good", "fine"], 1, "good: 'fine' is no class of the data"),
    (["run", "bad.yaml", "--data", "three"], 78, "bad.yaml:1: nmae: is not a known key"),
    (["protocol", "--data", "three"], 1, "three: has 1 defective part (hole); at least 3 are needed"),
    (
        ["protocol", "--data", "kinds"],
        1,
        "kinds: the protocol needs pictures of good parts; name their class with --good",
    ),
    (["measure", "--out", "empty"], 1, "empty/run.json: cannot be read; run the earlier steps"),
    (["pack"], 1, "which run? give the folder it was begun in"),
]
ASK_ALL = """
import contextlib, io, json, sys
from trainer.__main__ import main
for arguments in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = main(arguments)
    print(json.dumps([code, said.getvalue(), "tensorflow" in sys.modules]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[list[object]]:
    """Exit code, words and whether TensorFlow was loaded, for each of `MISTAKES`, made in one process of its own."""
    home = tmp_path_factory.mktemp("mistakes")
    (home / "empty").mkdir()
    (home / "bad.yaml").write_text("nmae: x\n")
    fill(home / "three", {"ok": 3, "hole": 1})
    fill(home / "kinds", {"dent": 5, "hole": 5, "spot": 5})
    asked = json.dumps([arguments for arguments, _, _ in MISTAKES])
    done = subprocess.run(
        [sys.executable, "-c", ASK_ALL], cwd=home, input=asked, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=[" ".join(each[0]) for each in MISTAKES])
def test_a_mistake_is_one_line_without_tensorflow(answers: list[list[object]], number: int) -> None:
    (_, code, said), (gave, words, heavy) = MISTAKES[number], answers[number]
    assert gave == code
    assert said in str(words)
    assert "Traceback" not in str(words)
    assert not heavy


def test_usage_is_exit_code_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "--nonsense"])
    assert caught.value.code == 2
