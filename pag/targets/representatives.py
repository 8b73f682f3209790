"""Class representatives r_c of the heuristic targets (section 4.1): one image, class mean, nearest neighbour.

r(x, c) = argmin_{x̂ ∈ D_c, x̂ ≠ x} ‖x̂ − x‖₂                                                                        (6)
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pag.base.errors import InputError
from pag.base.randomness import numpy_stream

__all__ = ["class_mean", "nearest_neighbor", "one_image"]

QUERY_BLOCK = 1024  # queries whose distances are held at once


def _members(labels: NDArray[np.int64], c: int) -> NDArray[np.int64]:
    rows = np.flatnonzero(labels == c)
    if len(rows) == 0:
        raise InputError(f"Class {c} has no training image, so it has no representative.")
    return rows


def class_mean(
    images: NDArray[np.uint8], labels: NDArray[np.int64], num_classes: int, scale: float
) -> NDArray[np.float32]:
    """Class mean (CM): the mean of each class's images, times `scale` "to obtain an image-like norm".

    Args:
        images: `(N, H, W, ch)`.
        labels: `(N,)`.
        num_classes: C.
        scale: factor > 0.

    Returns:
        `(C, H, W, ch)` float32 in pixels of [0, 1] times `scale`.

    Raises:
        InputError: a class has no image.
    """
    means = [images[_members(labels, c)].mean(axis=0, dtype=np.float64) for c in range(num_classes)]
    return (scale / 255 * np.stack(means)).astype(np.float32)


def one_image(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    num_classes: int,
    choice: Literal["first", "random", "medoid"],
    seed: int,
) -> NDArray[np.float32]:
    """One image (OI): an arbitrary training image of each class.

    Args:
        images: `(N, H, W, ch)`.
        labels: `(N,)`.
        num_classes: C.
        choice: the `first` of each class, a `random` one, or the `medoid`, the one nearest to its class's mean.
        seed: of the random choice.

    Returns:
        `(C, H, W, ch)` float32 in [0, 1].

    Raises:
        InputError: a class has no image.
    """
    chosen = []
    for c in range(num_classes):
        rows = _members(labels, c)
        members = images[rows].astype(np.float64)
        if choice == "first":
            pick = 0
        elif choice == "random":
            pick = int(numpy_stream(seed, "one_image", c).integers(len(rows)))
        else:
            pick = int(np.square(members - members.mean(axis=0)).sum(axis=(1, 2, 3)).argmin())
        chosen.append(images[rows[pick]])
    return (np.stack(chosen) / 255).astype(np.float32)


def nearest_neighbor(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    queries: NDArray[np.uint8],
    num_classes: int,
    pool_per_class: int,
    seed: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Nearest neighbour (NN), eq. (6), in a limited pool of each class.

    A neighbour differs from its query: neither the image itself nor a duplicate of it counts. Ties go to the lowest index.
    Squared distances are whole numbers below 2⁵³ (up to 10¹¹ values an image), so exact in float64. They are taken for 1,024
    queries and one class's pool at a time: for D = H·W·ch and p = pool_per_class, memory beside the arguments and twice the
    pool stays below `16 · (p + 1,024) · D + 10 · 1,024 · p` bytes and a megabyte.

    Args:
        images: candidates `(M, H, W, ch)`.
        labels: `(M,)` of the candidates.
        queries: `(N, H, W, ch)`.
        num_classes: C.
        pool_per_class: how many candidates of a class are in the pool at most.
        seed: draws the pool, one stream a class.

    Returns:
        The pool `(P, H, W, ch)` uint8, class by class, and for each query and class the index of its neighbour `(N, C)` int32.

    Raises:
        InputError: a class has no image, or none in its pool that differs from a query.
    """
    pools = []
    for c in range(num_classes):
        rows = _members(labels, c)
        order = numpy_stream(seed, "nearest_neighbor pool", c).permutation(len(rows))[:pool_per_class]
        pools.append(images[np.sort(rows[order])])
    starts = np.cumsum([0, *(len(pool) for pool in pools)])
    nearest = np.empty((len(queries), num_classes), dtype=np.int32)
    for c, pool in enumerate(pools):
        nearest[:, c] = starts[c] + _nearest_in(pool, queries, c)
    return np.concatenate(pools), nearest


def _nearest_in(pool: NDArray[np.uint8], queries: NDArray[np.uint8], c: int) -> NDArray[np.int64]:
    """The index in the pool of class `c` of each query's neighbour, `(N,)`, in blocks of queries."""
    b = pool.reshape(len(pool), -1).astype(np.float64)
    squares_of_b = np.square(b).sum(axis=1)
    found = np.empty(len(queries), dtype=np.int64)
    for start in range(0, len(queries), QUERY_BLOCK):
        block = slice(start, start + QUERY_BLOCK)
        squares = _squared_distances(queries[block], b, squares_of_b)
        squares[squares == 0] = np.inf  # x̂ ≠ x
        found[block] = squares.argmin(axis=1)
        if np.isinf(squares[np.arange(len(squares)), found[block]]).any():
            raise InputError(f"The pool of class {c} has no image that differs from a query; raise pool_per_class.")
        del squares  # before the next block's are made
    return found


def _squared_distances(
    queries: NDArray[np.uint8], b: NDArray[np.float64], squares_of_b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`‖a − b‖² = ‖a‖² − 2 aᵀb + ‖b‖²` of each query and row of `b`, in one table."""
    a = queries.reshape(len(queries), -1).astype(np.float64)
    squares: NDArray[np.float64] = a @ b.T
    squares *= -2
    squares += np.square(a).sum(axis=1)[:, None]
    squares += squares_of_b
    return squares
