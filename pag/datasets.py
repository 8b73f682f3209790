"""Data sets: images, labels and class names, split into a training and a test set.

The validation part, which monitors training and chooses hyperparameters, is carved out of the training set.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pag.errors import InputError

__all__ = ["Dataset", "LabelledImages", "load", "validation_mask"]


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


def load(name: str, *, test_fraction: float, split_seed: int) -> Dataset:
    """Loads a data set.

    Args:
        name: a key of the registry.
        test_fraction: share of the images that become the test set, where the data set has no split of its own.
        split_seed: of that split.

    Raises:
        InputError: the name is unknown, or the data set cannot be split so.
    """
    if name not in _LOADERS:
        raise InputError(f"Unknown data set {name!r}; known are {', '.join(_LOADERS)}.")
    return _LOADERS[name](test_fraction, split_seed)


def _digits(test_fraction: float, split_seed: int) -> Dataset:
    """scikit-learn's digits: 1,797 handwritten digits of 8 × 8 pixels with values 0 … 16, in a stratified split."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    raw = load_digits()
    images = np.round(raw.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = raw.target.astype(np.int64)
    rows = np.arange(len(labels))
    try:
        train, test = train_test_split(rows, test_size=test_fraction, random_state=split_seed, stratify=labels)
    except ValueError:
        raise InputError(f"The test fraction {test_fraction} leaves no image of each class on both sides.") from None
    return Dataset(
        "digits",
        LabelledImages(images[train], labels[train]),
        LabelledImages(images[test], labels[test]),
        tuple(str(digit) for digit in range(10)),
        "scikit-learn's digits (UCI optical recognition of handwritten digits)",
    )


_LOADERS: Mapping[str, Callable[[float, int], Dataset]] = {"digits": _digits}


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
