"""Whether a network of one's own is a classifier of the images that it is meant for."""

import torch
from torch import Tensor, nn

from pag.base.errors import InputError

__all__ = ["check_outputs"]


def check_outputs(name: str, network: nn.Module, x: Tensor, num_classes: int) -> None:
    """Tries a network on a few images, in evaluation mode; it is left in the mode that it was in.

    Args:
        name: the network's, for messages.
        network: from `x` to logits.
        x: images `(B, ch, H, W)` in [0, 1].
        num_classes: C.

    Raises:
        InputError: the network does not take the images, or does not give a number for each class.
    """
    mode = network.training
    try:
        with torch.no_grad():
            outputs = network.eval()(x)
    except Exception as error:
        raise InputError(f"{name} does not take images {tuple(x.shape)} ({error}).") from error
    finally:
        network.train(mode)
    shape, expected = tuple(getattr(outputs, "shape", ())), (len(x), num_classes)
    if shape != expected:
        raise InputError(f"{name} gives outputs {shape}, not {expected}, for {len(x)} images.")
