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
from edge.bundle.preprocess import even, laid, laid_with, prepare, readable_image
from edge.bundle.ring import Ring, Unregistered
from edge.bundle.shelf import Shelf
from edge.bundle.signature import Signer, Trust
from edge.bundle.template import Template
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
    "Template",
    "Trust",
    "Unregistered",
    "bundle_below",
    "digest",
    "even",
    "is_older",
    "laid",
    "laid_with",
    "prepare",
    "readable_image",
    "unpack",
]
