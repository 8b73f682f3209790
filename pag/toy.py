"""The toy experiment (section 5.1, appendix G.1, figure 4): two classes of alternating modes on the line x₂ = 2x₁ in the plane.

The line is the data manifold; a boundary that runs along it is what makes a network fragile. Results swing widely from seed to
seed, so several pairs of networks, each pair with its own data and initial weights, are trained at once.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pag.alignment import GradientOf
from pag.architectures.mlp import MLPEnsemble
from pag.errors import InputError
from pag.objectives import Alignment, Batch, CrossEntropy, Objective
from pag.randomness import torch_stream
from pag.training import OPTIMIZERS, fit

__all__ = ["MODES", "nearest_neighbors", "sample_points", "train_toy"]

MODES = ((-50.0, -10.0, 30.0), (-30.0, 10.0, 50.0))  # centres of x₁ for class 0 and class 1
CLASSES = len(MODES)


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
        distance = torch.cdist(x, pool, compute_mode="donot_use_mm_for_euclid_dist")
        distance = distance.masked_fill((x[:, None] == pool).all(dim=2), torch.inf)
        targets.append(pool[distance.argmin(dim=1)] - x)
    return torch.stack(targets, dim=1)


def train_toy(
    pairs: int,
    *,
    points: int,
    widths: tuple[int, int, int],
    epochs: int,
    batch_size: int,
    optimizer: Mapping[str, Any],
    lambda_: float,
    gradient: GradientOf,
    pool_per_class: int,
    seed: int,
    description: str,
) -> MLPEnsemble:
    """Trains one network a pair by eq. (4); λ = 0 is standard training, with the same data, initial weights and batches.

    Args:
        pairs: E, the number of independent networks.
        points: training points of each.
        widths, epochs, batch_size, optimizer: as in appendix G.1.
        lambda_: weight of the alignment term.
        gradient: whose input gradient is aligned.
        pool_per_class: of the nearest neighbours.
        seed: of all draws; pair e has streams of its own.
        description: what the progress shows.
    """
    model = MLPEnsemble(widths, [torch_stream(seed, "toy weights", e) for e in range(pairs)])
    data = [sample_points(points, torch_stream(seed, "toy train", e)) for e in range(pairs)]
    x, y = torch.stack([p for p, _ in data]), torch.stack([labels for _, labels in data])
    g = torch.stack(
        [nearest_neighbors(*d, pool_per_class, torch_stream(seed, "toy pool", e)) for e, d in enumerate(data)]
    )
    objective: Objective = Alignment(lambda_, CLASSES, gradient) if lambda_ > 0 else CrossEntropy()
    steps_per_epoch = -(-points // batch_size)
    members = torch.arange(pairs)[:, None]

    def loss_of_step(step: int) -> Mapping[str, Tensor]:
        epoch, position = divmod(step, steps_per_epoch)
        orders = [torch.randperm(points, generator=torch_stream(seed, "toy order", e, epoch)) for e in range(pairs)]
        index = torch.stack(orders)[:, position * batch_size : (position + 1) * batch_size]
        classes = torch.arange(CLASSES).expand(index.numel(), -1)
        batch = Batch(
            x[members, index].flatten(0, 1), y[members, index].flatten(), classes, g[members, index].flatten(0, 1)
        )
        parts = objective(model, batch, torch.Generator())
        return {**parts, "loss": pairs * parts["loss"]}  # the sum over pairs: each network's own gradient, unscaled

    options = {key: value for key, value in optimizer.items() if key != "name"}
    steps = epochs * steps_per_epoch
    optimization = OPTIMIZERS[optimizer["name"]](model.parameters(), steps, **options)
    fit(
        model, loss_of_step, optimization, steps=steps, report_every=steps_per_epoch, seed=seed, description=description
    )
    return model.eval()
