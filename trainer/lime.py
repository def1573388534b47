"""LIME (Ribeiro and others, 2016): which regions of a picture spoke for a defect, learned by leaving some of them out.

The picture is cut into regions of like brightness; many copies with random regions painted over are shown to the model;
a ridge regression of its answers on what was left in gives each region its weight. Slow, and it points less well than
the network's own map (the report says how much); it is here because it asks nothing of the model but answers.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.linear_model import Ridge

from trainer.augment import Image

Heat = NDArray[np.float32]

REGIONS, SAMPLES = 48, 240
WIDTH = 0.25
"""How fast a copy loses its say with what it lacks (cosine distance), the value of LIME's own image explainer."""


def lime(
    evidence: Callable[[Image], float], picture: Image, seed: int, regions: int = REGIONS, samples: int = SAMPLES
) -> Heat:
    """The weight of each place of a `(height, width, channels)` picture, `(height, width)`; positive: for a defect."""
    random = np.random.default_rng(seed)
    cut = superpixels(picture, regions)
    count = int(cut.max()) + 1
    painted = _painted_over(picture, cut, count)
    kept = random.random((samples, count)) < 0.5
    kept[0] = True
    answers = np.array([evidence(np.where(each[cut][:, :, None], picture, painted)) for each in kept])
    likeness = np.sqrt(kept.mean(axis=1))
    says = np.sqrt(np.exp(-((1 - likeness) ** 2) / WIDTH**2))
    weights = Ridge(alpha=1.0).fit(kept.astype(np.float64), answers, sample_weight=says).coef_
    return np.asarray(weights[cut], dtype=np.float32)


def superpixels(picture: Image, regions: int) -> NDArray[np.intp]:
    """About `regions` compact regions of like brightness: the number of its region for each place."""
    height, width = picture.shape[:2]
    # Few enough places for the clusters to be found quickly, in the picture's own proportions.
    scale = 64 / (height * width) ** 0.5
    rows, columns = max(8, round(height * scale)), max(8, round(width * scale))
    small = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns, -1)
    reach = (rows * columns / regions) ** 0.5
    down, across = np.mgrid[0:rows, 0:columns]
    features = np.dstack([down / reach, across / reach, small.astype(np.float64) / 40])
    high, wide = (max(1, round(side / reach)) for side in (rows, columns))
    middles = np.ix_(
        ((np.arange(high) + 0.5) * rows / high).astype(int), ((np.arange(wide) + 0.5) * columns / wide).astype(int)
    )
    first = features[middles].reshape(high * wide, -1)
    found = KMeans(high * wide, init=first, n_init=1, max_iter=8).fit_predict(features.reshape(rows * columns, -1))
    numbered = np.unique(found, return_inverse=True)[1].reshape(rows, columns).astype(np.uint8)
    return np.asarray(cv2.resize(numbered, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.intp)


def _painted_over(picture: Image, cut: NDArray[np.intp], count: int) -> Image:
    """Each region in the mean of its surroundings, so that what is in it is gone and nothing new is there."""
    smooth = cv2.blur(picture, (picture.shape[1] // 4, picture.shape[0] // 4)).reshape(picture.shape)
    flat = np.empty_like(picture)
    for region in range(count):
        inside = cut == region
        flat[inside] = np.rint(smooth[inside].mean(axis=0)).astype(np.uint8)
    return flat
