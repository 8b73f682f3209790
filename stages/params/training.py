"""Section `training` of a data set: what classifiers are trained with; methods and architectures may have values of their own."""

from typing import Annotated, Literal

from pydantic import Field

from pag.base.vocabulary import NormName, Precision
from stages.params.optimizers import OptimizerParams
from stages.params.section import BatchSize, Count, Fraction, Positive, Section, Threads

__all__ = ["MethodTraining", "MixedParams", "TrainingOverrides", "TrainingParams", "ValidationAttackParams"]


class AugmentationParams(Section):
    crop_padding: Annotated[int, Field(ge=0, le=2**14)]
    """Pixels of zeros around an image, from which as large an image is cut at random; 0: none (appendix G.2: 4)."""
    flip: bool
    """Whether images are mirrored with probability 1/2; their targets with them."""


class ApgdTParams(Section):
    iterations: Count
    """Steps towards each class."""
    targets: Count
    """Classes that are tried, the most likely first."""


class ValidationAttackParams(Section):
    """PGD of so many steps and APGD-T of so many iterations towards so many classes, each within these ε."""

    steps: Count
    """Of PGD."""
    threats: dict[NormName, Positive]
    """ε of each norm."""
    apgd_t: ApgdTParams
    """What numbers are to be chosen by: PGD takes some networks for more robust than they are."""


class BatchStatisticsParams(Section):
    """Batch norm as it is: the batch's statistics throughout training."""

    statistics: Literal["batch"]
    """`batch`: the batch's own throughout training, as in the paper."""

    @property
    def frozen_from(self) -> None:
        return None


class FrozenStatisticsParams(Section):
    """Batch norm keeps its running statistics from a fraction of the run on."""

    statistics: Literal["frozen"]
    """`frozen`: running ones, as in evaluation, in the last part of the run."""
    after: Fraction
    """The fraction of the run from which on statistics are frozen."""

    @property
    def frozen_from(self) -> float:
        return self.after


BatchNormParams = Annotated[BatchStatisticsParams | FrozenStatisticsParams, Field(discriminator="statistics")]


class TrainingParams(Section):
    threads: Threads
    """Of torch on the CPU; the last bits of weights depend on it."""
    precision: Precision = "float32"
    """Of networks: float32, or tf32 and bfloat16 on a GPU."""
    compiled: bool = False
    """Whether torch compiles the passes that weights learn from; for a GPU, and one process."""
    epochs: Count
    """How often each training image is seen."""
    batch_size: BatchSize
    """Images of a step."""
    optimizer: OptimizerParams
    """How weights follow their gradients."""
    augmentation: AugmentationParams
    """How images are altered at random, each for itself."""
    batch_norm: BatchNormParams = BatchStatisticsParams(statistics="batch")
    """Which statistics batch norm computes with while gradients are aligned; nothing without batch norm."""
    validation_attack: ValidationAttackParams
    """What trained classifiers are attacked with on the validation split, to choose numbers by."""


class TrainingOverrides(Section):
    """What a method or an architecture trains with instead of what the data set's `training` says; None: the same."""

    epochs: Count | None = None
    """In place of the data set's."""
    batch_size: BatchSize | None = None
    """In place of the data set's."""
    optimizer: OptimizerParams | None = None
    """In place of the data set's."""
    batch_norm: BatchNormParams | None = None
    """In place of the data set's."""

    def applied_to(self, training: TrainingParams) -> TrainingParams:
        """`training` with the values that are given here."""
        given = {name: value for name, value in self if value is not None and name in TrainingParams.model_fields}
        return training.model_copy(update=given)


class MixedParams(Section):
    """Generated images in the place of real ones."""

    store: Literal["generated"] = "generated"
    """The images that `generate` drew."""
    share: Fraction
    """Of each batch, in the place of real images."""


class MethodTraining(TrainingOverrides):
    """What a method trains with; generated images make another method of it, with its own cells and dependencies."""

    generated: MixedParams | None = None
    """Generated images among the real ones; such a method stands in `grid.generated`."""
