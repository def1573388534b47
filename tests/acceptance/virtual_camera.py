"""A camera for picamera2 that shows our pictures: libcamera's virtual pipeline and what picamera2 misses around it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import MagicMock

import cv2
import numpy as np

from edge.domain import Image

CONFIG = Path("/usr/share/libcamera/pipeline/virtual/virtual.yaml")
SIZES = ((320, 240), (640, 480))
PERIOD_S = 1 / 30
RIG = """\
"Virtual0":
  supported_formats: [{sizes}]
  frames: {{path: "{folder}/"}}
  model: "Pictures"
"""

# For a display and for raw files, which nobody asks for here; picamera2 imports them all the same.
for unused in ("kms", "pidng", "pidng.camdefs", "pidng.core"):
    sys.modules[unused] = MagicMock()


def feed(folder: Path, count: int) -> list[Image]:
    """Write pictures where the virtual camera finds them, and give them as they read back from their files, BGR."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = SIZES[0]
    rng = np.random.default_rng(7)
    for number in range(count):
        picture = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 12)
        picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        cv2.circle(picture, (40 + 50 * number, 120), 30, (250, 250, 250), -1)
        cv2.circle(picture, (40 + 50 * number, 60), 20, (3, 3, 3), -1)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    sizes = ", ".join(f"{{width: {width}, height: {height}, frame_rates: [30, 60]}}" for width, height in SIZES)
    CONFIG.parent.mkdir(parents=True, exist_ok=True)
    CONFIG.write_text(RIG.format(sizes=sizes, folder=folder), encoding="ascii")
    return [np.asarray(cv2.imread(str(folder / f"{number}.jpg")), dtype=np.uint8) for number in range(count)]


def install() -> Any:
    """Make `picamera2.Picamera2` work with a camera that has no raw modes, in memory that every machine has."""
    import libcamera
    import picamera2
    from picamera2.allocators import DmaAllocator
    from picamera2.allocators.allocator import Sync
    from picamera2.dma_heap import UniqueFD

    class MemoryFiles(DmaAllocator):
        """Buffers in memory files: libcamera maps them like a dma-buf, which few build machines have.

        Each has two planes, for the virtual pipeline writes to the second, where picamera2 would allocate one.
        """

        def __init__(self) -> None:
            super().__init__()
            self.sync = Mapped
            self.dmaHeap.alloc = lambda name, size: memory_file(name, size)

        def allocate(self, libcamera_config: Any, use_case: Any) -> None:
            super().allocate(libcamera_config, use_case)
            for config in libcamera_config:
                self.frame_buffers[config.stream] = [
                    self._split(whole, config.stride * config.size.height)
                    for whole in self.frame_buffers[config.stream]
                ]

        def _split(self, whole: Any, luma_bytes: int) -> Any:
            luma, chroma = whole.planes[0], libcamera.FrameBuffer.Plane()
            chroma.fd, chroma.offset, chroma.length = luma.fd, luma_bytes, luma.length - luma_bytes
            luma.length = luma_bytes
            buffer = libcamera.FrameBuffer([luma, chroma])
            self.mapped_buffers[buffer] = self.mapped_buffers.pop(whole)
            return buffer

    class Mapped(Sync):
        """The buffer's memory; a memory file has no caches to make agree."""

        def __init__(self, allocator: Any, buffer: Any, write: bool) -> None:
            self._memory = allocator.mapped_buffers[buffer]

        def __enter__(self) -> Any:
            return self._memory

        def __exit__(self, *error: object) -> None:
            return

    def memory_file(name: str, size: int) -> Any:
        handle = os.memfd_create(name)
        os.ftruncate(handle, size)
        return UniqueFD(handle)

    class VirtualPicamera2(picamera2.Picamera2):
        latest: ClassVar[Any] = None
        silent = False

        def __init__(self, index: int) -> None:
            super().__init__(index, allocator=MemoryFiles())
            VirtualPicamera2.latest = self

        def _get_raw_modes(self) -> list[dict[str, Any]]:
            return [{"format": "SBGGR8", "size": SIZES[-1]}]

        def process_requests(self, display: Any) -> None:
            """At a camera's pace, for the virtual pipeline has none; and not at all while it is to be silent."""
            time.sleep(PERIOD_S)
            if not self.silent:
                super().process_requests(display)

    picamera2.Picamera2 = VirtualPicamera2
    return VirtualPicamera2
