"""One lane of the belt: a direction, a gate, and the way of every part past it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config import Tracking
from edge.domain import Box, Image, Lapse, Part, View
from edge.tracking.background import EmptyBelt
from edge.tracking.blobs import LITTLE, Blob
from edge.tracking.coverage import Coverage
from edge.tracking.gallery import COARSE, Gallery
from edge.tracking.hidden import Hidden
from edge.tracking.measure import Measure
from edge.tracking.memory import Memory
from edge.tracking.motion import profiles
from edge.tracking.pace import Pace
from edge.tracking.passing import SLIM, Passing
from edge.tracking.path import Path
from edge.tracking.reasons import AS_ONE, COVER, COVERED, CUT, FRAMES, GROWN, SLIPPED, UNMEASURED, UNSEEN, VANISHED
from edge.tracking.sight import Sight
from edge.tracking.sightings import ENTRY, FIRM, PROVEN, Sighting, Sightings
from edge.tracking.unrolled import Unrolled
from edge.tracking.witnesses import Inquiry

STEP, WAIT = 2, 4
"""The unrolled belt is searched again after it moved by so many pixels, or after so many looks."""
DOUBTED, SURE = 0.9, 0.1
"""So large a share of unexplained looks, over about a hundred, means that the belt was learned wrongly; and with so
small a one it was still known."""
BACK = 1.2
"""A belt that ran back by so many pictures runs the other way: it was learned wrongly."""
UNSURE, LONGEST_S = 10, 10.0
"""So many more looks that nothing explains than such as are explained are told, at the latest after so long."""
ONE_STEP, TWO_STEPS = 0.4, 0.6
"""A part can be missed when the belt moves from one look to the next, or over two, by more than this share of the way
to the gate."""
PIECE = 0.6
"""What lies by more than this share on a part that is settled is a piece of it."""
LARGE_PATCH = 0.6
"""What stands out over this share of a part, either way, and is none, is told when it comes to the gate."""
SLID, FAR, LATE = 0.3, 5.0, 0.5
"""What is pushed across the belt stays where it was along it, but for so large a share of its thickness, and goes no
farther than so many of them. It is another one then, seen so large a share later: what comes in later lies behind."""
LEAST_COVER = 0.5
"""What is smaller than this share of a part hides none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A frame on its way through the tracker; `image` is gone when it was too much to keep."""

    at_s: float
    look: Image
    image: Image | None
    before: Sequence[tuple[float, Image]] = ()
    """When others were taken since the look before, and what they show: good for views."""


class Lane:
    """Follows one lane whose direction is known; parts come out with number 0."""

    def __init__(
        self, config: Tracking, sight: Sight, empty: EmptyBelt, speed: float, before: Lane | None = None
    ) -> None:
        """`speed` in small pixels per second; `before`: a lane that rehearsed the same looks."""
        self._config, self.sight, self._empty = config, sight, empty
        along, across = sight.size
        hidden = before.hidden if before else Hidden(along // COARSE, across // COARSE)
        self._unrolled = Unrolled(along // COARSE, across // COARSE, hidden)
        self._sightings = Sightings(self._unrolled)
        self._pace = Pace(speed)
        self._gate = sight.along(config.gate) / COARSE
        self._gallery = Gallery(sight)
        self._memory = Memory(sight, self._gallery)
        self._path = Path()
        self._left: list[slice] = []
        self._searched_at = 0
        self._waited = WAIT  # the first look shows parts that are about to pass
        self._coverage = Coverage(self._gate, along / COARSE)
        self._steps = deque([0.0, 0.0], maxlen=2)
        self._came = 0.0
        """So much belt came in over frames that were passed over, since the last search."""
        self._unsure_s, self._guesses = 0.0, 0
        self._sure_s: float | None = None
        self.lapses: list[Lapse] = []
        """What the latest look, or the end, showed that nobody can answer for."""
        smallest = max(4.0, config.part_min_px / (sight.factor * COARSE))
        self._measure = Measure(smallest, before.singles if before else ())
        self.passing = Passing(
            self._gate, sight, self._unrolled, self._sightings, self._measure, learns=not config.part_min_px
        )

    @property
    def hidden(self) -> Hidden:
        """Where things pass unseen."""
        return self._unrolled.hidden

    @property
    def coming(self) -> int:
        """Parts on their way to the gate."""
        return sum(self.passing.is_coming(each) for each in self._sightings.current)

    @property
    def is_lost(self) -> bool:
        """Whether this belt's motion has long not explained what happens in the picture, or it ran back for long."""
        return self._pace.doubt > DOUBTED or self._unrolled.behind > BACK * self._unrolled.evidence.shape[1]

    @property
    def sure_s(self) -> float:
        """Until when it was sure that the belt ran this way; a belt that has not brought a part may never have."""
        return self._sure_s or 0.0

    @property
    def is_explained(self) -> bool:
        """Whether the belt's motion explained most looks in which much changed, and took it this way."""
        return self._pace.explained >= self._pace.unexplained and self._unrolled.position >= 0

    @property
    def is_calm(self) -> bool:
        """Whether the belt runs on as ever, and all that lies on it are parts that travel with it."""
        known = self.passing.usual.settled and not self._empty.is_crowded and not self._coverage.is_doubted
        ahead = self._unrolled.behind == 0 and self._pace.is_steady
        return known and ahead and self._sightings.are_plain

    def pause_s(self, share: float, looks: int) -> float:
        """How long until the belt has gone on by this `share` of a part, or by so much that a part on its way to the
        gate is looked at `looks` times."""
        thickness = self.passing.usual.thickness
        way = min(share * thickness, (self._gate - thickness) / looks)
        return way * COARSE / self._pace.fastest

    @property
    def is_contradicted(self) -> bool:
        """Whether something keeps moving in another way than this belt."""
        return self._pace.is_contradicted

    def leave(self, rows: tuple[int, int]) -> None:
        """Look no more at these rows: they belong to another lane."""
        self._left.append(slice(*rows))

    @property
    def singles(self) -> list[Blob]:
        """Parts that are clearly single ones."""
        coming = [
            each for each in self._sightings.current if self.passing.is_coming(each) and not self.passing.is_stain(each)
        ]
        return self._measure.singles([each.blob for each in coming if not self.passing.is_scratch(each.blob)])

    @property
    def outlines(self) -> tuple[Box, ...]:
        """Where parts are in the latest look."""
        return tuple(self._box(each.blob) for each in self._sightings.current if each.travels and not each.unseen)

    @property
    def speed_px_s(self) -> float:
        """The usual speed, in pixels of the full picture."""
        return self._pace.usual * self.sight.factor

    @property
    def travelled_px(self) -> float:
        """How far the belt has come since the first look, in pixels of the full picture."""
        return self._unrolled.position * COARSE * self.sight.factor

    def update(self, moment: Moment) -> list[Part]:
        """Take one look; give the parts that are settled by it."""
        evidence, planes = self._empty.evidence(moment.look, self._unrolled.evidence)
        for rows in self._left:
            evidence[rows] = 0
        profile = profiles(planes) - self._empty.profile
        self._memory.see(profile)
        passed_s = moment.at_s - self._path.last_s if self._path else 0.0
        self._move(self._pace.step(profile, passed_s, self._asked) / COARSE)
        height, width = self._unrolled.claimed.shape
        self._unrolled.see(np.asarray(cv2.resize(evidence, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
        is_sure = self.passing.brings and self._pace.doubt < SURE and self._unrolled.behind < PROVEN
        if is_sure or self._sure_s is None:
            self._sure_s = moment.at_s
        self._path.add(moment.at_s, self._unrolled.position)
        if moment.before:
            self._came += max(0.0, self._steps[-1])
        for at_s, image in moment.before:
            self._gallery.add(at_s, self._path.at(at_s), image)
        if moment.image is not None:
            self._gallery.add(moment.at_s, self._unrolled.position, moment.image)
        self._empty.learn(self._busy, self._unrolled.position * COARSE)
        parts = self._search() if self._is_due() else []
        self.lapses = self._coverage.passed(self._unrolled.position, self._when) + self._unsure(moment.at_s)
        return parts

    def _asked(self) -> Inquiry:
        return self._memory.inquiry(self._sightings.current, self._unrolled.position)

    def _unsure(self, at_s: float) -> list[Lapse]:
        """Told when it is over, or has lasted long: for a while nobody knew how far the belt went."""
        if self._pace.guesses == 0:
            began_s, peak, self._unsure_s, self._guesses = self._unsure_s, self._guesses, at_s, 0
            return [Lapse(from_s=began_s, to_s=at_s, reason=UNMEASURED)] if peak >= UNSURE else []
        self._guesses = max(self._guesses, self._pace.guesses)
        if self._guesses < UNSURE or at_s - self._unsure_s < LONGEST_S:
            return []
        began_s, self._unsure_s = self._unsure_s, at_s
        return [Lapse(from_s=began_s, to_s=at_s, reason=UNMEASURED)]

    def _move(self, displacement: float) -> None:
        """Go on; where too few looks were taken for it, what passed may never have been seen before the gate."""
        before = self._unrolled.position
        self._steps.append(displacement)
        self._unrolled.move(displacement)
        if displacement > ONE_STEP * self._gate or sum(self._steps) > TWO_STEPS * self._gate:
            upstream = (1 - ONE_STEP) * self._gate
            self._coverage.doubt(FRAMES, self._gate - upstream - self._unrolled.position, self._gate - before)

    def finish(self) -> list[Part]:
        """No look comes any more: what has crossed the gate and was not settled yet."""
        parts = self._search()
        self.lapses = self._coverage.finish(self._unrolled.position, self._when)
        if self._guesses >= UNSURE:
            self.lapses.append(Lapse(from_s=self._unsure_s, to_s=self._path.last_s, reason=UNMEASURED))
        late = [each for each in self._sightings.current if each.travels and self.passing.is_past(each)]
        for each in late:
            self._sightings.drop(each)
        return parts + [self._handed_out(each) for each in late if self.passing.is_known(each)]

    def _is_due(self) -> bool:
        self._waited += 1
        if abs(self._unrolled.whole - self._searched_at) < STEP and self._waited < WAIT:
            return False
        self._searched_at, self._waited = self._unrolled.whole, 0
        return True

    def _search(self) -> list[Part]:
        gone = self._sightings.look(self.passing.usual, self._came)
        self._came = 0.0
        self._doubt_scenery()
        parts = self._faded(gone)
        for each in self._sightings.swallowed:
            if self.passing.is_coming(each):
                self._doubt(each)
        self._memory.refresh(self._unrolled.position)
        self._doubt_unsolved()
        return parts + self._settled()

    def _doubt_scenery(self) -> None:
        """What lies still before the gate may hide parts."""
        for each in self._sightings.current:
            self.passing.brings |= each.firm and each.entered and each.born_at > ENTRY
            lies_still = not each.travels and abs(self._unrolled.position - each.born_at) > 3 * PROVEN
            if lies_still and each.blob.left + self._unrolled.position <= self._gate:
                self._doubt(each)

    def _faded(self, gone: Sequence[Sighting]) -> list[Part]:
        """Parts that have gone out of sight on their way."""
        parts = []
        for each in gone:
            place = each.portrayed or each.blob  # a rest of it may have faded elsewhere
            if not self.passing.is_coming(each) or self._is_seen_otherwise(each, place):
                continue
            if each.whole_looks >= FIRM and each.entered:
                parts.append(self._part(place, (), VANISHED))
            else:
                self._doubt(each)
        return parts

    def _doubt_unsolved(self) -> None:
        """What stands out at the gate like a part, and is none that is followed."""
        for left, right in self._sightings.unsolved(LARGE_PATCH * (self.passing.usual.thickness or 2 * SLIM)):
            if 0 <= self._gate - self._unrolled.position - (left + right) / 2 < right - left:
                self._coverage.doubt(COVER, left, right)

    def _settled(self) -> list[Part]:
        """Parts that have passed the gate, foremost first."""
        parts = []
        for each in sorted(self._sightings.current, key=lambda each: -each.blob.center[0]):
            if each not in self._sightings.current:
                continue  # a piece of one that was settled just now
            if each.stuck:
                self._sightings.drop(each)
            elif self.passing.has_crossed(each):
                self._claim(each)
                if self.passing.is_credible(each):
                    parts.append(self._handed_out(each))
                else:
                    self._doubt(each)
            elif self.passing.has_slipped_by(each, self._path.first):
                self._claim(each)
                parts.append(self._part(each.blob, self._views(each), SLIPPED))
            else:
                self._memory.know(each, self._unrolled.position)
        return parts

    def _is_seen_otherwise(self, each: Sighting, place: Blob) -> bool:
        """Whether what has gone from its place was settled as another one, is followed as one, or was pushed across."""
        room = SLID * place.thickness
        for other in self._sightings.current:
            along, across = (abs(other.blob.center[i] - place.center[i]) for i in (0, 1))
            late = other.born_at - each.born_at > (LATE * place.thickness if other.entered else 0)
            pushed = late and across < FAR * place.thickness
            if along < room and (across < room or pushed):
                return True
        return self._unrolled.claimed_share(place) > PIECE

    def _claim(self, each: Sighting) -> None:
        """It is settled: whatever else is seen of it later is no other part."""
        self._unrolled.claim(each.blob)
        if each.outline is not None:
            self._unrolled.claim(each.outline)
        self._sightings.drop(each)
        self._memory.settle(each)
        for piece in self._sightings.current:
            if self._unrolled.claimed_share(piece.blob) > PIECE:
                self._sightings.drop(piece)

    def _doubt(self, each: Sighting) -> None:
        """What lies there is no part as far as is known, but large enough to hide one."""
        usual, blob = self.passing.usual, each.outline or each.blob  # what is left of a part may be small
        if blob.area >= LEAST_COVER * usual.area:
            room = usual.thickness / 2
            self._coverage.doubt(COVER, blob.left - room, blob.right + room)

    def _when(self, place: float) -> float:
        """About when a place on the belt was at the gate."""
        return self._path.when(self._gate - place)

    def _handed_out(self, each: Sighting) -> Part:
        views = self._views(each)
        unseen = UNSEEN if each.portrait is None else COVERED
        learn = (each.entered or not each.blob.beside) and not each.touched
        too_large = self._measure.take(each.blob, self.passing.usual, learn=learn)
        reason = (
            too_large
            or (GROWN if each.touched else "")
            or (CUT if self.passing.is_cut_off(each.blob) else "")
            or ("" if views else unseen)
        )
        for several in self._measure.hindsight():
            self._coverage.doubt(AS_ONE, several.left, several.right)
        if not reason and self._memory.is_gone(each, self._unrolled.position):
            reason = VANISHED
        own = each.portrayed if each.touched else None  # what it was before
        return self._part(own or each.blob, views, reason)

    def _busy(self) -> NDArray[np.uint8]:
        """Not 0 on and right beside everything that may be a part, in pixels of the look."""
        shown = cv2.threshold(self._unrolled.evidence, LITTLE / 2, 255, cv2.THRESH_BINARY)[1].astype(np.uint8)
        busy = cv2.dilate(cv2.max(shown, self._unrolled.claimed), np.ones((3, 3), np.uint8))
        for each in self._sightings.current:
            left, right = max(0, each.blob.left + self._unrolled.whole - 2), each.blob.right + self._unrolled.whole + 2
            if right > 0 and not each.stuck:
                busy[max(0, each.blob.top - 2) : each.blob.bottom + 2, left:right] = 255
        return self._large(np.asarray(busy, np.uint8))

    def _large(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(cv2.resize(mask, self.sight.size, interpolation=cv2.INTER_NEAREST), np.uint8)

    def _part(self, blob: Blob, views: tuple[View, ...], reason: str) -> Part:
        at_s, speed = self._crossing(blob)
        return Part(
            number=0,
            at_s=at_s,
            views=views,
            reason=reason,
            speed_px_s=speed * COARSE * self.sight.factor,
            ahead_px=max(0.0, self._gate - blob.center[0] - self._unrolled.position) * COARSE * self.sight.factor,
            center_px=self._box(blob).center_px,
        )

    def _crossing(self, blob: Blob) -> tuple[float, float]:
        """When the centre crossed the gate, between two looks, and how fast the belt ran around then."""
        crossed = self._path.crossed(self._gate - blob.center[0])
        return crossed or (self._path.last_s, self._pace.usual / COARSE)

    def _views(self, each: Sighting) -> tuple[View, ...]:
        return self._gallery.views(each, self._config.views, self._config.margin)

    def _box(self, blob: Blob) -> Box:
        return self._gallery.box(blob, self._unrolled.position)
