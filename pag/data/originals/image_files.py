"""Image files of any size and mode as uint8 arrays of one shape."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pag.base.errors import InputError
from pag.machine.progress import progress

__all__ = ["image_files", "read_image", "read_images"]

EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Whatever a file is called, Pillow would try all that it knows by its content; of EPS it would have Ghostscript run what is in it.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def image_files(folder: Path) -> list[Path]:
    """The image files in a folder, at any depth, in the order of their paths; hidden files and folders are passed over."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in EXTENSIONS
        and not any(name.startswith(".") for name in path.relative_to(folder).parts)
        and path.is_file()
    ]


def read_image(path: Path, size: int, grayscale: bool) -> NDArray[np.uint8]:
    """Reads an image, `(size, size, 3)`, or `(size, size, 1)` in grey.

    It is turned as its EXIF orientation says, what is transparent is laid on white, and it is resized bicubically where it has
    another size; its proportions are not kept.

    Raises:
        InputError: the file is no image of `FORMATS`, is damaged, has more than 8 bits a channel, or so many pixels that it can
            only be meant to fill the memory (Pillow's limit).
    """
    try:
        return _converted(_decoded(path), size, grayscale)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"{path} claims more than {Image.MAX_IMAGE_PIXELS} pixels; make it smaller.") from None
    except InputError as error:
        raise InputError(f"{path} {error}") from None
    except Exception as error:  # each format has exceptions of its own
        raise InputError(f"{path} cannot be read as an image ({type(error).__name__}).") from None


def _decoded(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as file:
            file.load()
            return ImageOps.exif_transpose(file)


def _converted(image: Image.Image, size: int, grayscale: bool) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):
        raise InputError(f"has pixels of mode {image.mode}; save it with 8 bits a channel.")
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    image = image.convert("L" if grayscale else "RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8).reshape(size, size, -1)


def read_images(paths: Sequence[Path], size: int, *, grayscale: bool, description: str) -> NDArray[np.uint8]:
    """Reads images, `(N, size, size, ch)`, and shows the progress under `description`.

    Raises:
        InputError: a file cannot be read; the sentence names it.
    """
    images = np.empty((len(paths), size, size, 1 if grayscale else 3), dtype=np.uint8)
    with progress(description, len(paths)) as meter:
        for row, path in enumerate(paths):
            images[row] = read_image(path, size, grayscale)
            meter.advance()
    return images
