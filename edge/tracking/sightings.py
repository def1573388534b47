"""Who is on the way: every patch on the unrolled belt, whether it travels, and whether it stayed or went."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.domain import Image
from edge.tracking.blobs import CRUMB, LUMP, Blob, Group, Usual, filled, groups
from edge.tracking.cutting import split
from edge.tracking.unrolled import Unrolled
from edge.tracking.witnesses import Witness

PROVEN = 6.0
"""So many pixels must the belt have moved under a patch before it can be told from the scenery."""
ENTRY = 3
"""So near to where the belt comes in has a part just come in."""
BEGINNING = 4
"""What is seen in so many searches at first was there before."""
LOOSE, SLIPS, STANDS = 2.0, 0.15, 0.7
"""A part stays on its spot of the belt but for so many pixels and this share of the way; what slides by more than the
last share stands still, or goes its own way."""
STUCK = 0.35
"""A patch that stood still while the belt moved by this share of the picture is scenery."""
FEWEST_LOOKS = 3
LOOKED_AGAIN = (2, 6, 14, 30, 62)
"""A patch that seems unchanged is cut into parts anew after so many searches, for its evidence ripens."""
NEIGHBOURS = tuple((along, across) for along in (0, -1, 1) for across in (0, -1, 1))
CLAIMED = 0.4
"""What lies on parts that were handed out with more than this share of it is one of those."""
SCRAP = 0.7
"""So much of the smallest part may a patch show beside what was handed out, and is still not worth cutting."""
ABOUT = 0.25
"""What differs from the usual part by less than this share of its area is one."""
WITHIN = 0.8
"""What was seen of a part before lies in its outline by this share."""
NEIGHBOURLY = 0.25
"""Parts that touch or overlap share no more than this of their upright boxes."""
PATIENCE = 6
"""Looks for which a part may be out of sight before it counts as gone."""


FRESH = 3
"""What has gone so many times as far, and is still not seen to travel, is unusual."""
FIRM = 5
"""A part that was seen so often, entirely in the picture, is there: what looks different now lies over it."""
GROWS = 1.2
"""What has grown by more than this factor since it was known to be a part has something added to it."""
STEADY = 3
"""Edges that move by no more than so many pixels stay where they are."""


@dataclass(slots=True, kw_only=True, eq=False)
class Sighting:
    """One patch that may be a part; its blob is in belt coordinates."""

    blob: Blob
    first_place: float
    """Centre in the picture when it was first seen."""
    since: float
    """Belt position when it was first seen at its present edges."""
    front: float
    """Belt coordinate of its front edge then (of its back edge when the front was out of the picture)."""
    by_front: bool
    born_at: float
    """Belt position when it was first seen."""
    looked_at: float
    """Belt position at the latest look."""
    looks: int = 1
    whole_looks: int = 0
    """In so many of them it was entirely in the picture."""
    unseen: int = 0
    entered: bool = False
    """Whether it was there from the beginning or came in where the belt comes in."""
    outline: Blob | None = None
    """How it was seen last when it was as large as a part; later looks may show only a piece of it."""
    witness: Witness | None = None
    """What it looked like along the belt when it was known to be a part."""
    portrait: Image | None = None
    """What it looked like when it was known to be a part."""
    portrayed: Blob | None = None
    """Its outline then."""
    travels: bool = False
    rides: bool = False
    """Whether what the picture shows there goes with the belt, not only its outline; asked of what did not come in."""
    stuck: bool = False
    change: Change | None = None
    """Something else seems to be here since then; not believed before it is known to lie on the belt."""

    @property
    def firm(self) -> bool:
        """Whether it was looked at so often that one look cannot unmake it."""
        return self.travels and self.whole_looks >= FIRM

    @property
    def touched(self) -> bool:
        """Whether something that reaches in from a side has become one with it since it was known to be a part."""
        return self.blob.beside and self.portrayed is not None and self.blob.area > GROWS * self.portrayed.area

    def edge_of(self, blob: Blob) -> int:
        """The edge by which it is followed."""
        return blob.right if self.by_front else blob.left


@dataclass(slots=True, kw_only=True)
class Change:
    """What was found in the place of a firm sighting: where its edges were, and where the belt was then."""

    edges: tuple[int, int]
    since: float


@dataclass(slots=True, kw_only=True)
class _Known:
    rectangle: tuple[int, int, int, int]
    whole: int
    sightings: list[Sighting]
    age: int = 0


@dataclass(slots=True)
class Sightings:
    """Keeps sightings from look to look; unchanged patches are not looked at again."""

    unrolled: Unrolled
    current: list[Sighting] = field(default_factory=list)
    swallowed: list[Sighting] = field(default_factory=list)
    """Firm ones that the latest look showed only as part of what reaches in from a side."""
    _known: list[_Known] = field(default_factory=list)
    _searches: int = 0
    _came: float = 0.0

    def look(self, usual: Usual, came: float = 0.0) -> list[Sighting]:
        """Bring everything up to date; gives the sightings that have gone for good.

        `came`: so much belt came in while frames were passed over.
        """
        self._searches += 1
        self._came = came
        whole = self.unrolled.whole
        kept, changed, ages = self._compared(groups(self.unrolled.evidence, usual))
        same = {id(each) for known in kept for each in known.sightings}
        old = [each for each in self.current if id(each) not in same]
        found = [(group, self._fresh(group, usual)) for group in changed]
        partners = _partners([blob for _, blobs in found for blob in blobs], old, usual)
        for group, blobs in found:
            taken = [self._continued(blob, usual, old, partners) for blob in blobs]
            kept.append(_Known(rectangle=group.rectangle, whole=whole, sightings=taken, age=ages.get(id(group), 0)))
        self._known = kept
        seen = list({id(each): each for known in kept for each in known.sightings}.values())
        for each in seen:
            self._judge(each)
            if usual.settled and abs(each.blob.area - usual.area) < ABOUT * usual.area:
                each.outline = each.blob
            each.looked_at = self.unrolled.position
        there = {id(each) for each in seen}
        return self._missed([each for each in old if id(each) not in there], seen, usual)

    @property
    def are_plain(self) -> bool:
        """Whether all that was seen of late came in with the belt, goes with it, and is still where it was."""
        return not self.swallowed and all(self._is_plain(each) for each in self.current)

    def _is_plain(self, each: Sighting) -> bool:
        fresh = abs(self.unrolled.position - each.born_at) < FRESH * PROVEN and not each.blob.beside
        there = not each.unseen and each.change is None and not each.touched
        return there and each.entered and (each.travels or fresh) and not each.blob.several

    def drop(self, sighting: Sighting) -> None:
        """Forget a sighting that has been handed out or turned out to be scenery."""
        self.current = [each for each in self.current if each is not sighting]
        for known in self._known:
            known.sightings = [each for each in known.sightings if each is not sighting]

    def unsolved(self, least: float) -> list[tuple[int, int]]:
        """Patches at least so large either way that hold no part, as far as is known: from where to where they lie."""
        found = []
        for known in self._known:
            left, top, right, bottom = known.rectangle
            if not known.sightings and min(right - left, bottom - top) >= least:
                step = self.unrolled.whole - known.whole
                if not self.unrolled.claimed[top:bottom, max(0, left + step) : max(0, right + step)].any():
                    found.append((left - known.whole, right - known.whole))
        return found

    def _fresh(self, group: Group, usual: Usual) -> list[Blob]:
        """The parts in a patch that have not been handed out, in belt coordinates."""
        # Cutting is costly, and most patches beyond the gate are wholly claimed: what is left of those is no part.
        inside = filled(group)
        if self.unrolled.is_claimed(group, inside, SCRAP * (1 - CLAIMED) * CRUMB * usual.area):
            return []
        blobs = [blob.moved(-self.unrolled.whole) for blob in split(group, inside, self.unrolled.evidence, usual)]
        return [blob for blob in blobs if self.unrolled.claimed_share(blob) < CLAIMED]

    def _compared(self, found: list[Group]) -> tuple[list[_Known], list[Group], dict[int, int]]:
        """Patches that look as they did, and those that do not."""
        by_place: dict[tuple[int, int], _Known] = {}
        for each in self._known:
            by_place[each.rectangle[0] + self.unrolled.whole - each.whole, each.rectangle[1]] = each
        kept: list[_Known] = []
        changed: list[Group] = []
        ages: dict[int, int] = {}
        for group in found:
            known = self._same(by_place, group)
            if known is None or known.age in LOOKED_AGAIN:
                changed.append(group)
                ages[id(group)] = known.age + 1 if known else 0
            else:
                kept.append(known)
                known.age += 1
                for sighting in known.sightings:
                    sighting.looks += 1
                    sighting.whole_looks += self._is_whole(sighting.blob)
        return kept, changed, ages

    def _same(self, by_place: dict[tuple[int, int], _Known], group: Group) -> _Known | None:
        left, top, right, bottom = group.rectangle
        if left <= 0 or right >= self.unrolled.evidence.shape[1]:
            return None
        for key in NEIGHBOURS:
            known = by_place.get((left + key[0], top + key[1]))
            if known is not None:
                was_right = known.rectangle[2] + self.unrolled.whole - known.whole
                if abs(right - was_right) <= 1 and abs(bottom - known.rectangle[3]) <= 1:
                    return known
        return None

    def _continued(self, blob: Blob, usual: Usual, old: list[Sighting], partners: dict[int, Sighting]) -> Sighting:
        """The sighting that this blob is the next look at, or a new one that inherits from what was there."""
        partner = partners.get(id(blob))
        if partner is not None:
            self._follow(partner, blob)
            return partner
        place = blob.center[0] + self.unrolled.whole
        best = max(old, key=lambda each: _shared(each.blob, blob), default=None)
        if best is None or _shared(best.blob, blob) == 0:
            return self._new(blob, place)
        is_taken = any(each is best for each in partners.values())
        if _is_firm(best, usual) and not is_taken and not self._is_settled(best, blob):
            best.unseen = 0
            return best
        child = self._new(blob, place)
        shared = _shared(best.blob, blob)
        grown = usual.settled and abs(blob.area - usual.area) < ABOUT * usual.area and shared > WITHIN
        piece = shared >= 0.5 and best.blob.area >= 0.9 * blob.area
        if not (grown or piece) or (blob.beside and not best.blob.beside):
            return child  # next to it or over it, not a piece of it: nothing is known of this one
        if best.touched and best.portrayed is not None:
            if _shared(best.portrayed, blob) < 0.5:
                return child  # a piece of what touched it
            child.portrait, child.portrayed = best.portrait, best.portrayed
        child.first_place, child.looks, child.travels = min(best.first_place, place), best.looks + 1, best.travels
        child.entered |= best.entered
        child.outline = best.outline
        return child

    def _follow(self, each: Sighting, blob: Blob) -> None:
        """Take the new outline; when it leapt, because it was cut in another way, its edge is watched from there."""
        leapt = abs(each.edge_of(blob) - each.edge_of(each.blob))
        if leapt > abs(self.unrolled.position - each.looked_at) + STEADY:
            each.since, each.front = self.unrolled.position, float(each.edge_of(blob))
        each.blob = blob
        each.looks, each.unseen, each.change = each.looks + 1, 0, None
        each.whole_looks += self._is_whole(blob)

    def _is_whole(self, blob: Blob) -> bool:
        """Whether it lies entirely in the picture but for the way out: an arm always comes from a side."""
        rows = self.unrolled.evidence.shape[0]
        return blob.left + self.unrolled.whole >= 1 and blob.top > 0 and blob.bottom < rows

    def _is_settled(self, firm: Sighting, blob: Blob) -> bool:
        """Whether what was found instead of a firm sighting lies on the belt: a part that grew, or came apart."""
        edges = blob.left, blob.right
        if firm.change is None or max(abs(a - b) for a, b in zip(edges, firm.change.edges, strict=True)) > STEADY:
            firm.change = Change(edges=edges, since=self.unrolled.position)
        return abs(self.unrolled.position - firm.change.since) > PROVEN

    def _new(self, blob: Blob, place: float) -> Sighting:
        by_front = blob.right + self.unrolled.whole < self.unrolled.evidence.shape[1]
        edge = blob.right if by_front else blob.left
        was_there = self.unrolled.position < ENTRY and self._searches <= BEGINNING
        entered = blob.left + self.unrolled.whole <= ENTRY + self._came or was_there
        return Sighting(
            blob=blob,
            first_place=place,
            since=self.unrolled.position,
            front=float(edge),
            by_front=by_front,
            born_at=self.unrolled.position,
            looked_at=self.unrolled.position,
            entered=entered,
        )

    def _judge(self, each: Sighting) -> None:
        """Whether its edge stayed at the same spot of the belt (a part) or of the picture (scenery)."""
        travelled = self.unrolled.position - each.since
        if abs(travelled) < PROVEN:
            return
        if each.by_front and each.blob.right + self.unrolled.whole >= self.unrolled.evidence.shape[1]:
            return
        edge = each.edge_of(each.blob)
        slid = (each.front - edge) / travelled
        each.travels = abs(each.front - edge) < LOOSE + SLIPS * abs(travelled)
        if each.travels:
            if abs(travelled) > 2 * PROVEN:
                each.since, each.front = self.unrolled.position, float(edge)
        elif abs(slid) > STANDS:
            each.stuck = slid < 2 - STANDS and abs(travelled) > STUCK * self.unrolled.evidence.shape[1]

    def _missed(self, missing: list[Sighting], seen: list[Sighting], usual: Usual) -> list[Sighting]:
        gone: list[Sighting] = []
        self.swallowed = []
        waiting: list[Sighting] = []
        along = self.unrolled.evidence.shape[1]
        for each in missing:
            if each.blob.left + self.unrolled.whole >= along or each.blob.right + self.unrolled.whole <= 0:
                continue
            if self.unrolled.covered(each.blob) >= 0.4:
                firm = _is_firm(each, usual)  # what lies there now, but does not go with the belt, lies over it
                instead = [other for other in seen if _shared(each.blob, other.blob) > 0.3]
                if not any(other.travels or not firm for other in instead):
                    waiting.append(each)
                elif firm and any(other.blob.beside for other in instead):
                    self.swallowed.append(each)
                continue
            each.unseen += 1
            (gone if each.unseen > PATIENCE else waiting).append(each)
        self.current = seen + waiting
        return gone


def _is_firm(each: Sighting, usual: Usual) -> bool:
    """Whether it is known to be one part, so that what looks different must show that it lies there instead."""
    return each.firm and usual.settled and (1 - 2 * ABOUT) * usual.area < each.blob.area < LUMP * usual.area


def _partners(blobs: list[Blob], old: list[Sighting], usual: Usual) -> dict[int, Sighting]:
    """For each blob, by its id, the sighting that it is the next look at: about as large, and in the same place.

    The best match is taken first; neighbours that barely overlap do not take each other's place.
    """
    pairs = []
    for each in old:
        most = 0.25 if _is_firm(each, usual) else 0.5
        for blob in blobs:
            alike = abs(each.blob.area - blob.area) < most * max(each.blob.area, blob.area)
            if alike and (shared := _shared(each.blob, blob)) > NEIGHBOURLY:
                pairs.append((shared, each, blob))
    partners: dict[int, Sighting] = {}
    taken: set[int] = set()
    for _, each, blob in sorted(pairs, key=lambda pair: -pair[0]):
        if id(blob) not in partners and id(each) not in taken:
            partners[id(blob)] = each
            taken.add(id(each))
    return partners


def _shared(one: Blob, other: Blob) -> float:
    """Overlap of two upright boxes over the smaller of them."""
    along = min(one.right, other.right) - max(one.left, other.left)
    across = min(one.bottom, other.bottom) - max(one.top, other.top)
    if along <= 0 or across <= 0:
        return 0.0
    smaller = min(
        (one.right - one.left) * (one.bottom - one.top), (other.right - other.left) * (other.bottom - other.top)
    )
    return along * across / max(1, smaller)
