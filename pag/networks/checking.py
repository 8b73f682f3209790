"""Whether a network of one's own is a classifier of the images that it is meant for."""

import torch
from torch import Tensor, nn

from pag.base.errors import InputError
from pag.networks.modes import evaluating

__all__ = ["check_outputs"]


def check_outputs(name: str, network: nn.Module, x: Tensor, num_classes: int) -> None:
    """Tries a network on a few images, in evaluation mode; it is left in the modes that it was in.

    Args:
        name: the network's, for messages.
        network: from `x` to logits.
        x: images `(B, ch, H, W)` in [0, 1].
        num_classes: C.

    Raises:
        InputError: the network does not take the images, or does not give a finite number for each class.
    """
    try:
        with torch.no_grad(), evaluating(network):
            outputs = network(x)
    except Exception as error:
        raise InputError(f"{name} does not take images {tuple(x.shape)} ({error}).") from error
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        kind = outputs.dtype if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise InputError(f"{name} gives {kind}, not a tensor of floating-point numbers.")
    shape, expected = tuple(outputs.shape), (len(x), num_classes)
    if shape != expected:
        raise InputError(f"{name} gives outputs {shape}, not {expected}, for {len(x)} images.")
    if not outputs.isfinite().all():
        raise InputError(f"{name} gives outputs that are not finite.")
