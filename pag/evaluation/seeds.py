"""Several runs of a method, which differ in their seeds: mean and standard deviation, and the paired difference of two methods.

Two methods that were evaluated on the same images with the same seeds are compared image by image and seed by seed. Seeds (of
training, and of targets) and images are crossed factors: what an image adds is common to all seeds, so that S runs on N images are
not S·N examples. Each factor is resampled on its own, and a resampled image keeps all of its outcomes (the pigeonhole bootstrap:
Owen, Annals of Applied Statistics 2007; that runs are resampled: Bouthillier et al., "Accounting for variance in machine learning
benchmarks", MLSys 2021).

Two corrections make it honest where there is little. Of S seeds S − 1 are drawn, without which their variance would come
out as (S − 1)/S of itself (Rao and Wu, JASA 1988). And two images are added that speak for neither method (Agresti and Min,
Statistics in Medicine 2005), without which four images that fall one way and none the other would be called a difference.

A handful of seeds says little of how seeds vary: where they vary by more than the images do, the interval of three is too narrow.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from pag.base.errors import InputError
from pag.base.randomness import numpy_stream
from pag.evaluation.intervals import Estimate, Flags, mean_estimate, normal_quantile

__all__ = ["Difference", "Repeated", "over_seeds", "paired_difference", "paired_means", "unpaired_difference"]

DRAWS = 4000  # of the bootstrap: the ends of a 95 % interval are then order statistics 100 from either end
# Two images are added: half of one for either method, and one at which both do the same.
ADDED, WEIGHTS = (-1, 0, 1), (0.5, 1.0, 0.5)


class Repeated(Estimate):
    """A number measured in several runs.

    Attributes:
        value: the mean over the runs.
        interval: that of a single run, by its sample of images: the mean of the runs' lower ends, and of their upper ends.
        n: examples behind each run.
        sd: the standard deviation between the runs (with S − 1); None of one run.
        runs: how many there are.
    """

    sd: float | None
    runs: int


def over_seeds(estimates: Sequence[Estimate]) -> Repeated:
    """The estimates of at least one run as one; of a single run it is the run's.

    Raises:
        InputError: there is none, or the runs have not the same number of examples.
    """
    if not estimates:
        raise InputError("A mean over runs needs at least one run.")
    if len({estimate.n for estimate in estimates}) > 1:
        numbers = ", ".join(str(estimate.n) for estimate in estimates)
        raise InputError(f"The runs of a method were evaluated on different numbers of examples ({numbers}).")
    value, low, high = (
        math.fsum(numbers) / len(estimates) for numbers in zip(*(e.triple for e in estimates), strict=True)
    )
    sd = float(np.std([estimate.value for estimate in estimates], ddof=1)) if len(estimates) > 1 else None
    return Repeated(value=value, interval=(low, high), n=estimates[0].n, sd=sd, runs=len(estimates))


class Difference(Estimate):
    """The mean difference of two methods over seeds and images.

    Attributes:
        value: of the first less the second.
        interval: over seeds and images, by the bootstrap; of one run over images alone.
        n: images.
        runs: of each method, that are paired.
    """

    runs: int

    @property
    def sign(self) -> int:
        """1 where the first method is above the second, −1 where it is below, 0 where one cannot tell: the interval covers 0."""
        low, high = self.interval
        return int(low > 0) - int(high < 0)


def paired_difference(a: Flags, b: Flags, confidence: float = 0.95, draws: int = DRAWS) -> Difference:
    """The difference in accuracy of two methods, a − b, with a percentile interval; the same outcomes give the same interval.

    Args:
        a: `(*seeds, N)` bool, whether each network is right at each image; an axis for each kind of seed, at least one.
        b: the same of the other method, with the same seeds and images in the same order.
        confidence: of the interval, in (0, 1).
        draws: of the bootstrap.

    Raises:
        InputError: they are not of the same seeds and images, there are none, or the confidence is outside (0, 1).
    """
    normal_quantile(confidence)  # refuses what is no confidence
    if a.shape != b.shape or a.ndim < 2 or a.size == 0:
        raise InputError(f"Outcomes of shapes {a.shape} and {b.shape} are not of the same seeds and images.")
    d = a.astype(np.int8) - b.astype(np.int8)
    n = d.shape[-1]
    sign = _orientation(d)
    means = np.sort(_resampled(sign * d, draws))
    k = round((1 - confidence) / 2 * draws)
    low, high = float(means[k]), float(means[-1 - k])
    interval = (low, high) if sign > 0 else (0.0 - high, 0.0 - low)
    return Difference(value=float(d.mean()), interval=interval, n=n, runs=d.size // n)


def paired_means(a: NDArray[np.floating], b: NDArray[np.floating], confidence: float = 0.95) -> Estimate:
    """The difference a − b of two means over the same images, with an interval over images and, of several runs, over those.

    Over images it is the normal approximation's, over runs Student's; both together are as wide as the root of their squares.

    Args:
        a: `(*seeds, N)`, a number at each image, of which the mean over the seeds is taken.
        b: the same of the other method.
        confidence: of the interval, in (0, 1).

    Raises:
        InputError: they are not of the same seeds and images, there are fewer than two images, or the confidence is outside (0, 1).
    """
    if a.shape != b.shape or a.size == 0:
        raise InputError(f"Values of shapes {a.shape} and {b.shape} are not of the same seeds and images.")
    d = (a.astype(np.float64) - b.astype(np.float64)).reshape(-1, a.shape[-1])
    over_images, of_runs = mean_estimate(d.mean(axis=0), confidence), d.mean(axis=1)
    value, half = over_images.value, over_images.interval[1] - over_images.value
    if len(of_runs) > 1:
        half = math.hypot(half, _over_runs(float(np.std(of_runs, ddof=1)), len(of_runs), confidence))
    return Estimate(value=value, interval=(value - half, value + half), n=over_images.n)


def unpaired_difference(a: Repeated, b: Repeated, confidence: float = 0.95) -> Estimate:
    """The difference a − b of two numbers that were measured apart, with an interval from both of theirs.

    The ends are as far away as both ends together, in squares: of Wilson's intervals it is the score interval of a difference
    (Newcombe, Statistics in Medicine 1998, method 10). Of several runs Student's interval over them is added likewise. Its `n` is
    the smaller of the two.

    Args:
        a, b: the numbers, with intervals of this confidence over images.
        confidence: in (0, 1).
    """
    value = a.value - b.value
    (a_low, a_high), (b_low, b_high) = a.interval, b.interval
    seeds = [_over_runs(of.sd, of.runs, confidence) for of in (a, b) if of.sd is not None]
    low = math.hypot(a.value - a_low, b_high - b.value, *seeds)
    high = math.hypot(a_high - a.value, b.value - b_low, *seeds)
    return Estimate(value=value, interval=(value - low, value + high), n=min(a.n, b.n))


def _over_runs(sd: float, runs: int, confidence: float) -> float:
    """Half the width of Student's interval of a mean over runs."""
    return float(student.ppf((1 + confidence) / 2, runs - 1)) * sd / math.sqrt(runs)


