"""Section `generated` of a data set: the labelled images that its diffusion model draws."""

from typing import Annotated

from pydantic import Field

from stages.params.section import Count, NonNegative, Section

__all__ = ["GeneratedParams"]


class GeneratedParams(Section):
    """How many of each class; by how many steps of DDIM, with what η and guidance weight w (`pag.diffusion.generation`)."""

    per_class: Count
    steps: Annotated[int, Field(ge=2, le=10**6)]
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    guidance: NonNegative = 0.0
