"""Section `toy`: the two-dimensional experiment (section 5.1, appendix G.1)."""

from typing import Annotated, Literal

from pydantic import Field

from pag.base.vocabulary import GradientOf, NormName
from stages.params.optimizers import OptimizerParams
from stages.params.section import BatchSize, Count, NonNegative, Positive, Section, Width

__all__ = ["ToyParams"]

Points = Annotated[int, Field(gt=0, le=10**6, multiple_of=6)]  # the same number for each mode of each class


class ToyDataParams(Section):
    train: Points
    """Points of the training set."""
    test: Points
    """Points of the test set."""


class ToyAlignmentParams(Section):
    lambda_: NonNegative = Field(alias="lambda")
    """λ of eq. (4)."""
    gradient: GradientOf
    """Of which output gradients are aligned: `logit`, as eq. (4) has it, or `log_softmax`."""
    pool_per_class: Annotated[int, Field(ge=2, le=10**9)]  # a point is not its own neighbour
    """Points of each class among which the nearest is sought (eq. 6)."""


class ToyAttackParams(Section):
    norm: NormName
    """Of the ball."""
    eps: Positive
    """Its radius, in units of the plane."""
    steps: Count
    """Of PGD."""
    step_size: Positive
    """Of PGD."""


class ToyParams(Section):
    pairs: Annotated[int, Field(gt=0, le=1000)]
    """Pairs of networks, each with its own data and initial weights."""
    data: ToyDataParams
    """How many points."""
    widths: tuple[Literal[2], Width, Literal[2]] = Field(strict=False)
    """Of the layers."""
    epochs: Count
    """How often each point is seen."""
    batch_size: BatchSize
    """Points of a step."""
    optimizer: OptimizerParams
    """How weights follow their gradients."""
    alignment: ToyAlignmentParams
    """Of the second network of a pair."""
    attack: ToyAttackParams
    """What both are attacked with."""
