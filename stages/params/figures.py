"""Section `figures` of a data set: what is drawn of it."""

from typing import Annotated

from pydantic import Field

from stages.params.section import Count, Index, Section

__all__ = ["FiguresParams"]


class FiguresParams(Section):
    """Of how many training images target gradients are drawn (figure 7), and at which timesteps (figure 8)."""

    images: Count
    timesteps: Annotated[list[Index], Field(min_length=1)]
