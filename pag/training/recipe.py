"""What a classifier's training takes beside images and objective: its length and optimiser, the targets that it aligns with, and
generated images that stand in for real ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pag.base.vocabulary import GradientOf
from pag.data.image_store import Split
from pag.targets.store import TargetStore
from pag.training.augmentation import Augmentation

__all__ = ["AlignedTargets", "Generated", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained, whatever the objective.

    Attributes:
        epochs, batch_size: of the run.
        optimizer: `{"name": …, options}` of `pag.optimization.optimizers`.
        augmentation: drawn per image, applied to the image and its targets alike.
        frozen_from: the fraction of the run from which batch norm keeps its running statistics (`pag.networks.modes`); None: never.
        compiled: whether torch compiles the passes that weights learn from (`pag.alignment.compiled`): those of the objective, but
            not those of an attack, nor of the monitor.
    """

    epochs: int
    batch_size: int
    optimizer: Mapping[str, Any]
    augmentation: Augmentation
    frozen_from: float | None = None
    compiled: bool = False


@dataclass(frozen=True)
class AlignedTargets:
    """The target gradients that input-gradients are aligned with.

    Attributes:
        store: where g(x, c) come from, with the rows of the training set.
        gradient: which gradient is aligned, for the monitor.
        classes_per_step: k of the classes that an image has targets of, drawn per image and step.
        classes_shared: whether the k classes are drawn once for a whole batch.
        by_prediction: whether the objective draws the classes, by what the network predicts; else they are uniform.
    """

    store: TargetStore
    gradient: GradientOf
    classes_per_step: int
    classes_shared: bool = False
    by_prediction: bool = False


@dataclass(frozen=True)
class Generated:
    """Generated images that take the place of real ones, in each batch the same share: a run has as many steps as without them.

    Attributes:
        images: with their labels; their rows are those by which the targets know them, and no row of the training set.
        share: of a batch, in (0, 1); rounded to whole images.
    """

    images: Split
    share: float

    def count(self, size: int) -> int:
        """How many of a batch of `size` examples are generated."""
        return round(self.share * size)
