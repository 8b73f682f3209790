"""Section `generated` of a data set: the labelled images that its diffusion model draws."""

from typing import Annotated

from pydantic import Field

from stages.params.section import Count, NonNegative, Section

__all__ = ["GeneratedParams"]


class GeneratedParams(Section):
    """How images are drawn (`pag.diffusion.generation`)."""

    per_class: Count
    """Images that are drawn of each class."""
    steps: Annotated[int, Field(ge=2, le=10**6)]
    """Of DDIM."""
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """0 draws no noise on the way, 1 as much as ancestral sampling."""
    guidance: NonNegative = 0.0
    """w of classifier-free guidance; 0 samples p(x | y) as the model has it."""