def _orientation(d: NDArray[np.int8]) -> int:
    """The sign of the first difference that is not zero: d and −d are resampled alike, and their intervals mirror each other."""
    nonzero = d[d != 0]
    return int(nonzero[0]) if nonzero.size else 1


def _resampled(d: NDArray[np.int8], draws: int) -> NDArray[np.float64]:
    """`(draws,)`: the mean of d, `(*seeds, N)`, over resampled seeds and images."""
    stream = numpy_stream(0, "bootstrap")
    of_runs = _over_images(d.reshape(-1, d.shape[-1]), draws, stream).reshape(draws, *d.shape[:-1])
    for count in d.shape[:-1]:
        of_runs = np.einsum("ds...,ds->d...", of_runs, _seed_weights(count, draws, stream))
    return of_runs


def _over_images(d: NDArray[np.int8], draws: int, stream: np.random.Generator) -> NDArray[np.float64]:
    """`(draws, R)`: the mean of d, `(R, N)`, over resampled images, the same in all runs.

    Images with the same outcomes are drawn together: how many of each kind a resample has is multinomial, whatever N.
    """
    every = np.column_stack([d, np.tile(ADDED, (len(d), 1))])
    kinds, kind_of = np.unique(every, axis=1, return_inverse=True)
    weights = np.append(np.ones(d.shape[1]), WEIGHTS)
    total, of_kinds = round(weights.sum()), np.bincount(kind_of.ravel(), weights)
    parts = np.array_split(np.arange(draws), max(1, draws * len(of_kinds) // 10_000_000))
    return np.concatenate([stream.multinomial(total, of_kinds / total, size=len(p)) @ kinds.T / total for p in parts])


def _seed_weights(count: int, draws: int, stream: np.random.Generator) -> NDArray[np.float64]:
    """`(draws, count)`: how much of a resample is of each seed."""
    if count == 1:
        return np.ones((draws, 1))
    return stream.multinomial(count - 1, [1 / count] * count, size=draws) / (count - 1)
