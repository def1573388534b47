"""What people and monitoring see of the station: a board that the line writes on, and a server that reads it."""

from edge.page.board import About, StatusBoard
from edge.page.server import AddressError, PageServer, open_server

__all__ = ["About", "AddressError", "PageServer", "StatusBoard", "open_server"]
