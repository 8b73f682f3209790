"""Section `figures` of a data set: what is drawn of it."""

from typing import Annotated

from pydantic import Field

from stages.params.section import Count, Index, Section

__all__ = ["FiguresParams"]


class FiguresParams(Section):
    """What is drawn of target gradients."""

    images: Count
    """Training images whose target gradients are drawn (figure 7)."""
    timesteps: Annotated[list[Index], Field(min_length=1)]
    """At which their score-based gradients are drawn (figure 8)."""
