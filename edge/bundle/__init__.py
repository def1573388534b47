"""What a model brings along: manifest, preprocessing, golden answers, and the shelf it stands on.

The only room the trainer may enter; it needs numpy and OpenCV and nothing else of Linegate.
"""

from edge.bundle.manifest import (
    EDGETPU_FILE,
    Bundle,
    BundleError,
    Golden,
    InputSpec,
    LimitSpec,
    Manifest,
    OutputSpec,
    digest,
)
from edge.bundle.preprocess import laid, prepare, readable_image
from edge.bundle.ring import Ring, Unregistered
from edge.bundle.shelf import Shelf
from edge.bundle.signature import Signer, Trust
from edge.bundle.unpack import bundle_below, unpack
from edge.bundle.versions import is_older

__all__ = [
    "EDGETPU_FILE",
    "Bundle",
    "BundleError",
    "Golden",
    "InputSpec",
    "LimitSpec",
    "Manifest",
    "OutputSpec",
    "Ring",
    "Shelf",
    "Signer",
    "Trust",
    "Unregistered",
    "bundle_below",
    "digest",
    "is_older",
    "laid",
    "prepare",
    "readable_image",
    "unpack",
]
