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
    test: Points


class ToyAlignmentParams(Section):
    lambda_: NonNegative = Field(alias="lambda")
    gradient: GradientOf
    pool_per_class: Annotated[int, Field(ge=2, le=10**9)]  # a point is not its own neighbour


class ToyAttackParams(Section):
    norm: NormName
    eps: Positive
    steps: Count
    step_size: Positive


class ToyParams(Section):
    pairs: Annotated[int, Field(gt=0, le=1000)]
    data: ToyDataParams
    widths: tuple[Literal[2], Width, Literal[2]] = Field(strict=False)
    epochs: Count
    batch_size: BatchSize
    optimizer: OptimizerParams
    alignment: ToyAlignmentParams
    attack: ToyAttackParams
