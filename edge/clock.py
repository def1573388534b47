"""Whether the wall clock can be trusted: the kernel knows if anything keeps it right (adjtimex(2))."""

from __future__ import annotations

import ctypes

TIME_ERROR = 5
TIMEX_BYTES = 512
"""More than any kernel's `struct timex`; all zeros means "read, change nothing"."""


def is_synchronized() -> bool:
    """True while NTP or another source disciplines the clock; False when nobody says so."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return False
    state = adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return bool(0 <= state < TIME_ERROR)
