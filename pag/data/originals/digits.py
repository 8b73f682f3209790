"""scikit-learn's digits: 1,797 handwritten digits of 8 × 8 pixels with values 0 … 16, which come with the package."""

from functools import partial
from pathlib import Path

import numpy as np

from pag.base.errors import InputError
from pag.data.datasets import Dataset
from pag.data.originals.original import Original, Selection

__all__ = ["open_digits"]


def open_digits(data_root: Path, selection: Selection, *, test_fraction: float) -> Original:
    """The digits, in a stratified split that `selection.seed` draws.

    Args:
        data_root: not looked at.
        selection: what is drawn.
        test_fraction: share of the images that become the test set.
    """
    return Original(partial(_read, selection, test_fraction), image_bytes=1797 * 64)


def _read(selection: Selection, test_fraction: float) -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    raw = load_digits()
    images = np.round(raw.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = raw.target.astype(np.int64)
    rows = np.arange(len(labels))
    try:
        train, test = train_test_split(rows, test_size=test_fraction, random_state=selection.seed, stratify=labels)
    except ValueError:
        raise InputError(f"The test fraction {test_fraction} leaves no image of each class on both sides.") from None
    return Dataset(
        "digits",
        selection.take("train", images[train], labels[train]),
        selection.take("test", images[test], labels[test]),
        tuple(str(digit) for digit in range(10)),
        "scikit-learn's digits (UCI optical recognition of handwritten digits)",
    )
