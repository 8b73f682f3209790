"""What target gradients g(x, c) are relative to, given r_c(x), what an image x is drawn towards for class c.

- The image: `g(x, c) = r_c(x) − x` (section 4.1).
- Its own class y: `g(x, c) = r_c(x) − r_y(x)`, and g(x, y) minus the mean of those. Whatever the r_c(x) share drops out, as −x:
  such a term no gradient of a log-softmax can follow for all classes, since `Σ_c p_c ∇ log p_c = 0`.
- All classes: `g(x, c) = r_c(x) − r(x)`, where r is that of no class, as eq. (8) has it for scores.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pag.base.errors import InputError
from pag.base.vocabulary import RelativeTo
from pag.targets.store import TargetStore

__all__ = ["RELATIVE", "OwnClass", "Wanted", "relative_to_own_class"]

Values = Callable[[Tensor, Tensor], Tensor]
"""`r_c(x)`, `(B', k', ch, H, W)`, of places in the batch `(B',)` and classes `(B', k')`, all on the CPU; class C is none."""


@dataclass(frozen=True)
class Wanted:
    """Of which images and classes targets are asked for.

    Attributes:
        classes: c, `(B, k)` int64 on the CPU.
        num_classes: C.
        images: x, `(B, ch, H, W)` in [0, 1]; on their device targets are returned.
        labels: y, `(B,)` int64 on the CPU, where they are known.
    """

    classes: Tensor
    num_classes: int
    images: Tensor
    labels: Tensor | None = None

    @property
    def places(self) -> Tensor:
        """Of the whole batch."""
        return torch.arange(len(self.classes))


def _relative_to_image(values: Values, wanted: Wanted) -> Tensor:
    return values(wanted.places, wanted.classes).to(wanted.images.device) - wanted.images[:, None]


def relative_to_own_class(values: Values, wanted: Wanted) -> Tensor:
    """Of all C classes r_c(x) is asked for only where one of those that are wanted is the own."""
    classes, y = wanted.classes, wanted.labels
    assert y is not None
    r = values(wanted.places, torch.cat([classes, y[:, None]], dim=1))
    g = r[:, :-1] - r[:, -1:]
    place, column = (classes == y[:, None]).nonzero(as_tuple=True)
    if len(place):
        r = values(place, torch.arange(wanted.num_classes).expand(len(place), -1))
        others = r - r[torch.arange(len(place)), y[place]][:, None]  # its own term is zero
        g[place, column] = -others.sum(dim=1) / (wanted.num_classes - 1)
    return g.to(wanted.images.device)


def _relative_to_all_classes(values: Values, wanted: Wanted) -> Tensor:
    no_class = torch.full((len(wanted.classes), 1), wanted.num_classes)
    r = values(wanted.places, torch.cat([wanted.classes, no_class], dim=1))
    return (r[:, :-1] - r[:, -1:]).to(wanted.images.device)


RELATIVE: Mapping[RelativeTo, Callable[[Values, Wanted], Tensor]] = {
    "image": _relative_to_image,
    "own_class": relative_to_own_class,
    "unconditional": _relative_to_all_classes,
}


class OwnClass(TargetStore):
    """A store of gradients, read relative to the own class: what it holds stays as it is, and others may read it as it is.

    Of scores as eq. (8) has them `∇ log p(x)` drops out, and what is left is `∇ log p(x|c) − ∇ log p(x|y)`.

    Args:
        store: of all classes of each image.
        labels: `(N,)` int64, of its rows.

    Raises:
        InputError: an image has no gradient of some of the classes, or there is one class alone.
    """

    def __init__(self, store: TargetStore, labels: Tensor) -> None:
        if store.classes_per_image < store.num_classes:
            raise InputError(
                f"{store.path} holds gradients of {store.classes_per_image} of {store.num_classes} classes an image, and targets "
                "relative to the own class need all: set classes_per_image to null."
            )
        if store.num_classes < 2:
            raise InputError(f"{store.path} holds gradients of one class, which has no others to be relative to.")
        self._store, self._labels = store, labels.cpu()
        self.path, self.num_images, self.num_classes = store.path, store.num_images, store.num_classes
        self.classes_per_image, self.image_shape = store.classes_per_image, store.image_shape
        self.device, self.origin = store.device, store.origin

    def gather(self, rows: Tensor, classes: Tensor, images: Tensor) -> Tensor:
        rows = rows.cpu()

        def values(places: Tensor, of: Tensor) -> Tensor:
            return self._store.gather(rows[places], of, images[places.to(images.device)])

        return relative_to_own_class(values, Wanted(classes.cpu(), self.num_classes, images, self._labels[rows]))
