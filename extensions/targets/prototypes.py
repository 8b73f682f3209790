"""An example of target gradients of one's own: toward what tells a class's mean from the mean of all images.

`targets: {prototypes: {source: own, function: "extensions.targets.prototypes:toward_prototypes"}}` in the file of a data set, with
a method of the same name, its λ, and its place in `grid.heuristics` and `grid.aligned`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["toward_prototypes"]


def toward_prototypes(
    images: Tensor, labels: Tensor, num_classes: int, seed: int, *, scale: float = 1.0
) -> Callable[[Tensor, Tensor], Tensor]:
    """Targets `g(x, c) = scale · (mean of class c − mean of all) − x`.

    Args:
        images: the training images, `(N, ch, H, W)` in [0, 1].
        labels: `(N,)`.
        num_classes: C.
        seed: of what is drawn; here nothing is.
        scale: of the prototypes.

    Returns:
        What gives g of images `(B, ch, H, W)` and their labels `(B,)`: `(B, C, ch, H, W)`.
    """
    means = torch.stack([images[labels == c].mean(0) for c in range(num_classes)])
    prototypes = scale * (means - images.mean(0))
    return lambda x, y: prototypes - x[:, None]
