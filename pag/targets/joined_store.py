"""Two target stores behind one reader: that of the training set, and that of images that training adds to it."""

from pathlib import Path

import torch
from torch import Tensor

from pag.base.errors import InputError
from pag.targets.store import TargetStore

__all__ = ["JoinedTargets"]


class JoinedTargets(TargetStore):
    """Rows 0 … N − 1 are those of the first store, N … N + M − 1 those of the second.

    Args:
        training: the targets of the training set.
        num_training: N, which stores do not know whose targets depend on no row.
        added: the targets of the images that come after them, of the same shape and number of classes.
        num_added: M.

    Raises:
        InputError: one has gradients of more classes an image than the other.
    """

    def __init__(self, training: TargetStore, num_training: int, added: TargetStore, num_added: int) -> None:
        counts = training.classes_per_image, added.classes_per_image
        if counts[0] != counts[1]:
            raise InputError(
                f"{added.path} holds gradients of {counts[1]} classes an image, and {training.path} of {counts[0]}; run the stage "
                "that writes it again."
            )
        self._training, self._added, self._border = training, added, num_training
        self.path: Path = training.path
        self.num_images, self.num_classes = num_training + num_added, training.num_classes
        self.classes_per_image, self.image_shape = counts[0], training.image_shape
        self.device = training.device if training.device == added.device else None

    def stored_classes(self, rows: Tensor) -> Tensor:
        classes = torch.empty(len(rows), self.classes_per_image, dtype=torch.int64)
        for store, where, own in self._parts(rows):
            classes[where] = store.stored_classes(own)
        return classes

    def gather(self, rows: Tensor, classes: Tensor, images: Tensor) -> Tensor:
        g = torch.empty(*classes.shape, *images.shape[1:], device=images.device)
        for store, where, own in self._parts(rows):
            there = where.to(images.device)
            g[there] = store.gather(own, classes[where.to(classes.device)], images[there]).to(g.dtype)
        return g

    def _parts(self, rows: Tensor) -> list[tuple[TargetStore, Tensor, Tensor]]:
        """Of each store that has some of the rows: where they stand among them, and what they are there; on the CPU."""
        rows = rows.cpu()
        of_added = rows >= self._border
        parts = ((self._training, ~of_added, 0), (self._added, of_added, self._border))
        return [(store, mask.nonzero()[:, 0], rows[mask] - offset) for store, mask, offset in parts if mask.any()]
