"""How one model takes the place of another: fetched, held against everything known, placed, watched, taken back."""

from edge.changeover.flash import Flasher
from edge.changeover.history import History

__all__ = ["Flasher", "History"]
