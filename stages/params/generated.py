"""Section `generated` of a data set: the labelled images that its diffusion model draws."""

from typing import Annotated

from pydantic import Field

from pag.base.errors import InputError
from stages.params.diffusion import DiffusionParams
from stages.params.section import Count, NonNegative, Section

__all__ = ["GeneratedParams", "require_all_timesteps"]


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


def require_all_timesteps(where: str, diffusion: DiffusionParams) -> None:
    """Images are drawn through all of the noise's levels.

    Raises:
        InputError: the diffusion model is trained at some timesteps alone; `where` is the data set's file.
    """
    if diffusion.train_at != "all":
        raise InputError(f"{where}: diffusion.train_at is not all, and a model of some timesteps cannot draw images.")
