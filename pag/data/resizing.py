"""Bicubic resizing, for a diffusion model that works at another size than its images (appendix G.2: STL-10)."""

from torch import Tensor
from torch.nn import functional

__all__ = ["resize"]


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Resizes images or gradients bicubically, with antialiasing where they become smaller.

    Args:
        x: `(…, H, W)`, floating point.
        height, width: of the result. Where they are H and W, `x` itself is returned.

    Returns:
        `(…, height, width)`; the weights of each pixel sum to one, but some are negative: the result may leave the range of `x`.
    """
    if x.shape[-2:] == (height, width):
        return x
    flat = x.reshape(1, -1, *x.shape[-2:])
    resized = functional.interpolate(flat, (height, width), mode="bicubic", antialias=True, align_corners=False)
    return resized.reshape(*x.shape[:-2], height, width)
