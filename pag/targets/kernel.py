"""Kernel targets: the score of the noised training set, in closed form, where `pag.targets.score_based` asks a network for it.

Images of a class under Gaussian noise of standard deviation σ have the density `p̂_c(x) = mean_i N(x; x_i, σ² I)` (Parzen, "On
estimation of a probability density function and mode", 1962), whose score Tweedie's formula gives:

    r_c(x) = Σ_{i∈c, i≠x} softmax_i(−‖x − x_i‖² / 2σ²) x_i,        σ² ∇ log p̂_c(x) = r_c(x) − x

with the image itself left out. So `r_c(x) − r_y(x)` and `r_c(x) − r(x)` are σ² times differences of scores, the latter as in
eq. (8), where r is the same over all classes. As σ → 0, r_c is the nearest neighbour of eq. (6), as σ → ∞ the class mean: the
heuristics of section 4.1 are its limits. Distances may be taken in another space than pixels; what is averaged are images all
the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pag.base.errors import InputError
from pag.targets.members import Located, Members
from pag.targets.spaces import LEVELS

__all__ = ["Neighborhood", "posterior_means", "weighted_neighbors"]

QUERY_BLOCK = 512  # queries whose distances are held at once


@dataclass(frozen=True)
class Neighborhood:
    """Those members that have most of the weight.

    Attributes:
        members: `(N, C + 1, n)` int32, their places among all members, nearest first; the last column is of all classes together.
        weights: `(N, C + 1, n)` float32 of them, which sum to 1.
        cut: `(N, C + 1)` float64, the weight that the others had: `r_c` moves by at most that times the distance of two means.
    """

    members: Tensor
    weights: Tensor
    cut: Tensor

    @classmethod
    def joined(cls, parts: Sequence["Neighborhood"]) -> "Neighborhood":
        """Those of queries one after the other."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in ("members", "weights", "cut")))


def posterior_means(members: Members, queries: Tensor, sigma: float) -> Tensor:
    """`r_c(x)` of every class, and r(x).

    In float64. Memory beside the arguments and twice the result stays below `8 · (B·(C + 3)·D + 2·p·D + 5·B·p)` bytes, for B = 512
    queries at a time, p images of the largest class and D values an image.

    Args:
        members: the training images.
        queries: x, `(N, ch, H, W)` uint8.
        sigma: σ > 0, in pixels of [0, 1].

    Returns:
        `(N, C + 1, ch, H, W)` float32 in [0, 1] on the CPU; the last is of all classes together.

    Raises:
        InputError: a class has nothing but copies of a query.
    """
    blocks = [_means(members, block, sigma) for block in queries.split(QUERY_BLOCK)]
    return torch.cat(blocks).reshape(len(queries), -1, *queries.shape[1:])


def _means(members: Members, queries: Tensor, sigma: float) -> Tensor:
    """Of one block of queries, `(B, C + 1, D)`."""
    located, classes, log_densities = members.locate(queries), len(members.counts), []
    r = torch.empty(len(queries), classes + 1, queries[0].numel(), dtype=torch.float64, device=members.device)
    for c in range(classes):
        logits = _logits(members, located, c, sigma)
        log_densities.append(logits.logsumexp(dim=1))
        r[:, c] = logits.softmax(dim=1) @ members.levels(c) / LEVELS
    posterior = torch.stack(log_densities, dim=1).softmax(dim=1)  # p̂(c | x), classes as frequent as in the training set
    r[:, classes] = (posterior[:, None] @ r[:, :classes])[:, 0]
    return r.float().cpu()


def weighted_neighbors(members: Members, queries: Tensor, sigma: float, count: int) -> Neighborhood:
    """The `count` nearest members of each class, and of all classes, with their weights.

    In float64. Memory beside the arguments and the result stays below `8 · (2·(B + p)·D + 5·B·p + 6·B·(C + 1)·n)` bytes, for
    B = 512 queries at a time, n neighbours and p images of the largest class.

    Args:
        members: the training images.
        queries: x, `(N, ch, H, W)` uint8.
        sigma: σ > 0, in pixels of [0, 1].
        count: n ≥ 1.

    Raises:
        InputError: a class has fewer images, or nothing but copies of a query.
    """
    fewest = min(members.counts)
    if count > fewest:
        c = members.counts.index(fewest)
        raise InputError(
            f"neighbors is {count}, and class {c} has {fewest} training images; null keeps the means themselves."
        )
    blocks = [_neighbors(members, block, sigma, count) for block in queries.split(QUERY_BLOCK)]
    return Neighborhood.joined(blocks)


def _neighbors(members: Members, queries: Tensor, sigma: float, count: int) -> Neighborhood:
    """Of one block of queries."""
    located, nearest, places, totals = members.locate(queries), [], [], []
    for c in range(len(members.counts)):
        logits = _logits(members, located, c, sigma)
        totals.append(logits.logsumexp(dim=1))
        of_nearest, position = logits.topk(count, dim=1)
        nearest.append(of_nearest)
        places.append(position + members.of_class(c).start)
    # The nearest of all are among the nearest of each class.
    of_nearest, position = torch.cat(nearest, dim=1).topk(count, dim=1)
    logits = torch.stack([*nearest, of_nearest], dim=1)
    place = torch.stack([*places, torch.cat(places, dim=1).gather(1, position)], dim=1)
    total = torch.stack([*totals, torch.stack(totals, dim=1).logsumexp(dim=1)], dim=1)
    kept = (logits - total[:, :, None]).exp().sum(dim=2)
    weights = logits.softmax(dim=2)
    return Neighborhood(place.to(torch.int32).cpu(), weights.float().cpu(), (1 - kept).clamp_min(0).cpu())


def _logits(members: Members, queries: Located, c: int, sigma: float) -> Tensor:
    """`−‖x − x_i‖² / 2σ²` for the images of class `c`, `(B, p)`."""
    squares = members.squared_distances(queries, c)
    return squares.mul_(-1 / (2 * (LEVELS * sigma) ** 2))
