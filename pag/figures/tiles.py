"""Images of few pixels as PNGs of just these pixels, which a page shows enlarged."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["tile_png"]


def tile_png(image: NDArray[np.floating[Any]]) -> bytes:
    """An image `(ch, H, W)` in [0, 1], of 1 or 3 channels, as PNG; the same image gives the same bytes."""
    levels = np.round(255 * np.clip(np.moveaxis(image, 0, -1), 0, 1)).astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(stream, format="PNG", optimize=True)
    return stream.getvalue()
