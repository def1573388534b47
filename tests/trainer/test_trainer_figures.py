"""Intervals, limits, quantization samples and augmentation: the arithmetic that every claim rests on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.bundle import InputSpec, prepare
from trainer import augment, claims, drawn, limits, measure
from trainer.dataset import Picture
from trainer.quantize import representative_of, stretched
from trainer.recipe import Augment, Costs


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 453, 0.0, 0.0081), (0, 59, 0.0, 0.0606), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0), (0, 0, 0.0, 1.0)],
)
def test_intervals_are_exact(hits: int, count: int, low: float, high: float) -> None:
    assert measure.interval(hits, count) == pytest.approx((low, high), abs=1e-4)


def test_evidence_is_the_loudest_defect_minus_the_loudest_good() -> None:
    outputs = np.array([[10, -5, 3], [-100, 127, 100]], dtype=np.int8)
    assert limits.evidence(outputs, np.array([True, False, False])).tolist() == [-7, 227]


def test_parts_are_judged_by_the_mean_of_their_pictures() -> None:
    pictures = [
        Picture(file=str(i), label=label, group=group, sha256="")
        for i, (label, group) in enumerate([("ok", "a"), ("bad", "b"), ("bad", "b"), ("ok", "a")])
    ]
    parts = measure.fuse(pictures, np.array([1.0, 5.0, 8.0, 2.0]), ["ok"])
    assert parts.names == (("a", "ok"), ("b", "bad"))
    assert parts.steps.tolist() == [1.5, 6.5]
    assert parts.defective.tolist() == [False, True]


def test_precision_and_recall_are_of_the_defects() -> None:
    flagged, defective = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 0, 0], bool)
    got = measure.binary(flagged, defective)
    assert (got["precision"], got["recall"], got["f1"], got["accuracy"]) == (0.5, 0.5, 0.5, 0.6)


def test_auroc_counts_ties_half() -> None:
    assert measure.auroc(np.array([1.0, 1.0, 2.0]), np.array([False, True, True])) == 0.75
    assert measure.auroc(np.array([1.0]), np.array([True])) is None


def spread(gap: float, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    steps = np.concatenate([random.normal(-gap, 10, count), random.normal(gap, 10, count)])
    return steps, np.repeat([False, True], count)


def test_limits_lie_between_clean_sides_with_a_review_band() -> None:
    steps, defective = spread(60)
    chosen = limits.choose(steps, defective, Costs(), 0.1)
    assert np.mean(steps[~defective] <= chosen.pass_steps) >= 0.9
    assert np.mean(steps[defective] >= chosen.reject_steps) >= 0.9
    assert not np.any(steps[defective] <= chosen.pass_steps)


def test_dearer_escapes_pass_fewer_parts() -> None:
    steps, defective = spread(8)
    cheap, dear = (limits.choose(steps, defective, Costs(escape=cost), 0.1) for cost in (5, 500))
    assert dear.pass_steps < cheap.pass_steps


def test_dearer_overkill_rejects_fewer_parts() -> None:
    steps, defective = spread(8)
    cheap, dear = (limits.choose(steps, defective, Costs(overkill=cost), 0.1) for cost in (1, 100))
    assert dear.reject_steps > cheap.reject_steps


def test_useless_evidence_sends_everything_to_review_and_keeps_the_temperature_in_bounds() -> None:
    random = np.random.default_rng(2)
    steps, defective = random.normal(0, 10, 60), np.arange(60) % 2 == 0
    chosen = limits.choose(steps, defective, Costs(review=0.1), 1.0)
    assert np.mean((steps > chosen.pass_steps) & (steps < chosen.reject_steps)) > 0.8
    assert limits.TEMPERATURES[0] <= chosen.temperature <= limits.TEMPERATURES[1]
    assert chosen.clamped


def test_representative_pictures_span_every_grey_level() -> None:
    pictures = np.random.default_rng(0).integers(60, 180, (20, 8, 8, 1), dtype=np.uint8)
    sample = representative_of(pictures, [0, 1] * 10, 6, 1)
    assert (sample.min(), sample.max()) == (0, 255)
    assert len(sample) == 7


def test_even_a_flat_picture_is_stretched_to_all_levels() -> None:
    flat = stretched(np.full((4, 4, 1), 7, np.uint8))
    assert (flat.min(), flat.max()) == (0, 255)


def test_without_variation_augmentation_is_what_the_device_does() -> None:
    crop = np.random.default_rng(3).integers(0, 255, (40, 50), dtype=np.uint8)
    spec = InputSpec(height=24, width=24, channels=1)
    off = Augment(rotation_deg=0, flip=False, shift=0, scale=0, gain=0, offset=0, gradient=0, blur_px=0, noise=0)
    same = augment.varied(crop, spec, off, np.random.default_rng(0))
    assert np.array_equal(same.view(np.int8) ^ np.int8(-128), prepare(crop, spec)[0])


def test_variation_is_repeatable_and_varies() -> None:
    crop = np.random.default_rng(3).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    spec = InputSpec(height=24, width=24, channels=3)
    one, two = (augment.varied(crop, spec, Augment(), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two)
    assert one.shape == (24, 24, 3)
    assert not np.array_equal(one, augment.varied(crop, spec, Augment(), np.random.default_rng(6)))


def test_the_claim_says_how_many_parts_are_needed() -> None:
    assert claims.parts_needed(0.01) == 368
    none = measure.rate(0, 59)
    said = " ".join(claims.claims({"escape_rate": none, "overkill_rate": none}))
    assert "6.1 %" in said
    assert "there were 59" in said


def test_without_review_the_cut_lies_where_both_errors_cost_the_same() -> None:
    steps = np.concatenate([np.linspace(-40, 20, 50), np.linspace(10, 70, 50)])
    bad = np.arange(100) >= 50
    alike = Costs(escape=1, overkill=1, defect_share=0.5)
    assert limits.even(steps, bad, alike) == pytest.approx(15, abs=0.5)
    dear, rare = Costs(escape=20, overkill=2, defect_share=0.5), Costs(escape=1, overkill=1, defect_share=0.05)
    assert limits.even(steps, bad, dear) < 10
    assert limits.even(steps, bad, rare) > 20


def test_a_cut_stays_among_the_parts_that_it_was_placed_by() -> None:
    steps, bad = np.array([-5.0, -4.0, 40.0, 41.0]), np.array([False, False, True, True])
    assert limits.even(steps, bad, Costs(escape=1e9, overkill=0.001)) == -5.0
    assert limits.even(steps, bad, Costs(escape=0.001, overkill=1e9)) == 41.0


def test_parts_with_near_copies_in_another_fold_are_also_left_out() -> None:
    from trainer import protocol

    place = {"a": 0, "b": 1, "c": 0, "d": 0, "e": 1}
    assert protocol.with_twins(place, [["a", "b"], ["c", "d"], ["e", "gone"]]) == {"a", "b"}
    row = {"lost": [], "bytes": 1, "latency_ms": 0.1, "cpu_seconds": 1.0, "float_disagrees": 0, "grid": {"cells": []}}
    row |= {
        "limits_from_cut": [-2.0, 6.0],
        "transplants": [],
        "heals": [],
        "holes": [],
        "control": [["a", "ok", 0.1], ["b", "bad", 0.9]],
    }
    pictures = [["a", "ok", "1", 5.0], ["b", "bad", "2", 9.0], ["c", "ok", "3", -5.0], ["d", "bad", "4", -1.0]]
    got = protocol.summary([{**row, "pictures": pictures}], ("ok",), {"a", "b"})
    assert (got["overkill_rate"]["count"], got["overkill_rate"]["of"]) == (1, 2)
    assert {key: each["count"] for key, each in got["at_limits"].items()} == {
        "escape_rate": 0,
        "overkill_rate": 0,
        "review_rate": 2,
    }
    assert (got["without_twins"]["overkill_rate"]["count"], got["without_twins"]["overkill_rate"]["of"]) == (0, 1)
    assert got["without_twins"]["wrong_parts"] == [["d", "bad", -1.0]]
    assert protocol.lines(got)[-1].startswith("  Without the parts of which another fold holds near-copies")
    assert "without_twins" not in protocol.summary([{**row, "pictures": pictures}], ("ok",))


@pytest.mark.parametrize("seed", range(3))
def test_flaws_are_drawn_on_the_part_and_can_be_seen(seed: int) -> None:
    random = np.random.default_rng(seed)
    crop = np.full((96, 96), 40, np.uint8)
    cv2.circle(crop, (48, 48), 22, 170, -1)
    part = drawn.standing_out(crop)
    assert part is not None
    assert part[48, 48]
    assert not part[5, 5]
    on_part = 0
    for _ in range(30):
        spoilt, where = drawn.flawed(crop, random)
        core = where > 0.5
        on_part += core.any() and part[core].mean() >= 0.5 and np.abs(spoilt.astype(int) - crop)[core].max() >= 18
    assert on_part >= 26


def test_a_surface_has_no_outline_to_keep_to() -> None:
    surface = np.random.default_rng(1).normal(128, 12, (64, 64)).astype(np.uint8)
    assert drawn.standing_out(surface) is None


def test_subtle_flaws_are_mostly_smaller_and_fainter_than_others() -> None:
    strip = np.full((72, 512), 140, np.uint8)

    def medians(*, subtle: bool) -> tuple[float, float]:
        random = np.random.default_rng(4)
        made = [drawn.flawed(strip, random, unrolled=True, subtle=subtle) for _ in range(200)]
        depths = [np.abs(spoilt.astype(int) - strip).max() for spoilt, _ in made]
        return float(np.median(depths)), float(np.median([(where > 0.5).sum() for _, where in made]))

    depth, area = medians(subtle=False)
    faint, small = medians(subtle=True)
    assert faint < 0.8 * depth
    assert small < area
