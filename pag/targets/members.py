"""The training images of each class, and squared distances to them that leave an image itself out.

Where an image is compared with a training set that it is in, neither it nor a copy of it counts: else it were its own neighbour.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from pag.base.errors import InputError
from pag.targets.spaces import Space

__all__ = ["Located", "Members"]


@dataclass(frozen=True)
class Located:
    """Images in a space.

    Attributes:
        points: `(B, d)` on the members' device.
        identity: `(B,)` int64 there, the same for copies alone; -1 of what is no member.
    """

    points: Tensor
    identity: Tensor

    def rows(self, rows: slice | Tensor) -> "Located":
        """Some of them."""
        return Located(self.points[rows], self.identity[rows])


class Members:
    """Training images, class by class; each class in their order.

    Args:
        images: `(M, ch, H, W)` uint8.
        labels: `(M,)` int64.
        num_classes: C.
        space: in which distances are taken.

    Attributes:
        images: `(M, ch, H, W)` uint8 on the CPU, class by class.
        counts: images of each class.

    Raises:
        InputError: a class has no image.
    """

    def __init__(self, images: Tensor, labels: Tensor, num_classes: int, space: Space) -> None:
        self.counts = torch.bincount(labels, minlength=num_classes).tolist()
        for c, count in enumerate(self.counts):
            if count == 0:
                raise InputError(f"Class {c} has no training image, so it has no kernel density.")
        self.images, self._space = images[labels.argsort(stable=True)], space
        self._identities: dict[bytes, int] = {}
        for image in self.images:
            self._identities.setdefault(_digest(image), len(self._identities))
        self._located = self.locate(self.images)
        self._starts = [0, *torch.tensor(self.counts).cumsum(0).tolist()]

    @property
    def device(self) -> torch.device:
        """Of points and distances."""
        return self._located.points.device

    def locate(self, images: Tensor) -> Located:
        """Images `(B, ch, H, W)` uint8, in the space."""
        points = self._space(images)
        identity = torch.tensor([self._identities.get(_digest(image), -1) for image in images])
        return Located(points, identity.to(points.device))

    def of_class(self, c: int) -> slice:
        """Where the images of a class lie among all."""
        return slice(self._starts[c], self._starts[c + 1])

    def own(self, c: int) -> Located:
        """The images of a class."""
        return self._located.rows(self.of_class(c))

    def squared_distances(self, queries: Located, c: int) -> Tensor:
        """`‖a − b‖² = ‖a‖² − 2 aᵀb + ‖b‖²` to each image of class `c`, infinite to the query itself and to its copies.

        Returns:
            `(B, p)` float64, in squared pixel levels.

        Raises:
            InputError: the class has nothing but copies of a query.
        """
        members = self.own(c)
        a, b = queries.points.to(torch.float64), members.points.to(torch.float64)
        squares = torch.addmm(b.square().sum(dim=1), a, b.T, alpha=-2)
        squares += a.square().sum(dim=1, keepdim=True)
        squares.clamp_min_(0)  # what rounding leaves of points that are no whole numbers
        squares.masked_fill_(queries.identity[:, None] == members.identity, torch.inf)
        if bool(squares.isinf().all(dim=1).any()):
            raise InputError(
                f"Class {c} has one training image, or copies of one: with that left out it has no kernel density."
            )
        return squares


def _digest(image: Tensor) -> bytes:
    return hashlib.sha256(image.numpy().tobytes()).digest()
