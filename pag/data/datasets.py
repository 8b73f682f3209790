"""Data sets: images, labels and class names, split into a training and a test set; `pag.data.originals` reads them.

The validation part, which monitors training and chooses hyperparameters, is carved out of the training set.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pag.base.errors import InputError

__all__ = ["Dataset", "LabelledImages", "validation_mask"]


@dataclass(frozen=True)
class LabelledImages:
    """Images `(N, H, W, ch)` uint8 with labels `(N,)` int64 in 0 … C − 1."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """A data set with the names of its C classes, and a line on where it comes from."""

    name: str
    train: LabelledImages
    test: LabelledImages
    class_names: tuple[str, ...]
    source: str


def validation_mask(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Marks a stratified part of the training set, `(N,)` bool: the given fraction of each class, at least one image.

    Raises:
        InputError: the fraction is outside (0, 1), or would take a whole class.
    """
    if not 0 < fraction < 1:
        raise InputError(f"The validation fraction must lie between 0 and 1, not {fraction}.")
    mask = np.zeros(len(labels), dtype=np.bool_)
    for c in np.unique(labels):
        rows = np.flatnonzero(labels == c)
        count = max(1, round(fraction * len(rows)))
        if count == len(rows):
            raise InputError(f"The validation fraction {fraction} takes all {count} images of class {c}.")
        mask[np.random.default_rng([seed, int(c)]).choice(rows, count, replace=False)] = True
    return mask
