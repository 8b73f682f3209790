"""A data set where it lies: what reading it will need, and how much of it is taken."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pag.base.errors import InputError
from pag.base.randomness import numpy_stream
from pag.data.datasets import Dataset, LabelledImages

__all__ = ["Original", "Part", "Selection"]

Part = Literal["train", "test"]


@dataclass(frozen=True)
class Original:
    """A data set that is not read yet.

    Attributes:
        read: reads it; downloads it before, where it is missing and can be had.
        image_bytes: of its images as uint8 arrays.
        download_bytes: what its download and unpacking will add to the data root.
        files: those that will be read, where nothing else says what is in them, as published checksums do.
    """

    read: Callable[[], Dataset]
    image_bytes: int
    download_bytes: int = 0
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Selection:
    """What is drawn of a data set: a reduced number of images of each class, or (None) all that there are.

    The draw of a class is a prefix of one permutation of it: with a larger number the images of a smaller one stay.

    Attributes:
        seed: of every draw.
        train: images of each class in the training set.
        test: images of each class in the test set.
    """

    seed: int
    train: int | None = None
    test: int | None = None

    def rows(self, part: Part, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows that are taken, in the data set's own order.

        Raises:
            InputError: a class has fewer images.
        """
        count = self.train if part == "train" else self.test
        if count is None:
            return np.arange(len(labels))
        taken = []
        for c in np.unique(labels):
            rows = np.flatnonzero(labels == c)
            if len(rows) < count:
                raise InputError(
                    f"Class {c} has {len(rows)} {part} images; {count} of each class cannot be taken (images_per_class)."
                )
            taken.append(numpy_stream(self.seed, f"images_per_class {part}", int(c)).permutation(rows)[:count])
        return np.sort(np.concatenate(taken))

    def take(self, part: Part, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> LabelledImages:
        """Images `(N, H, W, ch)` and labels `(N,)` at those rows."""
        rows = self.rows(part, labels)
        if len(rows) == len(labels):
            return LabelledImages(images, labels)
        return LabelledImages(images[rows], labels[rows])
