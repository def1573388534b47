"""Features of a picture that know nothing of defects: brightness, contrast, sharpness, size. Which tell on it?"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.measure import auroc

Floats = NDArray[np.float64]

FEATURES = (
    *("brightness", "contrast", "sharpness", "darkest", "brightest", "dark_share", "clipped_share", "entropy"),
    *("noise", "colour", "border_brightness", "width_px", "height_px", "file_bytes"),
)
RED = 0.7
WORKING_PX = 256


def measure(image: NDArray[np.uint8], file_bytes: int) -> dict[str, float]:
    """All `FEATURES` of a BGR picture; sizes are the file's own, everything else is taken at 256 px at most."""
    height, width = image.shape[:2]
    factor = min(1.0, WORKING_PX / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image
    gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    darkest, brightest = np.percentile(gray, [1, 99])
    share = np.bincount(gray.ravel(), minlength=256) / gray.size
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    fine = gray.astype(np.float32) - cv2.medianBlur(gray, 3)
    return {
        "brightness": float(gray.mean()),
        "contrast": float(gray.std()),
        "sharpness": float(cv2.Laplacian(gray, cv2.CV_64F).var()),
        "darkest": float(darkest),
        "brightest": float(brightest),
        "dark_share": float(share[:50].sum()),
        "clipped_share": float(share[0] + share[255]),
        "entropy": float(-(share[share > 0] * np.log2(share[share > 0])).sum()),
        "noise": float(np.median(np.abs(fine[fine != 0]))) if np.any(fine) else 0.0,
        "colour": float(np.ptp(small.astype(np.int16), axis=2).mean()),
        "border_brightness": float(border.mean()),
        "width_px": float(width),
        "height_px": float(height),
        "file_bytes": float(file_bytes),
    }


def telling(values: Floats, defective: NDArray[np.bool_]) -> dict[str, Any]:
    """How well one feature alone tells defective from good, either way round; counted as they are given."""
    area = auroc(values, defective)
    if area is None:
        return {"auroc": None, "higher_when": None, "red": False}
    either = max(area, 1 - area)
    higher = "defective" if area >= 0.5 else "good"
    return {"auroc": round(either, 4), "higher_when": higher, "red": either > RED}
