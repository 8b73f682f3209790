"""Square patches that tile an image: the tokens of ViT and MLP-Mixer."""

from pag.base.errors import InputError

__all__ = ["patch_count"]


def patch_count(image_shape: tuple[int, int, int], patch_size: int) -> int:
    """How many patches of `patch_size` pixels a side tile images `(ch, H, W)`.

    Raises:
        InputError: they do not tile them.
    """
    _, height, width = image_shape
    if height % patch_size or width % patch_size:
        raise InputError(f"Patches of {patch_size} pixels do not tile images of {height} × {width}.")
    return (height // patch_size) * (width // patch_size)
