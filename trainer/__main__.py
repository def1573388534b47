"""`linegate-train`: `run` does it all, the other words are its steps. TensorFlow is loaded only by what needs it."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from trainer import __version__, recipe, source
from trainer.errors import BadRecipe, Refused
from trainer.run import Run

STEPS = {
    "inspect": "look at the data: a table with a line per picture, and a page for people",
    "train": "divide the data and train the float network",
    "quantize": "convert the trained network into every variant",
    "compare": "train the published layout beside it, where the recipe asks for that",
    "measure": "judge test parts with every variant; writes metrics.json",
    "protocol": "judge every part by a network that never saw it: five trainings, resumed fold by fold",
    "explain": "show which places of misjudged parts spoke for a defect",
    "report": "write report.html from metrics.json",
    "pack": "write the bundle for the device",
    "sign": "vouch for the run's bundle with a secret key (linegate models keygen)",
}

TAKE_DATA = ("run", "train", "protocol", "inspect")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0 done, 1 failed, 78 mistakes in the recipe (2, usage, is argparse's)."""
    asked = _parser().parse_args(arguments)
    try:
        _do(asked)
    except Refused as error:
        if asked.debug:
            traceback.print_exc()
        print(f"linegate-train: {error}", file=sys.stderr)
        return 78 if isinstance(error, BadRecipe) else 1
    except KeyboardInterrupt:
        print("linegate-train: stopped by hand", file=sys.stderr)
        return 1
    return 0


def _do(asked: argparse.Namespace) -> None:
    if asked.command == "inspect":
        _inspect(asked)
        return
    from trainer import divide, steps

    shelf = Path(asked.shelf) if asked.shelf else None
    key = Path(asked.key) if "key" in asked and asked.key else None
    if asked.command == "run":
        run = _begun(asked)
        steps.run(run, shelf or _shelf(run), key)
        return
    if asked.command == "train":
        run = _begun(asked)
        run.again("divide")
        run.once("divide", lambda: divide.divide(run))
        from trainer import teach

        run.once("train", lambda: teach.train(run.settled()))
        return
    if asked.command == "protocol" and (asked.data or asked.recipe):
        run = _begun(asked)
        run.once("divide", lambda: divide.divide(run))
        steps.protocol_all(run.settled())
        return
    run = Run.open(_out(asked))
    if asked.command == "pack":
        steps.pack_bundle(run, shelf or _shelf(run), key)
    elif asked.command == "sign":
        steps.sign(run, Path(asked.key))
    elif asked.command == "report":
        steps.write_report(run)
    elif asked.command == "protocol":
        steps.protocol_all(run)
    else:
        from trainer import teach

        work = {
            "quantize": teach.quantize,
            "compare": teach.compare,
            "measure": steps.measure_all,
            "explain": steps.explain,
        }[asked.command]
        run.again(asked.command)
        run.once(asked.command, lambda: work(run))


def _inspect(asked: argparse.Namespace) -> None:
    from trainer import inspect

    if not asked.data:
        raise Refused("no data: give a folder with one folder of pictures per class, --data DIR")
    good = asked.good or (recipe.load(Path(asked.recipe)).good if asked.recipe else ())
    found = inspect.look(Path(asked.data), good)
    for path in inspect.save(found, Path(asked.out) if asked.out else Path("build") / _name_of(asked.data)):
        print(f"inspect: {path}", file=sys.stderr)


def _begun(asked: argparse.Namespace) -> Run:
    wanted = recipe.load(Path(asked.recipe)) if asked.recipe else recipe.Recipe(name=_name_of(asked.data))
    if asked.good:
        wanted = dataclasses.replace(wanted, good=tuple(asked.good))
    out = Path(asked.out) if asked.out else Path("build") / wanted.name
    if asked.data:
        data = Path(asked.data)
    elif wanted.rendered.crops:
        print(f"data: {wanted.rendered.crops} crops from the simulator, seed {wanted.rendered.seed}", file=sys.stderr)
        out.mkdir(parents=True, exist_ok=True)
        data = source.rendered(wanted.rendered, out / "data")
    else:
        raise Refused("no data: give a folder with one folder of pictures per class, --data DIR")
    if not data.is_dir():
        raise Refused(f"{data}: there is no such folder; give one with a folder of pictures per class, --data DIR")
    run = Run.begin(out, data, wanted)
    if asked.afresh:
        run.again("divide")
        shutil.rmtree(run.out / "checkpoints", ignore_errors=True)
    return run


def _out(asked: argparse.Namespace) -> Path:
    if asked.out:
        return Path(asked.out)
    if asked.recipe:
        return Path("build") / recipe.load(Path(asked.recipe)).name
    raise Refused("which run? give the folder it was begun in, --out DIR")


def _shelf(run: Run) -> Path | None:
    return Path(run.recipe.shelf) if run.recipe.shelf else None


def _name_of(data: str | None) -> str:
    """A bundle's name from a folder's: what a folder may be called and a bundle may not becomes a dash."""
    plain = "".join(
        c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in Path(data or "parts").resolve().name
    )
    return plain.strip("-")[:64] or "parts"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="linegate-train", description="From a folder of pictures to an int8 bundle.")
    parser.add_argument("--version", action="version", version=f"linegate-train {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about in {"run": "all steps, from pictures to the bundle", **STEPS}.items():
        each = commands.add_parser(name, help=about, description=about.capitalize() + ".")
        each.add_argument("recipe", nargs="?", metavar="RECIPE", help="a recipe file; without it the defaults are used")
        each.add_argument("--out", metavar="DIR", help="the run's folder (default: build/<name of the recipe>)")
        if name in TAKE_DATA:
            each.add_argument("--data", metavar="DIR", help="a folder with one folder of pictures per class")
            each.add_argument("--good", action="append", metavar="CLASS", help="a class that is good (may be repeated)")
        if name in ("run", "pack", "sign"):
            each.add_argument(
                "--key", metavar="FILE", help="sign the bundle with this secret key", required=name == "sign"
            )
        if name in TAKE_DATA[:3]:
            each.add_argument(
                "--afresh", action="store_true", help="forget what an earlier run in this folder has done"
            )
        each.add_argument("--shelf", metavar="DIR", help="place the bundle on this shelf of models and make it live")
        each.add_argument("--debug", action="store_true", help="show where an error came from")
    return parser


if __name__ == "__main__":
    sys.exit(main())
