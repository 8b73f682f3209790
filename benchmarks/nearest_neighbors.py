"""Nearest neighbours through `pag.targets.representatives` against brute force in NumPy; and their peak memory over its bound.

Both are linear in queries and classes, so a part of CIFAR-10's 50,000 × 10 gives their ratio: two classes with pools of 1,000;
2,048 queries for ours, the first 32 of them for brute force, and what is compared is the time of one query.

    python benchmarks/nearest_neighbors.py [--quick]
"""

import tracemalloc
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from measuring import Bar, Row, command, same_round, spread, timed
from pag.targets import representatives
from pag.targets.representatives import nearest_neighbor

CLASSES, SHAPE = 2, (32, 32, 3)


@dataclass(frozen=True)
class Problem:
    """Random images of two classes, and queries.

    Attributes:
        images: `(2p, H, W, ch)` uint8; the pool is all of them, p a class.
        queries: `(N, H, W, ch)` uint8.
        few: how many of the queries brute force answers.
    """

    images: NDArray[np.uint8]
    queries: NDArray[np.uint8]
    few: int

    @property
    def pool_per_class(self) -> int:
        """p."""
        return len(self.images) // CLASSES

    def ours(self) -> NDArray[np.int32]:
        """The neighbours of all queries, `(N, C)`."""
        labels = np.repeat(np.arange(CLASSES), self.pool_per_class)
        return nearest_neighbor(self.images, labels, self.queries, CLASSES, self.pool_per_class, seed=0)[1]

    def brute_force(self) -> NDArray[np.int32]:
        """The neighbours of the first queries, `(few, C)`, one query and class at a time."""
        pool = self.images.reshape(CLASSES, self.pool_per_class, -1).astype(np.int32)
        nearest = np.empty((self.few, CLASSES), dtype=np.int32)
        for row, x in enumerate(self.queries[: self.few].reshape(self.few, -1).astype(np.int32)):
            for c in range(CLASSES):
                difference = pool[c] - x
                squares = np.einsum("ij,ij->i", difference, difference)
                nearest[row, c] = (
                    c * self.pool_per_class + np.where(squares == 0, np.iinfo(np.int32).max, squares).argmin()
                )
        return nearest

    def memory_bound(self) -> int:
        """Bytes that `nearest_neighbor` states for what it holds beside its arguments: the table of a block, and two pools."""
        p, d, block = self.pool_per_class, int(np.prod(SHAPE)), representatives.QUERY_BLOCK
        return 16 * (p + block) * d + 10 * block * p + 2 * self.images.nbytes + 2**20

    def peak(self) -> int:
        """Bytes that `nearest_neighbor` did hold at most."""
        tracemalloc.start()
        self.ours()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak


def problem(quick: bool) -> Problem:
    """At the given size."""
    pool, queries, few = (20, 64, 16) if quick else (1000, 2048, 32)
    rng = np.random.default_rng(0)
    images, queries_ = (rng.integers(0, 256, (n, *SHAPE), dtype=np.uint8) for n in (CLASSES * pool, queries))
    return Problem(images, queries_, few)


def rows(quick: bool) -> list[Row]:
    """A row of time and one of memory.

    Raises:
        RuntimeError: the neighbours differ.
    """
    given = problem(quick)
    if not np.array_equal(given.ours()[: given.few], given.brute_force()):
        raise RuntimeError("Brute force finds other neighbours.")
    seconds = timed({"ours": given.ours, "brute force": given.brute_force}, 2 if quick else 5, "neighbours", warm_up=1)
    each = {"ours": len(given.queries), "brute force": given.few}
    queries = {side: [s / each[side] for s in values] for side, values in seconds.items()}
    medians = {f"{side}, a query": spread(values)["median"] for side, values in queries.items()}
    bound = given.memory_bound()
    return [
        Row("nearest neighbours: faster than brute force in NumPy", Bar(at_least=10.0),
            same_round(queries["brute force"], queries["ours"]), seconds=medians,
            note=f"{CLASSES} classes, pools of {given.pool_per_class}; memory within {bound / 1e6:.0f} MB."),
        Row("nearest neighbours: peak memory over the stated bound", Bar(at_most=1.0), [given.peak() / bound]),
    ]  # fmt: skip


if __name__ == "__main__":
    command(rows)
