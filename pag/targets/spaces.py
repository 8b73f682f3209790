"""Spaces in which distances between images are taken: all pixels, or the first principal components of a training set.

Units are pixel levels, 255ths: so squared distances between pixels are whole numbers below 2⁵³, exact in float64 on every device.
The principal components of photographs are much like their low frequencies: keeping the first ones is a low-pass, too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pag.base.errors import InputError
from pag.base.randomness import numpy_stream

__all__ = ["LEVELS", "PrincipalComponents", "Space", "pixel_space", "principal_components"]

LEVELS = 255  # of a pixel of 1
BLOCK = 1024  # images that are float64 at once
MOST = 4096  # images that principal components are taken of

Space = Callable[[Tensor], Tensor]
"""Images `(B, ch, H, W)` uint8 to points `(B, d)` on a device: uint8, or float64 where they are no whole numbers."""


def pixel_space(device: torch.device) -> Space:
    """The images themselves."""
    return lambda images: images.flatten(1).to(device)


@dataclass(frozen=True)
class PrincipalComponents:
    """The directions in which images vary most.

    Attributes:
        mean: `(D,)` float64, in pixel levels.
        basis: `(D, n)` float64, orthonormal.
    """

    mean: Tensor
    basis: Tensor

    def space(self, device: torch.device) -> Space:
        """Their coordinates, each in its own scale: distances in them are parts of those in pixels."""
        mean, basis = self.mean.to(device), self.basis.to(device)

        def project(images: Tensor) -> Tensor:
            blocks = images.flatten(1).split(BLOCK)
            return torch.cat([(block.to(device, torch.float64) - mean) @ basis for block in blocks])

        return project


def principal_components(images: Tensor, count: int, seed: int) -> PrincipalComponents:
    """The first principal components of images, by the eigenvectors of their covariance, or of their products where they are fewer.

    Of 4,096 of them, if there are more: for what comes first those are enough. On the CPU; that takes some `8 (M D + 3 min(M, D)²)`
    bytes and `2 M D min(M, D) + 10 min(M, D)³` operations, M ≤ 4,096.

    Args:
        images: `(M, ch, H, W)` uint8, of D values each.
        count: how many, below M and at most D.
        seed: draws the 4,096.

    Raises:
        InputError: images have fewer values, or there are fewer of them.
    """
    drawn = numpy_stream(seed, "principal components").permutation(len(images))[:MOST]
    x = images[torch.from_numpy(np.sort(drawn))].flatten(1).to(torch.float64)
    if count > min(x.shape[1], len(x) - 1):
        raise InputError(f"components is {count}, and {len(x)} images of {x.shape[1]} values have fewer.")
    mean = x.mean(dim=0)
    x -= mean
    if len(x) >= x.shape[1]:
        vectors = torch.linalg.eigh(x.T @ x)[1][:, -count:]
    else:
        vectors = functional.normalize(x.T @ torch.linalg.eigh(x @ x.T)[1][:, -count:], dim=0)
    return PrincipalComponents(mean, vectors.clone())
