"""Does this model fit this line? What can be said without running it: version, labels, input, keys."""

from __future__ import annotations

from edge.bundle import Bundle, BundleError, Ring, Shelf, is_older
from edge.config import ClipSource, Config, PicameraSource


def check_version(bundle: Bundle, shelf: Shelf) -> None:
    """Refuse what is older than the model of that name which stands here, or as old with other content."""
    manifest = bundle.manifest
    for there in _namesakes(bundle, shelf):
        version = there.manifest.version
        if there.sha256 == bundle.sha256:
            continue
        if version == manifest.version:
            raise BundleError(
                f"{bundle.folder}: is version {version} like {there.slot}, with other content; give it a higher version"
                " in its recipe, or insist with --allow-downgrade"
            )
        if is_older(manifest.version, version):
            raise BundleError(
                f"{bundle.folder}: is version {manifest.version}, older than {version} of {there.slot};"
                " insist with --allow-downgrade"
            )


def _namesakes(bundle: Bundle, shelf: Shelf) -> list[Bundle]:
    """The live model when it has this name, else all of this name: after a rollback, something newer may stand by."""
    live = shelf.linked("current")
    found = []
    for slot in shelf.slots():
        try:
            there = Bundle.open(slot)
        except BundleError:
            continue
        if there.manifest.name == bundle.manifest.name:
            found.append(there)
    return [each for each in found if each.folder == live] or found


def check_labels(bundle: Bundle, allowed: str) -> None:
    """Refuse labels that the configuration does not know; `allowed` has commas between, empty means any."""
    known = {each.strip() for each in allowed.split(",") if each.strip()}
    strange = [label for label in bundle.manifest.labels if label not in known]
    if known and strange:
        raise BundleError(
            f"{bundle.folder}: has labels that model.labels does not name: {', '.join(strange)};"
            " teach them to the PLC, then name them there"
        )


def check_input(bundle: Bundle, config: Config) -> None:
    """Refuse an input that the configured camera cannot fill."""
    source, spec = config.source.chosen, bundle.manifest.input
    if isinstance(source, ClipSource):
        return
    if isinstance(source, PicameraSource) and spec.channels == 3 and not source.color:
        raise BundleError(f"{bundle.folder}: wants colour, the camera gives gray; set source.picamera.color: true")
    left, top, right, bottom = config.tracking.region
    crop_px = min((right - left) * source.width_px, (bottom - top) * source.height_px)
    if not isinstance(spec.registration, Ring) and max(spec.width, spec.height) > crop_px:
        raise BundleError(
            f"{bundle.folder}: wants {spec.width}x{spec.height} px, crops of this camera have at most {crop_px:.0f} px;"
            " train it for smaller pictures"
        )


def trial_budget_ms(config: Config) -> float:
    """How long an answer may take in the trial, on the CPU: any time where an Edge TPU will judge in its place."""
    return budget_ms(config) if config.model.delegate == "none" else 0.0


def budget_ms(config: Config) -> float:
    """How long one answer may take: as configured, or the time of one frame."""
    if config.model.budget_ms:
        return config.model.budget_ms
    return 1000 / config.source.chosen.fps
