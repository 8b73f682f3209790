"""The bandwidth σ of a kernel density, by leave-one-out likelihood: each training image under what the others of its class say.

    ℓ(σ) = mean_x log [ 1/(n_y − 1) Σ_{i∈y, i≠x} N(x; x_i, σ² I_d) ]

(Habbema, Hermans and van den Broek, 1974; Duin, "On the choice of smoothing parameters for Parzen estimators of probability
density functions", 1976), in the d-dimensional space of the distances. Where ℓ is largest, d σ² is a mean of squared distances
between images of a class, so it lies between the smallest and the largest of them.
"""

import math

import torch
from torch import Tensor

from pag.base.errors import InputError
from pag.base.randomness import numpy_stream
from pag.targets.members import Members
from pag.targets.spaces import LEVELS

__all__ = ["likeliest_sigma", "log_likelihood"]

QUERIES = 2048  # whose likelihood is taken, at most; with more it hardly changes
GRID = 33  # values of σ that are tried before the best is refined
TOLERANCE = 1e-3  # of log σ
GOLDEN = (math.sqrt(5) - 1) / 2


def likeliest_sigma(members: Members, seed: int) -> float:
    """σ of the largest leave-one-out likelihood, for all classes the same, in pixels of [0, 1].

    A grid over log σ, then a golden section about its best value. Distances of at most 2,048 images to those of their class are
    held, `8 · 2,048 · p` bytes for p images a class.

    Args:
        members: the training images.
        seed: draws whose likelihood is taken, where there are more than 2,048.

    Raises:
        InputError: a class has one training image, or all images of a class are the same.
    """
    tables = [_own_distances(members, c, seed) for c in range(len(members.counts))]
    dimension = members.own(0).points.shape[1]
    finite = torch.cat([table[table.isfinite()] for table in tables])
    low, high = (0.5 * math.log(float(square) / dimension) for square in (finite.min(), finite.max()))
    step = (high - low) / (GRID - 1)
    grid = [low + n * step for n in range(GRID)]
    best = max(grid, key=lambda log_sigma: log_likelihood(tables, log_sigma, dimension))
    return math.exp(_golden(tables, dimension, best - step, best + step)) / LEVELS


def log_likelihood(tables: list[Tensor], log_sigma: float, dimension: int) -> float:
    """ℓ(σ) without its constant.

    Args:
        tables: of each class, squared distances `(q, p)` to its images, infinite where they do not count.
        log_sigma: in the unit of the distances.
        dimension: d.
    """
    total, count = 0.0, 0
    for squares in tables:
        others = squares.isfinite().sum(dim=1).log()
        logits = squares / (-2 * math.exp(2 * log_sigma))
        total += float((logits.logsumexp(dim=1) - others).sum())
        count += len(squares)
    return total / count - dimension * log_sigma


def _golden(tables: list[Tensor], dimension: int, low: float, high: float) -> float:
    """Where the likelihood is largest between two values of log σ, by a golden section."""
    while high - low > TOLERANCE:
        width = GOLDEN * (high - low)
        left, right = high - width, low + width
        if log_likelihood(tables, left, dimension) >= log_likelihood(tables, right, dimension):
            high = right
        else:
            low = left
    return (low + high) / 2


def _own_distances(members: Members, c: int, seed: int) -> Tensor:
    """Squared distances of some images of a class to all of it, `(q, p)`: of as many as the class is large."""
    total, count = sum(members.counts), members.counts[c]
    drawn = count if total <= QUERIES else -(-QUERIES * count // total)
    rows = numpy_stream(seed, "kernel likelihood", c).permutation(count)[:drawn]
    squares = members.squared_distances(members.own(c).rows(torch.from_numpy(rows)), c)
    if not bool((squares[squares.isfinite()] > 0).all()):
        raise InputError(
            f"Images of class {c} are the same in the space of the distances; choose sigma, or more components."
        )
    return squares
