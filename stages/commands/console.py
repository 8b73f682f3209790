"""Where commands print: the terminal, or what is no terminal, with room for a line."""

import sys

from rich.console import Console

__all__ = ["console"]

WIDTH = 160  # of what is not a terminal


def console() -> Console:
    """Standard output as it is now."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
