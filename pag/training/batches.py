"""The batches that a classifier learns from: each a function of its step alone."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from pag.base.randomness import torch_stream
from pag.data.image_store import Split, pixels
from pag.machine.ranks import Share, share
from pag.training.objectives import Batch, StoredTargets, draw_classes
from pag.training.recipe import AlignedTargets, Generated, Recipe

__all__ = ["Batches"]


class Batches:
    """Batches of a training set in a new order each epoch, augmented, with target gradients where there are some.

    Where there are generated images, the first of each batch are of them, drawn uniformly with replacement, and the other examples
    are those that the batch has without them.

    Args:
        train: the training set, which is kept on the device.
        targets: the targets of its rows, and of those of the generated images; None for a baseline.
        recipe: with the number of epochs, the batch size and the augmentation.
        seed: of every draw.
        device: of the batches.
        generated: images that stand in for real ones; None: all are real.

    Attributes:
        steps_per_epoch: the last one's batch may be smaller.
        steps: of the run.
    """

    def __init__(
        self,
        train: Split,
        targets: AlignedTargets | None,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        generated: Generated | None = None,
    ) -> None:
        self._num_real, self._generated = len(train.labels), generated
        every = train if generated is None else train.followed_by(generated.images)
        self._images, self._labels, self._rows = every.images.to(device), every.labels.to(device), every.rows
        self._targets, self._recipe, self._seed, self._device = targets, recipe, seed, device
        self._order = lru_cache(1)(self._drawn_order)
        self.steps_per_epoch = -(-self._num_real // recipe.batch_size)
        self.steps = recipe.epochs * self.steps_per_epoch

    @property
    def from_elsewhere(self) -> bool:
        """Whether targets come from the disk, or from another device."""
        if self._targets is None:
            return False
        device = self._targets.store.device
        return device is None or device.type != self._device.type

    def size(self, step: int) -> int:
        """The number of examples in a step's batch, over all ranks."""
        return min(self._recipe.batch_size, self._num_real - self._position(step))

    def rows(self, step: int) -> Tensor:
        """The rows of the images in a step's batch, over all ranks: `(B,)`."""
        return self._rows[self._index(step)]

    def __call__(self, step: int) -> tuple[Batch, torch.Generator]:
        """This rank's part of the batch, and the generator for what the objective draws; draws are for the whole batch."""
        size, index = self.size(step), self._index(step)
        generator, part = torch_stream(self._seed, "step", step), share(size)
        own = index[part.rows]
        x, y = pixels(self._images[own.to(self._device)]), self._labels[own.to(self._device)]
        classes = self._drawn_classes(self._rows[own], part, generator)
        drawn = self._recipe.augmentation.draw(size, generator)
        views = _unchanged if drawn is None else drawn.of(part.rows)
        batch = Batch(views(x), y, progress=step / self.steps)
        return self._with_targets(batch, self._rows[own], x, classes, views), generator

    def _drawn_classes(self, rows: Tensor, part: Share, generator: torch.Generator) -> Tensor | None:
        """The classes `(b, k)` that images of these rows are aligned in, if they are drawn before the step."""
        targets = self._targets
        if targets is None or targets.by_prediction:
            return None
        store, k = targets.store, targets.classes_per_step
        drawn = draw_classes(part.total, store.classes_per_image, k, generator, targets.classes_shared)
        return store.stored_classes(rows).gather(1, drawn[part.rows])

    def _with_targets(
        self, batch: Batch, rows: Tensor, x: Tensor, classes: Tensor | None, views: Callable[[Tensor], Tensor]
    ) -> Batch:
        """The batch with target gradients of its images, which are `x` `(b, *)` before their views."""
        targets = self._targets
        if targets is None:
            return batch

        def gather(classes: Tensor) -> Tensor:
            return views(targets.store.gather(rows, classes, x))

        if classes is None:
            available = targets.store.stored_classes(rows).to(x.device)
            return replace(batch, stored=StoredTargets(available, targets.classes_per_step, gather))
        classes = classes.to(x.device)
        return replace(batch, classes=classes, targets=gather(classes))

    def _index(self, step: int) -> Tensor:
        position, size = self._position(step), self.size(step)
        index = self._order(step // self.steps_per_epoch)[position : position + size]
        if self._generated is None:
            return index
        count, generator = self._generated.count(size), torch_stream(self._seed, "generated", step)
        drawn = torch.randint(self._num_real, len(self._labels), (count,), generator=generator)
        return torch.cat([drawn, index[count:]])

    def _position(self, step: int) -> int:
        return step % self.steps_per_epoch * self._recipe.batch_size

    def _drawn_order(self, epoch: int) -> Tensor:
        return torch.randperm(self._num_real, generator=torch_stream(self._seed, "order", epoch))


def _unchanged(x: Tensor) -> Tensor:
    return x
