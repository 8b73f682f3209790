"""Training of the toy's networks (section 5.1, appendix G.1).

Results swing widely from seed to seed, so several pairs of networks are trained at once, each pair with its own data and initial
weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pag.base.randomness import torch_stream
from pag.base.vocabulary import GradientOf
from pag.optimization import optimizers
from pag.optimization.loop import Run, fit
from pag.toy.data import CLASSES, nearest_neighbors, sample_points
from pag.toy.networks import MLPEnsemble
from pag.training.network import EagerNetwork
from pag.training.objectives import Alignment, Batch, CrossEntropy, Objective

__all__ = ["ToyAlignment", "ToyRecipe", "train_toy"]


@dataclass(frozen=True)
class ToyRecipe:
    """The toy's networks and how they are trained, as in appendix G.1.

    Attributes:
        pairs: E, the number of independent networks.
        points: training points of each.
        widths: of a network's input, hidden layer and output.
        epochs, batch_size: of the run.
        optimizer: `{"name": …, options}` of `pag.optimization.optimizers`.
    """

    pairs: int
    points: int
    widths: tuple[int, int, int]
    epochs: int
    batch_size: int
    optimizer: Mapping[str, Any]


@dataclass(frozen=True)
class ToyAlignment:
    """What eq. (4) adds to cross-entropy.

    Attributes:
        weight: λ.
        gradient: whose input gradient is aligned.
        pool_per_class: size of the set of each class that nearest neighbours are taken from.
    """

    weight: float
    gradient: GradientOf
    pool_per_class: int


def train_toy(recipe: ToyRecipe, alignment: ToyAlignment | None, run: Run) -> MLPEnsemble:
    """Trains one network a pair; without alignment, with the same data, initial weights and batches.

    Pair e draws from streams of its own, whatever the number of pairs.
    """
    pairs = recipe.pairs
    model = MLPEnsemble(recipe.widths, [torch_stream(run.seed, "toy weights", e) for e in range(pairs)])
    batches, objective = _Batches(recipe, alignment, run.seed), _objective(alignment)
    network = EagerNetwork(model)

    def loss_of_step(step: int) -> Mapping[str, Tensor]:
        parts = objective(network, batches(step), torch.Generator())
        return {**parts, "loss": pairs * parts["loss"]}  # the sum over pairs: each network's own gradient, unscaled

    optimization = optimizers.make(model.parameters(), recipe.epochs * batches.steps_per_epoch, recipe.optimizer)
    fit(model, loss_of_step, optimization, run, report_every=batches.steps_per_epoch)
    return model.eval()


def _objective(alignment: ToyAlignment | None) -> Objective:
    return CrossEntropy() if alignment is None else Alignment(alignment.weight, CLASSES, alignment.gradient)


class _Batches:
    """The batch of a step: of each pair its own points, side by side as `MLPEnsemble` takes them."""

    def __init__(self, recipe: ToyRecipe, alignment: ToyAlignment | None, seed: int) -> None:
        pairs = range(recipe.pairs)
        data = [sample_points(recipe.points, torch_stream(seed, "toy train", e)) for e in pairs]
        self._x, self._y = torch.stack([x for x, _ in data]), torch.stack([y for _, y in data])
        self._g = None
        if alignment is not None:
            pools = [torch_stream(seed, "toy pool", e) for e in pairs]
            g = [nearest_neighbors(*of, alignment.pool_per_class, pool) for of, pool in zip(data, pools, strict=True)]
            self._g = torch.stack(g)
        self._recipe, self._seed = recipe, seed
        self.steps_per_epoch = -(-recipe.points // recipe.batch_size)

    def __call__(self, step: int) -> Batch:
        epoch, position = divmod(step, self.steps_per_epoch)
        size, pairs = self._recipe.batch_size, range(self._recipe.pairs)
        streams = [torch_stream(self._seed, "toy order", e, epoch) for e in pairs]
        orders = torch.stack([torch.randperm(self._recipe.points, generator=stream) for stream in streams])
        index, members = orders[:, position * size : (position + 1) * size], torch.arange(len(pairs))[:, None]
        x, y = self._x[members, index].flatten(0, 1), self._y[members, index].flatten()
        if self._g is None:
            return Batch(x, y)
        return Batch(x, y, torch.arange(CLASSES).expand(len(x), -1), self._g[members, index].flatten(0, 1))
