"""Sections `optimizer`: the optimisers of `pag.optimization`, with their schedules."""

from typing import Annotated, Literal

from pydantic import Field

from stages.params.section import Decay, Fraction, NonNegative, Positive, Section

__all__ = ["OptimizerParams"]


class AdamWParams(Section):
    name: Literal["adamw"]
    lr: Positive
    weight_decay: NonNegative = 0.0
    warmup: Decay = 0.0


class SGDParams(Section):
    name: Literal["sgd"]
    lr: Positive
    momentum: Decay = 0.9
    weight_decay: NonNegative = 1e-4
    milestones: tuple[Fraction, ...] = Field((0.5, 0.75), strict=False)
    gamma: Fraction = 0.1


class AdamParams(Section):
    name: Literal["adam"]
    lr: Positive


OptimizerParams = Annotated[AdamWParams | SGDParams | AdamParams, Field(discriminator="name")]
