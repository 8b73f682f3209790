"""The toy's points (section 5.1, appendix G.1, figure 4): two classes of alternating modes on the line x₂ = 2x₁ in the plane, and
their nearest neighbours (eq. 6).

The line is the data manifold; a boundary that runs along it is what makes a network fragile.
"""

import torch
from torch import Tensor

from pag.base.errors import InputError

__all__ = ["CLASSES", "MODES", "nearest_neighbors", "sample_points"]

MODES = ((-50.0, -10.0, 30.0), (-30.0, 10.0, 50.0))  # centres of x₁ for class 0 and class 1
CLASSES = len(MODES)
BLOCK = 64  # points whose distances to a pool are in the processor's cache at once


def sample_points(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws a balanced set: `x₁ ~ N(c, 1)`, `x₂ = 2x₁`, the same number for each mode c of each class.

    Returns:
        Points `(count, 2)` float32 and labels `(count,)`, in order of class and mode.

    Raises:
        InputError: `count` is no multiple of the number of modes.
    """
    centres = torch.tensor(MODES).flatten()
    each, rest = divmod(count, len(centres))
    if rest:
        raise InputError(f"The toy's number of points must be a multiple of {len(centres)}, not {count}.")
    x1 = (centres[:, None] + torch.randn(len(centres), each, generator=generator)).flatten()
    labels = torch.arange(CLASSES).repeat_interleave(count // CLASSES)
    return torch.stack([x1, 2 * x1], dim=1), labels


def nearest_neighbors(x: Tensor, labels: Tensor, pool_per_class: int, generator: torch.Generator) -> Tensor:
    """Nearest-neighbour targets (eq. 6) `g(x, c) = r_c(x) − x` for all points and classes, from a limited pool of each class.

    Args:
        x: points `(N, D)`.
        labels: `(N,)`.
        pool_per_class: size of the limited set of each class.
        generator: draws the pools.

    Returns:
        `(N, C, D)`; a point is never its own neighbour.
    """
    targets = []
    for c in range(CLASSES):
        members = x[labels == c]
        pool = members[torch.randperm(len(members), generator=generator)[:pool_per_class]]
        nearest = torch.cat([_nearest(part, pool) for part in x.split(BLOCK)])
        targets.append(pool[nearest] - x)
    return torch.stack(targets, dim=1)


def _nearest(x: Tensor, pool: Tensor) -> Tensor:
    """The row of `pool` that is nearest to each of `x` without being the same point; `(B,)`."""
    distance = torch.cdist(x, pool, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.masked_fill_(distance == 0, torch.inf).argmin(dim=1)
