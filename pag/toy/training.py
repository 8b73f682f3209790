"""Training of the toy's networks (section 5.1, appendix G.1).

Results swing widely from seed to seed, so several pairs of networks are trained, each pair with its own data and initial weights.
All networks take each step together, with alignment and without: at this size a step is the time of its calls, not of its sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

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


def train_toy(recipe: ToyRecipe, alignment: ToyAlignment, run: Run) -> dict[str, MLPEnsemble]:
    """Trains both networks of each pair: on the same data, from the same weights, by the same batches.

    Pair e draws from streams of its own, whatever the number of pairs. The loss is the sum over all networks and Adam acts on each
    weight by itself, so that every network is trained as it would be alone.

    Returns:
        `vanilla` and `aligned`: the ensembles of the pairs without the alignment and with it.
    """
    aligned = Alignment(alignment.weight, CLASSES, alignment.gradient)
    objectives: dict[str, Objective] = {"vanilla": CrossEntropy(), "aligned": aligned}
    ensembles = {kind: _untrained(recipe, run.seed) for kind in objectives}
    networks = {kind: EagerNetwork(ensemble) for kind, ensemble in ensembles.items()}
    model, batches = nn.ModuleDict(ensembles), _Batches(recipe, alignment, run.seed)

    def loss_of_step(step: int) -> Mapping[str, Tensor]:
        batch = batches(step)
        losses = [objective(networks[kind], batch, torch.Generator())["loss"] for kind, objective in objectives.items()]
        return {"loss": recipe.pairs * torch.stack(losses).sum()}  # each a mean over pairs

    optimization = optimizers.make(model.parameters(), recipe.epochs * batches.steps_per_epoch, recipe.optimizer)
    fit(model, loss_of_step, optimization, run, report_every=batches.steps_per_epoch)
    model.eval()
    return ensembles


def _untrained(recipe: ToyRecipe, seed: int) -> MLPEnsemble:
    return MLPEnsemble(recipe.widths, [torch_stream(seed, "toy weights", e) for e in range(recipe.pairs)])


class _Batches:
    """The batch of a step: of each pair its own points, side by side as `MLPEnsemble` takes them."""

    def __init__(self, recipe: ToyRecipe, alignment: ToyAlignment, seed: int) -> None:
        pairs = range(recipe.pairs)
        data = [sample_points(recipe.points, torch_stream(seed, "toy train", e)) for e in pairs]
        self._x, self._y = torch.stack([x for x, _ in data]), torch.stack([y for _, y in data])
        pools = [torch_stream(seed, "toy pool", e) for e in pairs]
        g = [nearest_neighbors(*of, alignment.pool_per_class, pool) for of, pool in zip(data, pools, strict=True)]
        self._g = torch.stack(g)
        self._recipe, self._seed = recipe, seed
        self._orders = lru_cache(1)(self._drawn_orders)
        self.steps_per_epoch = -(-recipe.points // recipe.batch_size)

    def __call__(self, step: int) -> Batch:
        epoch, position = divmod(step, self.steps_per_epoch)
        first = position * self._recipe.batch_size
        index = self._orders(epoch)[:, first : first + self._recipe.batch_size]
        members = torch.arange(self._recipe.pairs)[:, None]
        x, y, g = (of[members, index].flatten(0, 1) for of in (self._x, self._y, self._g))
        return Batch(x, y, torch.arange(CLASSES).expand(len(x), -1), g)

    def _drawn_orders(self, epoch: int) -> Tensor:
        """Each pair's own order of its points, `(E, N)`."""
        streams = [torch_stream(self._seed, "toy order", e, epoch) for e in range(self._recipe.pairs)]
        return torch.stack([torch.randperm(self._recipe.points, generator=stream) for stream in streams])
