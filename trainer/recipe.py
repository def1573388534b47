"""A recipe: everything that decides a training run, frozen, and saved in the bundle that comes out of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trainer.errors import BadRecipe
from trainer.fields import Pairs, choice, number, section


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Pictures from the device's own simulator instead of a folder; `crops: 0` means a folder is given."""

    crops: int = number(0, 0, 200_000)
    seed: int = number(1, 0, 2**31 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How parts are divided; whole parts, never single pictures."""

    validation: float = number(0.2, 0.05, 0.5)
    test: float = number(0.2, 0.05, 0.5)
    official: bool = True
    """Measure the data's own train/test folders too, when there are any, with a training of their own."""
    join_copies: bool = False
    """Join groups of `groups.csv` that show the same part by near-copies found; either way the run names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """The ring that round parts are registered by; measured on the data when `inside` is empty."""

    inside: str = choice("", "", "dark", "bright")
    levels: tuple[float, ...] = ()
    smallest: float = number(0.2, 0.02, 1.0)
    """Smallest and largest radius, as shares of the picture's shorter side."""
    largest: float = number(0.5, 0.02, 1.0)
    rim: float = number(0.0, 0.0, 8.0)
    rim_rises: bool = False
    inner: float = number(0.15, 0.0, 8.0)
    outer: float = number(1.08, 0.1, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The good part that others are laid onto; made from the data when `pixels` is empty. Bytes are in base64."""

    pixels: str = ""
    spread: str = ""
    """What good parts differ by at each place, in thousandths of relative brightness; a quarter of the size."""
    turns: bool = True
    """Whether parts lie any way round."""
    projective: bool = False
    """Whether they are fitted in perspective."""
    least: float = number(0.5, 0.0, 1.0)
    """Agreement below which a part counts as not found, and goes to review."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What the network sees. Of a registered part `width_px` is the way around it."""

    height_px: int = number(128, 16, 1024)
    width_px: int = number(128, 16, 1024)
    channels: int = number(1, 1, 3)
    registration: str = choice("auto", "auto", "none", "ring", "template")
    """How the part is found before it is judged; `auto` takes a ring when nearly every picture shows one, else a
    template when nearly all good parts lie alike on one."""
    ring: Ring = Ring()
    template: Template = Template()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Which network, and how large."""

    kind: str = choice("ds_cnn", "ds_cnn", "plain_cnn", "mobilenet_v2_035")
    """`plain_cnn` and `mobilenet_v2_035` are there to compare with; they have one size only."""
    blocks: int = number(4, 1, 8)
    width: int = number(16, 4, 128)
    stem: str = choice("strided", "strided", "folded")
    """How `ds_cnn` gets to a quarter of the size: by two convolutions, or by folding squares of 4 x 4 px into channels
    and one convolution, which takes a fraction of the time and sees small differences a little worse."""
    good: str = choice("mean", "mean", "place")
    """Where good classes are read from: the picture as a whole, or the places that speak against them."""
    pretrained: bool = True
    """Start `mobilenet_v2_035` from weights learned on ImageNet, where they can be fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """What varies on a line without making a part better or worse. Every value is the largest change either way."""

    rotation_deg: float = number(180.0, 0.0, 180.0)
    flip: bool = True
    shift: float = number(0.04, 0.0, 0.5)
    scale: float = number(0.06, 0.0, 0.5)
    gain: float = number(0.2, 0.0, 0.9)
    offset: float = number(20.0, 0.0, 120.0)
    gradient: float = number(20.0, 0.0, 120.0)
    blur_px: float = number(1.0, 0.0, 10.0)
    noise: float = number(5.0, 0.0, 50.0)
    jpeg: float = number(50.0, 0.0, 100.0)
    """The lowest quality to which one picture in five is compressed; 0 compresses none."""
    drawn: float = number(0.3, 0.0, 0.9)
    """Share of the good pictures in a batch that get a drawn flaw, to be found where it was drawn."""
    subtle: bool = False
    """Draw mostly small and faint flaws onto unrolled parts."""
    counterfactual: bool = True
    """Move flaws between parts and paint them over while training, where parts are registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How long, how fast."""

    epochs: int = number(30, 1, 2000)
    coarse: int = number(0, 0, 2000)
    """Epochs before those, on pictures of three quarters the size: nearly twice as fast, and most is learned there.

    Of unrolled parts on pieces with a flaw in them, and when it is 0, two thirds of `epochs`.
    """
    steps: int = number(0, 0, 10_000)
    """Batches per epoch; 0 takes as many as it takes to see every training picture, at least 24, at most 60."""
    batch: int = number(32, 2, 1024)
    learning_rate: float = number(0.003, 1e-6, 1.0)
    weight_decay: float = number(0.0002, 0.0, 1.0)
    aware: float = number(0.2, 0.0, 2.0)
    """Epochs of quantization-aware training after it, as a share of `epochs`; 0 leaves that variant out."""
    smoothing: float = number(0.01, 0.0, 0.4)
    """Label smoothing: keeps the logits small, so that one int8 step stays small too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """What is trained beside it for a row to compare with."""

    plain_cnn_px: tuple[float, ...] = ()
    """Sizes of picture at which the published layout is trained on the same pictures; empty: none."""
    epochs: int = number(8, 1, 2000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a wrong or a withheld verdict costs, in any one unit, and how often parts are defective."""

    escape: float = number(20.0, 0.001, 1e9)
    overkill: float = number(2.0, 0.001, 1e9)
    review: float = number(0.5, 0.0001, 1e9)
    defect_share: float = number(0.05, 0.0001, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run."""

    name: str = "parts"
    version: str = "1"
    seed: int = number(1, 0, 2**31 - 1)
    good: tuple[str, ...] = ()
    """Which classes are good; empty: guessed from names such as ok, good, normal."""
    decided: Pairs = ()
    """The label of each part that carries several, where a person has looked and decided: `PART: LABEL`. All its
    pictures get it; parts that carry several and are not named here keep them, and every run names them."""
    shelf: str = ""
    """A shelf of models on which the finished bundle is placed and made live; empty: none."""
    rendered: Rendered = Rendered()
    split: Split = Split()
    input: Input = Input()
    network: Network = Network()
    augment: Augment = Augment()
    training: Training = Training()
    compare: Compare = Compare()
    costs: Costs = Costs()


def load(path: Path) -> Recipe:
    """Read a recipe file; raises `BadRecipe` with every mistake in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadRecipe(
            [f"{path}: cannot be read ({error.strerror}); the shipped ones are in trainer/recipes"]
        ) from None
    except UnicodeDecodeError:
        raise BadRecipe([f"{path}: is not UTF-8 text; save it as UTF-8"]) from None
    return parse(text, str(path))


def parse(text: str, origin: str = "recipe") -> Recipe:
    """Read a recipe from text; `origin` is the name that mistakes begin with."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{origin}:{mark.line + 1}" if mark else origin
        raise BadRecipe([f"{where}: is not YAML ({getattr(error, 'problem', None) or 'odd characters'})"]) from None
    mistakes: list[str] = []
    recipe = section(Recipe, root, "", origin, mistakes) if root is not None else Recipe()
    if recipe.split.validation + recipe.split.test > 0.8:
        mistakes.append(f"{origin}: split: validation and test leave less than a fifth of the parts to train on")
    if not mistakes and not _is_plain(recipe.name):
        mistakes.append(f"{origin}: name: is {recipe.name!r}; allowed: letters, digits, - _ . (it becomes a folder)")
    mistakes += _at_odds(recipe, origin) if not mistakes else []
    if mistakes:
        raise BadRecipe(mistakes)
    return recipe


def _at_odds(recipe: Recipe, origin: str) -> list[str]:
    """Values that are allowed alone and not together."""
    shape, said = recipe.input, []
    if recipe.network.kind == "plain_cnn" and recipe.training.coarse:
        said.append(f"{origin}: training.coarse: must be 0 with plain_cnn, whose dense layer has one size of picture")
    if recipe.network.kind == "plain_cnn" and min(shape.height_px, shape.width_px) < 24:
        said.append(f"{origin}: input: plain_cnn needs pictures of 24 px or more")
    if not all(24 <= side <= 1024 and side == int(side) for side in recipe.compare.plain_cnn_px):
        said.append(f"{origin}: compare.plain_cnn_px: allowed: whole numbers from 24 to 1024")
    if recipe.network.kind == "mobilenet_v2_035" and min(shape.height_px, shape.width_px) < 32:
        said.append(f"{origin}: input: mobilenet_v2_035 needs pictures of 32 px or more")
    return said


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, every key written out; `parse` reads it back equal."""
    document = dataclasses.asdict(recipe, dict_factory=lambda pairs: {k: _listed(v) for k, v in pairs})
    document["decided"] = dict(recipe.decided)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _is_plain(name: str) -> bool:
    return (
        0 < len(name) <= 64 and name[0] not in ".-" and all(c.isascii() and (c.isalnum() or c in "_.-") for c in name)
    )
