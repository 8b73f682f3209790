"""Training of the toy's networks (section 5.1, appendix G.1).

Results swing widely from seed to seed, so several pairs of networks are trained at once, each pair with its own data and initial
weights.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pag.alignment.gradients import GradientOf
from pag.base.randomness import torch_stream
from pag.optimization.loop import OPTIMIZERS, fit
from pag.toy.data import CLASSES, nearest_neighbors, sample_points
from pag.toy.networks import MLPEnsemble
from pag.training.objectives import Alignment, Batch, CrossEntropy, Objective

__all__ = ["train_toy"]


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
