"""What is raised for an input that can never work."""


class SourceError(Exception):
    """The source cannot be opened at all; the message says in one line what, where and what to do."""
