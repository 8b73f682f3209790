"""Sections `optimizer`: the optimisers of `pag.optimization`, with their schedules."""

from typing import Annotated, Literal

from pydantic import Field

from stages.params.section import Decay, Fraction, NonNegative, Positive, Section

__all__ = ["OptimizerParams"]


class AdamWParams(Section):
    name: Literal["adamw"]
    """`adamw`: its rate falls to 0 along a cosine."""
    lr: Positive
    """The highest learning rate."""
    weight_decay: NonNegative = 0.0
    """By how much weights shrink at each step, times the rate."""
    warmup: Decay = 0.0
    """The fraction of the run in which the rate grows from 0."""


class SGDParams(Section):
    name: Literal["sgd"]
    """`sgd`: stochastic gradient descent with momentum, the paper's (appendix G.2)."""
    lr: Positive
    """The first learning rate."""
    momentum: Decay = 0.9
    """How much of the last step is in the next."""
    weight_decay: NonNegative = 1e-4
    """The weight of the squared weights in the loss, halved."""
    milestones: tuple[Fraction, ...] = Field((0.5, 0.75), strict=False)
    """The fractions of the run at which the rate drops."""
    gamma: Fraction = 0.1
    """What it is multiplied by there."""


class AdamParams(Section):
    name: Literal["adam"]
    """`adam`, at a constant rate."""
    lr: Positive
    """The learning rate."""


OptimizerParams = Annotated[AdamWParams | SGDParams | AdamParams, Field(discriminator="name")]
