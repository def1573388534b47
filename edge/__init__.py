"""Linegate on the line device: frames in, exactly one verdict per part out.

`docs/architecture.md` names the rooms and who may import whom.
"""

__version__ = "0.1.0"
