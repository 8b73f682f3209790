"""Numbers measured on a sample, each with the confidence interval that its number of examples allows."""

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pag.base.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor  # numbers are read without waiting for torch

__all__ = ["Estimate", "Flags", "mean_estimate", "normal_quantile", "proportion", "wilson_interval"]

Flags = NDArray[np.bool_]


class Estimate(BaseModel):
    """A number measured on a sample.

    Attributes:
        value: the estimate.
        interval: its confidence interval, lower and upper end.
        n: examples behind it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    interval: tuple[float, float]
    n: int

    @property
    def triple(self) -> tuple[float, float, float]:
        """Value, lower and upper end."""
        return (self.value, *self.interval)


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a proportion (Wilson, 1927): sensible for few examples and near 0 and 1, within [0, 1].

    Raises:
        InputError: there are no examples, more successes than examples, or the confidence is outside (0, 1).
    """
    if not 0 <= successes <= n or n == 0:
        raise InputError(f"{successes} of {n} is not a proportion.")
    z = normal_quantile(confidence)
    p, z2n = successes / n, z * z / n
    centre = p + z2n / 2
    half = z * math.sqrt((p * (1 - p) + z2n / 4) / n)
    lower, upper = (centre - half) / (1 + z2n), (centre + half) / (1 + z2n)
    return max(lower, 0.0), min(upper, 1.0)


def proportion(hits: "Flags | Tensor", confidence: float = 0.95) -> Estimate:
    """How often `hits`, `(N,)` bool, is true, with its Wilson interval."""
    n, successes = len(hits), int(hits.sum())
    interval = wilson_interval(successes, n, confidence)
    return Estimate(value=successes / n, interval=interval, n=n)


def mean_estimate(values: "NDArray[np.floating] | Tensor", confidence: float = 0.95) -> Estimate:
    """The mean of `values`, `(N,)`, with the interval of the normal approximation, `mean ± z s / √N`.

    Raises:
        InputError: there are fewer than two values, or the confidence is outside (0, 1).
    """
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2:
        raise InputError(f"The interval of a mean needs at least two examples, not {len(sample)}.")
    mean = float(sample.mean())
    half = normal_quantile(confidence) * float(sample.std(ddof=1)) / math.sqrt(len(sample))
    return Estimate(value=mean, interval=(mean - half, mean + half), n=len(sample))


def normal_quantile(confidence: float) -> float:
    """z of a two-sided interval: 1.96 for 0.95.

    Raises:
        InputError: the confidence is outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise InputError(f"A confidence lies between 0 and 1, not {confidence}.")
    return NormalDist().inv_cdf((1 + confidence) / 2)
