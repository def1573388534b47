"""The one exception that is meant for people."""

from __future__ import annotations


class Refused(Exception):
    """Work that cannot be done as asked: one line that says what, where and what to do."""


class BadRecipe(Refused):
    """All mistakes found in one recipe, one line each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes
