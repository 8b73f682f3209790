"""Section `training` of a data set: what classifiers are trained with; methods and architectures may have values of their own."""

from typing import Annotated, Literal

from pydantic import Field

from pag.base.vocabulary import NormName, Precision
from stages.params.optimizers import OptimizerParams
from stages.params.section import BatchSize, Count, Fraction, Positive, Section, Threads

__all__ = ["MethodTraining", "MixedParams", "TrainingOverrides", "TrainingParams", "ValidationAttackParams"]


class AugmentationParams(Section):
    crop_padding: Annotated[int, Field(ge=0, le=2**14)]
    flip: bool


class ApgdTParams(Section):
    iterations: Count
    targets: Count


class ValidationAttackParams(Section):
    """PGD of so many steps and APGD-T of so many iterations towards so many classes, each within these ε."""

    steps: Count
    threats: dict[NormName, Positive]
    apgd_t: ApgdTParams


class BatchStatisticsParams(Section):
    """Batch norm as it is: the batch's statistics throughout training."""

    statistics: Literal["batch"]

    @property
    def frozen_from(self) -> None:
        return None


class FrozenStatisticsParams(Section):
    """Batch norm keeps its running statistics from a fraction of the run on."""

    statistics: Literal["frozen"]
    after: Fraction

    @property
    def frozen_from(self) -> float:
        return self.after


BatchNormParams = Annotated[BatchStatisticsParams | FrozenStatisticsParams, Field(discriminator="statistics")]


class TrainingParams(Section):
    threads: Threads
    precision: Precision = "float32"
    compiled: bool = False
    epochs: Count
    batch_size: BatchSize
    optimizer: OptimizerParams
    augmentation: AugmentationParams
    batch_norm: BatchNormParams = BatchStatisticsParams(statistics="batch")
    validation_attack: ValidationAttackParams


class TrainingOverrides(Section):
    """What a method or an architecture trains with instead of what the data set's `training` says; None: the same."""

    epochs: Count | None = None
    batch_size: BatchSize | None = None
    optimizer: OptimizerParams | None = None
    batch_norm: BatchNormParams | None = None

    def applied_to(self, training: TrainingParams) -> TrainingParams:
        """`training` with the values that are given here."""
        given = {name: value for name, value in self if value is not None and name in TrainingParams.model_fields}
        return training.model_copy(update=given)


class MixedParams(Section):
    """Generated images in the place of real ones: the store that they are in, and the share of each batch."""

    store: Literal["generated"] = "generated"
    share: Fraction


class MethodTraining(TrainingOverrides):
    """What a method trains with; generated images make another method of it, with its own cells and dependencies."""

    generated: MixedParams | None = None
