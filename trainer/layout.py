"""How registered parts lie in the pictures that are kept of them: unrolled around, or flat on a template.

What a flaw is told by, where one may be moved to and how far a fit may stray differ between the two; all else does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec, Ring, Template, even, ring, template

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

NEAR_PX = 3
"""How far from its own place a flaw may be moved on a part that lies on a template."""
STRAYS_DEG, STRAYS_PX, STRAYS_SCALE = 1.0, 0.8, 0.008
"""How far a fit onto a template may be off, turned, moved or stretched, while training: more than it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way of lying."""

    spec: InputSpec

    @classmethod
    def of(cls, spec: InputSpec) -> Layout | None:
        """None for parts that are not registered, or not in gray."""
        return cls(spec=spec) if spec.registration is not None and spec.channels == 1 else None

    @property
    def wraps(self) -> bool:
        """Whether the right end goes on at the left one."""
        return isinstance(self.spec.registration, Ring)

    def seen(self, laid: Image) -> Image:
        """A laid part `(height, width, channels)` as the network is shown it."""
        shown = even(laid[:, :, 0] if laid.shape[2] == 1 else laid, self.spec)
        return shown[:, :, None] if shown.ndim == 2 else shown

    def difference(self, laid: Image) -> Floats:
        """How much each place of a gray laid part differs from what it should look like, in relative brightness."""
        if isinstance(self.spec.registration, Template):
            return template.relative(laid, self.spec.registration)
        return ring.relative(laid)[:, ring.WRAP_PX : -ring.WRAP_PX]

    def padded(self, field: Floats, reach: int) -> Floats:
        """A field with what lies beside its ends."""
        how = cv2.BORDER_WRAP if self.wraps else cv2.BORDER_REPLICATE
        return np.asarray(cv2.copyMakeBorder(field, 0, 0, reach, reach, how), dtype=np.float32)

    def around(self, mask: Floats) -> Floats:
        """A mask on a laid part, as wide as what the network is shown."""
        return self.padded(mask, ring.WRAP_PX) if self.wraps else mask

    def turn(self, left: int, reach: int, width: int, random: np.random.Generator) -> int:
        """How many columns a patch of `reach` columns that begins at `left` may be moved by."""
        if self.wraps:
            return int(random.integers(width))
        return int(np.clip(random.integers(-NEAR_PX, NEAR_PX + 1), -left, width - left - reach))

    def turns(self, width: int, random: np.random.Generator) -> NDArray[np.int64]:
        """All places in the same part that are made alike: around it in any order, or none but its own."""
        return random.permutation(width) if self.wraps else np.zeros(1, dtype=np.int64)

    def strayed(
        self, laid: Image, random: np.random.Generator, mask: Floats | None = None
    ) -> tuple[Image, Floats | None]:
        """A part on a template, and where its flaws are, as far off as a fit may leave it."""
        height, width = laid.shape[:2]
        angle, scale = random.uniform(-STRAYS_DEG, STRAYS_DEG), 1 + random.uniform(-STRAYS_SCALE, STRAYS_SCALE)
        pose = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
        pose[:, 2] += random.uniform(-STRAYS_PX, STRAYS_PX, 2)

        def carried(field: NDArray[np.generic]) -> NDArray[np.generic]:
            return cv2.warpAffine(field, pose, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

        known = None if mask is None else np.asarray(carried(mask), dtype=np.float32)
        return np.asarray(carried(laid), dtype=np.uint8), known
