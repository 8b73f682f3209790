"""The targeted examples that `evaluate` wrote of a cell, read again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pag.base.errors import InputError
from stages.reporting.arrays import read_arrays

__all__ = ["TARGETED", "Targeted", "read_targeted"]

TARGETED = "targeted.safetensors"
AXES = {"labels": 1, "epsilons": 1, "large": 1, "frames": 6, "probabilities": 4}
Array = NDArray[Any]


@dataclass(frozen=True)
class Targeted:
    """What n test images become on their way to K of C classes, at E values of ε, the first of them 0 (`pag.evaluation.frames`).

    Attributes:
        labels: `(n,)`.
        epsilons: `(E,)`, ascending.
        large: the index of the ε of figures 1, 2 and 9.
        frames: `(n, K, E, ch, H, W)` uint8.
        probabilities: `(n, K, E, C)`.
    """

    labels: Array
    epsilons: Array
    large: int
    frames: Array
    probabilities: Array

    @property
    def images(self) -> Array:
        """The images themselves, `(n, ch, H, W)` in [0, 1]."""
        return self.frames[:, 0, 0] / np.float32(255)

    @property
    def adversarial(self) -> Array:
        """The examples of the large ε, `(n, K, ch, H, W)` in [0, 1]."""
        return self.frames[:, :, self.large] / np.float32(255)

    @property
    def target_probability(self) -> float:
        """The mean probability of the target class at the large ε."""
        of_targets = [self.probabilities[:, k, self.large, k] for k in range(self.frames.shape[1])]
        return float(np.mean(of_targets, dtype=np.float64))


def read_targeted(path: Path) -> Targeted:
    """Reads the targeted examples of a cell.

    Raises:
        InputError: the file is missing or damaged, was written by an older version, or its arrays do not fit each other.
    """
    arrays = read_arrays(path, AXES)
    labels, epsilons, frames, probabilities = (arrays[n] for n in ("labels", "epsilons", "frames", "probabilities"))
    large, classes = int(arrays["large"][0]), probabilities.shape[-1]
    fit = frames.shape[:3] == probabilities.shape[:3] and (len(labels), len(epsilons)) == (
        frames.shape[0],
        frames.shape[2],
    )
    known = np.isin(labels, np.arange(classes)).all() and frames.shape[1] <= classes and 0 <= large < len(epsilons)
    if not (fit and known and frames.dtype == np.uint8):
        raise InputError(f"{path} has arrays that do not fit each other; run `pag evaluate` again.")
    return Targeted(labels, epsilons, large, frames, probabilities)
