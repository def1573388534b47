"""What a training draws from: pictures in memory, parts dealt alike, flaws drawn, moved and painted over."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec, Unregistered, laid
from edge.bundle.ring import WRAP_PX
from trainer import counterfactual, masks
from trainer.augment import Image, light_of, moved_laid, moved_strip, moved_with, relit, seen, shrink
from trainer.counterfactual import Flaw, Usual
from trainer.dataset import Dataset, Picture, pixels, readable
from trainer.deck import Deck, classes
from trainer.drawn import cells, flawed
from trainer.layout import Layout
from trainer.masks import EMPTY, Mask
from trainer.recipe import Recipe

MARGIN_PX = 64
"""What is cut out on either side of a window and cut off again: the mean along a row reaches so far."""
WAYS = 3
"""In how many ways the flaws of one picture are painted over; finding clean places is what takes the time."""
GIVEN = 0.6
"""Share of the flaws on good pictures that are moved there from marked ones, where there are such."""
FAINTEST = 12
"""Grey levels that a moved flaw must change a picture by."""
FLAWED, WHOLE = -1, -2
"""Classes of made pictures: defective, or good, but of no class of the data."""
Batch = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Unrolled training pictures with the flaws that were found on them."""

    usual: Usual
    surely: tuple[tuple[Flaw, ...], ...]
    """Per picture, what is surely a flaw; empty on good ones."""
    maybe: tuple[tuple[Flaw, ...], ...]
    """Per picture, what is painted over."""

    @classmethod
    def of(
        cls, strips: Sequence[Image], bad: NDArray[np.bool_], marked: Sequence[Mask | None], layout: Layout
    ) -> Bench:
        """Look for flaws on gray laid parts that nobody has marked; `bad` says which are of a defect class."""
        fine = [strip for strip, each in zip(strips, bad, strict=True) if not each]
        level = counterfactual.usual(fine[:: max(1, len(fine) // 400)], layout)
        maybe = tuple(
            tuple(
                counterfactual.flaws(strip, level, counterfactual.LIBERAL)
                if mask is None
                else counterfactual.given(mask, layout)
            )
            if each
            else ()
            for strip, each, mask in zip(strips, bad, marked, strict=True)
        )
        surely = tuple(tuple(flaw for flaw in each if flaw.peak >= 1.0) for each in maybe)
        return cls(usual=level, surely=surely, maybe=maybe)


class Lesson:
    """Crops in memory, the deck, and the validation pictures that the network is held against."""

    def __init__(
        self, recipe: Recipe, spec: InputSpec, data: Dataset, labels: Sequence[str], good: Sequence[str]
    ) -> None:
        self.recipe, self.spec = recipe, spec
        self.window_px = 0
        """How wide a piece of an unrolled part is shown while training, with the flaw in it; 0: all of it."""
        self._layout = Layout(spec=spec)
        self._light = light_of(recipe.augment, spec)
        self._still = dataclasses.replace(recipe.augment, rotation_deg=0.0)
        self._clean: dict[tuple[int, int], Image] = {}
        self.random = np.random.default_rng(recipe.seed)
        pictures, self.crops = laid_out(data, "train", spec)
        self.deck = Deck(pictures, labels, good, self.random)
        self._fine = np.flatnonzero(self.deck.classes < self.deck.good)
        layout = Layout.of(spec) if recipe.augment.counterfactual and len(self._fine) else None
        bad = self.deck.classes >= self.deck.good
        self._marked = [
            mask_of(data.root, each, crop, spec) if flawed else None
            for each, crop, flawed in zip(pictures, self.crops, bad, strict=True)
        ]
        self._donors = [i for i, mask in enumerate(self._marked) if mask is not None and mask.max() > EMPTY]
        self.bench = Bench.of(self.crops, bad, self._marked, layout) if layout else None
        held, crops = laid_out(data, "validation", spec)
        self.held_classes = classes(held, labels)
        if self.bench is not None and held:
            made, kinds = self._supplement(crops, self.held_classes, self.bench.usual)
            crops, self.held_classes = crops + made, np.concatenate([self.held_classes, kinds])
        empty = np.zeros((0, spec.height, spec.width, spec.channels), np.uint8)
        self.held = np.stack([finished(each, spec) for each in crops]) if crops else empty

    def _supplement(
        self, strips: Sequence[Image], kinds: NDArray[np.int64], level: Usual
    ) -> tuple[list[Image], NDArray[np.int64]]:
        """The counterfactuals of validation parts, with the classes that they should be given."""
        random, made, wanted = np.random.default_rng(self.recipe.seed), [], []
        fine = [strip for strip, kind in zip(strips, kinds, strict=True) if kind < self.deck.good]
        for strip, kind in zip(strips, kinds, strict=True):
            pair = counterfactual.pair(strip, fine, level, random) if kind >= self.deck.good and fine else None
            if pair is not None:
                made += [pair.healed, pair.transplanted]
                wanted += [0, int(kind)]
        return made, np.array(wanted, dtype=np.int64)

    def batches(self, count: int, grid: tuple[int, int]) -> Iterator[Batch]:
        """`count` batches; the next one is made while the network learns from the one before."""
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._batch, grid)
            for turn in range(count):
                ready = coming.result()
                if turn + 1 < count:
                    coming = ahead.submit(self._batch, grid)
                yield ready

    def _batch(self, grid: tuple[int, int]) -> Batch:
        """Pictures, their classes (below zero: made ones) and, cell by cell, where a flaw is.

        A cell is 1 where there is a flaw, 0 where there is none, -1 where nobody knows.
        """
        if self.bench is not None:
            count = self.recipe.training.batch * (2 if self.window_px else 1)
            made = [self._counterfactual(turn, grid, self.bench) for turn in range(count)]
        else:
            made = [self._plain(index, grid) for index in self.deck.draw(self.recipe.training.batch)]
        shown, wanted, places = zip(*made, strict=True)
        return np.stack(shown).astype(np.float32), np.array(wanted, dtype=np.int64), np.stack(places)

    def _plain(self, index: int, grid: tuple[int, int]) -> tuple[Image, int, NDArray[np.float32]]:
        how, random, registered = self.recipe.augment, self.random, self.spec.registration is not None
        kind = int(self.deck.classes[index])
        crop, mask = self.crops[index], self._marked[index]
        if registered:
            crop, mask = moved_laid(crop, self.spec, how, random, mask)
        else:
            crop, mask = moved_with(crop, mask, how, random)
        known = kind < self.deck.good
        if known and random.random() < how.drawn:
            kind, crop, mask = self._marred(crop)
        place = np.full(grid, 0.0 if known else -1.0, dtype=np.float32)
        if mask is not None and mask.max() > EMPTY:
            place = cells(self._layout.around(mask), *grid)
        if registered:
            return self._layout.seen(relit(np.atleast_3d(crop), self._light, random)), kind, place
        return relit(seen(crop, self.spec), how, random), kind, place

    def _marred(self, crop: Image) -> tuple[int, Image, Mask]:
        """A good picture with a drawn flaw, or with one that was marked elsewhere: its class, and where it is."""
        if self.spec.registration is None and self._donors and self.random.random() < GIVEN:
            other = self._donors[int(self.random.integers(len(self._donors)))]
            region = np.asarray(255 * self._marked[other], dtype=np.uint8)
            spoilt, mask = masks.transplanted(self.crops[other], region, crop, self.random)
            if mask.max() > EMPTY and counterfactual.contrast(crop, spoilt) >= FAINTEST:
                return int(self.deck.classes[other]), spoilt, mask
        return FLAWED, *flawed(crop, self.random, unrolled=self._layout.wraps)

    def _counterfactual(self, turn: int, grid: tuple[int, int], bench: Bench) -> tuple[Image, int, NDArray[np.float32]]:
        """In turn: a good part, one with a flaw moved or drawn onto it, a healed defective part, a defective part."""
        random, role = self.random, turn % 4
        index = self.deck.one(bad=role >= 2)
        if role == 2 or (role == 3 and self.window_px):
            # In a window a flaw must be: parts on which none was found wait for the whole picture.
            index = next((each for _ in range(8) if bench.surely[each := self.deck.one(bad=True)]), index)
        crop, kind = self.crops[index], int(self.deck.classes[index])
        mask: NDArray[np.float32] | None = np.zeros(crop.shape, np.float32)
        look = counterfactual.covered(bench.surely[index], crop.shape) if role >= 2 else mask
        if role == 0 and random.random() < 0.3:
            other = self.deck.one(bad=True)
            spare = crop if self._layout.wraps else self.crops[int(random.choice(self._fine))]
            crop, look = counterfactual.blank(crop, bench.maybe[other][:2], spare, self._layout, random)
        elif role == 1:
            crop, mask, kind = self._spoilt(crop, bench)
            look = mask
        elif role == 2 and bench.surely[index]:
            crop, kind = self._healed(index, bench), WHOLE
            if random.random() < 0.25:
                crop, mask, kind = self._spoilt(crop, bench)
                look = mask
        elif role >= 2:
            mask = self._marked[index] if index in self._donors else None
        # What was painted over or swapped is looked at as closely as a flaw, or it would be known by its absence.
        at = self._window(look) if self.window_px else None
        shown, spots = self._shown(crop, look if mask is None else mask, at)
        place = cells(spots, *grid) if mask is not None else np.full(grid, -1.0, np.float32)
        return shown, kind, place

    def _healed(self, index: int, bench: Bench) -> Image:
        """A defective part without its flaws, in one of a few ways, which are the same whenever they are asked for."""
        asked = index, int(self.random.integers(WAYS))
        if asked not in self._clean:
            random = np.random.default_rng((self.recipe.seed, *asked))
            spare = self.crops[int(random.choice(self._fine))]
            self._clean[asked] = counterfactual.healed(
                self.crops[index], bench.maybe[index], spare, self._layout, random
            )
        return self._clean[asked]

    def _window(self, look: NDArray[np.float32]) -> int:
        """The column where a window begins that holds a marked place well inside it, or any where there is none."""
        columns = np.flatnonzero(look.max(axis=0) > 0.5)
        if not len(columns):
            return int(self.random.integers(look.shape[1]))
        return int(columns[self.random.integers(len(columns))]) - int(self.random.integers(16, self.window_px - 16))

    def _shown(self, crop: Image, mask: NDArray[np.float32], window: int | None) -> tuple[Image, NDArray[np.float32]]:
        """A strip, or the window that begins at a column, varied, as the network is shown it; and its mask."""
        if window is None:
            varied, spots = moved_laid(crop, self.spec, self.recipe.augment, self.random, mask)
            shown = self._layout.seen(relit(varied[:, :, None], self._light, self.random))
            return shown, self._layout.around(mask if spots is None else spots)
        # Cut before it is varied, with a margin: the rest would be varied for nothing.
        taken = (window - MARGIN_PX + np.arange(self.window_px + 2 * MARGIN_PX)) % crop.shape[1]
        varied, spots = moved_strip(crop[:, taken], self._still, self.random, mask[:, taken])
        shown = self._layout.seen(relit(varied[:, :, None], self._light, self.random))
        inside = slice(MARGIN_PX + WRAP_PX, MARGIN_PX + WRAP_PX + self.window_px)
        return shown[:, inside], self._layout.around(mask if spots is None else spots)[:, inside]

    def _spoilt(self, crop: Image, bench: Bench) -> tuple[Image, NDArray[np.float32], int]:
        """A picture without flaws with one on it: somebody else's, or a drawn one."""
        if self.random.random() >= self.recipe.augment.drawn:
            for _ in range(4):
                other = self.deck.one(bad=True)
                known = bench.surely[other]
                if known:
                    first = int(self.random.integers(min(3, len(known))))
                    taken = known[first : first + int(self.random.integers(1, 3))]
                    donor = self.crops[other]
                    spoilt, mask = counterfactual.transplanted(crop, donor, taken, self._layout, self.random)
                    if counterfactual.contrast(crop, spoilt) >= FAINTEST:
                        return spoilt, mask, int(self.deck.classes[other])
        turn = int(self.random.integers(crop.shape[1])) if self._layout.wraps else 0
        wraps, subtle = self._layout.wraps, self.recipe.augment.subtle
        spoilt, mask = flawed(np.roll(crop, turn, axis=1), self.random, unrolled=wraps, subtle=wraps and subtle)
        return spoilt, mask, FLAWED


def laid_out(data: Dataset, split: str, spec: InputSpec) -> tuple[list[Picture], list[Image]]:
    """A split's pictures as they are kept in memory, without those that cannot be registered."""
    pictures = data.of(split)
    if spec.registration is None:
        return list(pictures), [shrink(each, spec) for each in pixels(data, pictures, spec.channels)]
    strips = [_unrolled(data.root, each.file, spec) for each in pictures]
    found = [(picture, strip) for picture, strip in zip(pictures, strips, strict=True) if strip is not None]
    return [picture for picture, _ in found], [strip for _, strip in found]


@lru_cache(maxsize=20_000)
def _unrolled(root: Path, file: str, spec: InputSpec) -> Image | None:
    """One picture as the part lies; None where it is not found. Kept, because each fold of a protocol asks again."""
    try:
        return laid(readable(root, file, spec.channels), spec)
    except Unregistered:
        return None


def mask_of(root: Path, picture: Picture, kept: Image, spec: InputSpec) -> Mask | None:
    """Where the flaw of a picture is, 0 to 1, laid out as `kept` of it is; None where nobody has marked it."""
    if not picture.mask:
        return None
    if spec.registration is None:
        whole = masks.of(root, picture, kept)
        return None if whole is None else np.asarray(whole, dtype=np.float32) / 255
    return masks.laid_out(root, picture, readable(root, picture.file, spec.channels), spec)


def finished(crop: Image, spec: InputSpec) -> Image:
    """What `laid_out` keeps, as the network is shown it."""
    return Layout(spec=spec).seen(np.atleast_3d(crop)) if spec.registration else seen(crop, spec)
