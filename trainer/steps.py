"""A training run, read from top to bottom. Each step takes what the one before left in the run's folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer import card, dataset, divide, gather, lint, measure, pack
from trainer.augment import seen
from trainer.claims import CHOSEN, rate_text
from trainer.errors import Refused
from trainer.limits import columns, evidence
from trainer.run import Part, Run, read_json, say, write, write_json

TOLD = ("registration", "grouped_by", "listed_apart", "unregistered", "contradictory", "decided")
"""What was found out about the data that figures have to be read with."""


def run(run: Run, shelf: Path | None, key: Path | None = None) -> None:
    """Everything, in order; what a killed run had finished is not done again."""
    run.once("divide", lambda: divide.divide(run))
    run = run.settled()
    # Loads TensorFlow: not before the folder is known to be of use.
    from trainer import teach

    run.once("train", lambda: teach.train(run))
    run.once("quantize", lambda: teach.quantize(run))
    run.once("compare", lambda: teach.compare(run))
    run.once("measure", lambda: measure_all(run))
    run.once("explain", lambda: explain(run))
    write_report(run)
    pack_bundle(run, shelf, key)


def measure_all(run: Run) -> None:
    """Ask every variant about every picture, set the limits on validation parts, count on test parts."""
    from trainer import protocol, quantize, study, trials

    labels, good = run.classes()
    variants = (*quantize.VARIANTS, quantize.AWARE) if run.recipe.training.aware else quantize.VARIANTS
    metrics: dict[str, Any] = {variant: {} for variant in variants}
    metrics |= {"baselines": {}, "reference": {}, "curves": {}}
    for part in run.divisions():
        contents = {variant: _content(part, variant) for variant in variants}
        study.division(run.recipe, part, contents, labels, good, metrics)
        lines = trials.lines(metrics["trials"]) if part.kind == "grouped" and "trials" in metrics else ()
        _say_measured(part, metrics[CHOSEN][part.kind], metrics["baselines"][part.kind], lines)
    facts = read_json(run.out / "data.json")
    metrics["leakage"] = facts["leakage"]
    metrics["data"] = {key: facts.get(key) for key in TOLD}
    folded = protocol.kept(run.recipe, run.part("grouped").pictures(), run.out / "protocol")
    metrics |= {"protocol": folded} if folded else {}
    write_json(run.out / "metrics.json", metrics)


def protocol_all(run: Run) -> None:
    """The grouped five-fold protocol, fold by fold; its figures go beside the others in `metrics.json`."""
    labels, good = run.classes()
    data = run.part("grouped").pictures()
    if not any(each.label in good for each in data.pictures):
        raise Refused(f"{run.data}: the protocol needs pictures of good parts; name their class with --good NAME")
    from trainer import protocol

    apart = read_json(run.out / "data.json").get("listed_apart", [])
    got = protocol.run(run.recipe, data, labels, good, run.out / "protocol", apart)
    path = run.out / "metrics.json"
    write_json(path, {**(read_json(path) if path.is_file() else {}), "protocol": got})
    for line in protocol.lines(got):
        say(line)


def explain(run: Run) -> None:
    """Pictures of every misjudged test part (or the narrowest ones) with the places that spoke, and pointing scores."""
    from trainer import explain, fit, runtime

    labels, good = run.classes()
    part, spec = run.part("grouped"), fit.input_spec(run.recipe)
    data, limits = part.pictures(), part.limits()
    model = runtime.Model(_content(part, CHOSEN))
    asked = explain.Asked(model=model, good=columns(labels, good), spec=spec, seed=run.recipe.seed)
    folder = part.folder / "explained"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    parts = measure.fuse(data.of("test"), evidence(part.outputs()[f"{CHOSEN}/test"], asked.good), good)
    listed = []
    for case in explain.cases(parts, limits):
        mine = [each for each in data.of("test") if each.part == case.part][:3]
        shown = np.stack([seen(each, spec) for each in dataset.pixels(data, mine, spec.channels)])
        name = f"{case.kind}-{_file_name(case.part[1])}-{_file_name(Path(case.part[0]).stem)}.png"
        pack.write_picture(folder / name, explain.rows(asked, shown))
        listed.append(
            {"file": name, "part": case.part[0], "label": case.part[1], "kind": case.kind, "steps": case.steps}
        )
    say(f"explain: {folder}, {sum(each['kind'] != 'close' for each in listed)} misjudged parts")
    fine = dataset.pixels(data, _one_each([each for each in data.of("test") if each.label in good]), spec.channels)
    pointing = explain.pointing(asked, fine)
    known = [each for each in data.of("test") if each.mask and each.label not in good]
    real = explain.pointing_at(asked, list(explain.masked(asked.spec, data.root, known))) if known else {}
    found = {"drawn_flaws_pointed_at": pointing, "masked_flaws_pointed_at": real, "cases": listed}
    write_json(part.folder / "explained.json", found)
    for what, points in (("drawn", pointing), ("masked", real)):
        for method, got in points.items() if any(each["of"] for each in points.values()) else ():
            say(f"  {method} points at {got['count']} of {got['of']} {what} flaws, {got['ms']} ms a picture")


def write_report(run: Run) -> None:
    """The page for people."""
    write(run.out / "report.html", gather.report_of(run, *run.classes()))
    say(f"report: {run.out / 'report.html'}")


def pack_bundle(run: Run, shelf: Path | None, key: Path | None = None) -> None:
    """The folder for the device, signed when a secret key is given, placed on a shelf when one is named."""
    from trainer import fit, golden, quantize, runtime

    labels, good = run.classes()
    part, spec = run.part("grouped"), fit.input_spec(run.recipe)
    content, data = _content(part, CHOSEN), part.pictures()
    _, steps = quantize.check(content)
    pictures, tolerance = golden.ask(content, part.outputs()[f"{CHOSEN}/test"], data, labels, good, spec)
    facts = read_json(run.out / "data.json")
    contents = pack.Contents(
        recipe=run.recipe,
        model=content,
        edgetpu=part.edgetpu.read_bytes() if part.edgetpu.is_file() else None,
        labels=labels,
        good=good,
        input=spec,
        output=steps,
        limits=part.limits(),
        golden=pictures,
        tolerance_steps=tolerance,
        runtime=runtime.NAME,
        kernels=runtime.KERNELS,
        operations=lint.look(content)["versions"],
        reference=gather.usual(data, part.outputs(), spec, labels, good),
        fingerprint=facts["fingerprint"],
        metrics=gather.short(read_json(run.out / "metrics.json")),
        report=gather.report_of(run, *run.classes()),
        card=card.build(run.recipe, labels, good, read_json(run.out / "metrics.json"), facts["fingerprint"]),
    )
    bundle = pack.pack(contents, run.out)
    say(f"bundle: {bundle.folder}")
    if key is not None:
        say(f"bundle: {pack.vouch(bundle, key)}")
    if shelf is not None:
        say(f"live on the shelf: {pack.place(bundle, shelf)}")


def sign(run: Run, key: Path) -> None:
    """Vouch for the bundle that this run has packed; raises `Refused`."""
    folders = sorted(run.out.glob(f"{run.recipe.name}-*/manifest.json"), key=lambda each: each.stat().st_mtime)
    if not folders:
        raise Refused(f"{run.out}: holds no bundle yet; pack one: linegate-train pack --out {run.out}")
    say(f"bundle: {folders[-1].parent} {pack.vouch(pack.opened(folders[-1].parent), key)}")


def _content(part: Part, variant: str) -> bytes:
    try:
        return part.converted(variant).read_bytes()
    except OSError:
        raise Refused(f"{part.converted(variant)}: cannot be read; run the step `quantize` first") from None


def _one_each(pictures: Sequence[dataset.Picture]) -> list[dataset.Picture]:
    """The first picture of every part."""
    return list({each.part: each for each in reversed(pictures)}.values())[::-1]


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in text)


def _say_measured(part: Part, got: dict[str, Any], look_ups: dict[str, Any], trial_lines: Sequence[str] = ()) -> None:
    at = got["at_limits"]
    say(
        f"measure {part.kind}, {CHOSEN}, {got['parts']} parts never trained on: "
        f"balanced accuracy {got['balanced_accuracy']}, escapes {rate_text(got['escape_rate'])}, "
        f"overkill {rate_text(got['overkill_rate'])}"
    )
    say(
        f"  at the limits: escapes {at['escape_rate']['count']}, overkill {at['overkill_rate']['count']}, "
        f"review {at['review_rate']['count']}"
    )
    if not got["overkill_rate"]["of"]:
        say(f"  kinds of defects told apart: {100 * got['kinds']['accuracy']:.1f} % of parts")
    for line in trial_lines:
        say(line)
    say("  without seeing defects: " + ", ".join(f"{k} {v['balanced_accuracy']}" for k, v in look_ups.items()))
