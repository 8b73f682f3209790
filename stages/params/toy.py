"""Section `toy`: the two-dimensional experiment (section 5.1, appendix G.1)."""

from pydantic import Field

from pag.base.vocabulary import GradientOf, NormName
from stages.params.optimizers import OptimizerParams
from stages.params.section import Count, NonNegative, Positive, Section

__all__ = ["ToyParams"]


class ToyDataParams(Section):
    train: Count
    test: Count


class ToyAlignmentParams(Section):
    lambda_: NonNegative = Field(alias="lambda")
    gradient: GradientOf
    pool_per_class: Count


class ToyAttackParams(Section):
    norm: NormName
    eps: Positive
    steps: Count
    step_size: Positive


class ToyParams(Section):
    pairs: Count
    data: ToyDataParams
    widths: tuple[Count, Count, Count] = Field(strict=False)
    epochs: Count
    batch_size: Count
    optimizer: OptimizerParams
    alignment: ToyAlignmentParams
    attack: ToyAttackParams
