"""The samples that a diffusion model was shown to draw, cut out of their PNG again."""

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from pag.base.errors import InputError
from pag.figures.grids import Array

__all__ = ["read_samples"]

PADDING = 2  # pixels around each sample, as `torchvision.utils.save_image` has them


def read_samples(path: Path, image_shape: tuple[int, int, int]) -> Array:
    """The samples, a row of them for each class.

    Args:
        path: of the PNG.
        image_shape: `(ch, H, W)` of a sample.

    Returns:
        `(C, S, 3, H, W)` in [0, 1].

    Raises:
        InputError: the file is missing, is no image, or has no samples of this size.
    """
    try:
        image = np.asarray(imread(path))[..., :3]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the stage that makes it.") from None
    except Exception as error:
        raise InputError(f"{path} cannot be read as an image ({type(error).__name__}).") from None
    high, wide = (side + PADDING for side in image_shape[1:])
    rows, columns = (image.shape[0] - PADDING) // high, (image.shape[1] - PADDING) // wide
    if image.ndim != 3 or image.shape[:2] != (rows * high + PADDING, columns * wide + PADDING) or rows * columns == 0:
        raise InputError(
            f"{path} has no samples of {image_shape[1]} × {image_shape[2]} pixels; run the stage that makes it again."
        )
    tiles = image[PADDING:, PADDING:].reshape(rows, high, columns, wide, 3)
    return tiles[:, : high - PADDING, :, : wide - PADDING].transpose(0, 2, 4, 1, 3)
