"""Where the belt is: by an encoder, by what the tracker saw, or by the clock alone; and a photo-eye as a witness."""

from edge.belt.clockwork import Clockwork
from edge.belt.encoder import EncoderBelt, SimulatedEncoder
from edge.belt.place import Belt, Place
from edge.belt.tracked import FollowedTracker, TrackedBelt
from edge.belt.witness import PhotoEye, Witness

__all__ = [
    "Belt",
    "Clockwork",
    "EncoderBelt",
    "FollowedTracker",
    "PhotoEye",
    "Place",
    "SimulatedEncoder",
    "TrackedBelt",
    "Witness",
]
