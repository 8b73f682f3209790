"""Sections `training` and `methods` of a data set: what classifiers are trained with, and to minimise what (sections 3 and 6)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pag.base.vocabulary import ObjectiveName
from stages.params.section import (
    Count,
    Fraction,
    Gradient,
    Name,
    NonNegative,
    Norm,
    OptimizerParams,
    Positive,
    Precision,
    Section,
)

__all__ = [
    "AdversarialParams", "AlignmentOptions", "Method", "MethodParams", "TradesParams", "TrainingParams",
    "ValidationAttackParams",
]  # fmt: skip


class AugmentationParams(Section):
    crop_padding: Annotated[int, Field(ge=0)]
    flip: bool


class ValidationAttackParams(Section):
    steps: Count
    threats: dict[Norm, Positive]


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
    threads: Count
    precision: Precision = "float32"
    compiled: bool = False
    epochs: Count
    batch_size: Count
    optimizer: OptimizerParams
    augmentation: AugmentationParams
    batch_norm: BatchNormParams = BatchStatisticsParams(statistics="batch")
    validation_attack: ValidationAttackParams


class TrainingOverrides(Section):
    """What a method trains with instead of what its dataset's `training` says; None: the same."""

    epochs: Count | None = None
    batch_size: Count | None = None
    optimizer: OptimizerParams | None = None
    batch_norm: BatchNormParams | None = None

    def applied_to(self, training: TrainingParams) -> TrainingParams:
        given = {name: value for name, value in self if value is not None}
        return training.model_copy(update=given)


class RampParams(Section):
    until: Fraction
    factor: NonNegative


class AlignmentOptions(Section):
    """How gradients are aligned; without `targets` the store is named by the method: `nearest_neighbor`, `trades+score_based`."""

    targets: Name | None = None
    gradient: Gradient
    classes_per_step: Count
    classes_shared: bool = False
    ramp: RampParams | None = None


class MethodSection(Section):
    """What all methods have; `label` is what tables and figures call one, where its parts do not say it."""

    objective: ObjectiveName
    label: str | None = None
    training: TrainingOverrides = TrainingOverrides()


class CrossEntropyParams(MethodSection):
    objective: Literal["cross_entropy"]

    @property
    def alignment(self) -> None:
        return None


class PGDMethodParams(MethodSection):
    norm: Norm
    eps: Positive
    steps: Count
    relative_step: Positive | None = None  # in units of ε / steps
    step_size: Positive | None = None
    alignment: AlignmentOptions | None = None

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        if (self.relative_step is None) == (self.step_size is None):
            raise ValueError("give either relative_step, in units of eps/steps, or step_size")
        return self

    @property
    def step(self) -> float:
        """The size of a step, in the units of ε."""
        if self.step_size is not None:
            return self.step_size
        assert self.relative_step is not None
        return self.relative_step * self.eps / self.steps


class AdversarialParams(PGDMethodParams):
    objective: Literal["adversarial"]


class TradesParams(PGDMethodParams):
    objective: Literal["trades"]
    beta: NonNegative
    start_std: Positive = 1e-3


class AlignmentParams(AlignmentOptions, MethodSection):
    """Cross-entropy with alignment, eq. (4)."""

    objective: Literal["alignment"]

    @property
    def alignment(self) -> AlignmentOptions:
        return self


Method = CrossEntropyParams | AdversarialParams | TradesParams | AlignmentParams
MethodParams = Annotated[Method, Field(discriminator="objective")]
