"""Where the weights of a network lie, and in which order: channels last, where that convolves fastest.

That is on a GPU. On a CPU it is so for classifiers, attacked or trained, alignment's double backward included: a step takes 0.8 to
1 times as long (docs/cost.md).
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

__all__ = ["laid_out_channels_last", "placed"]

M = TypeVar("M", bound=nn.Module)


def placed(model: M, device: torch.device) -> M:
    """Moves a network to a device, in place, its four-dimensional weights in the order that is fastest there.

    Activations follow the order of the weights.
    """
    model.to(device)
    return model.to(memory_format=torch.channels_last) if device.type == "cuda" else model


def laid_out_channels_last(model: M, x: Tensor) -> M:
    """Lays a network's four-dimensional weights out channels last, in place, and so its activations.

    One that takes views of its activations does not run so; its weights are left contiguous.

    Args:
        model: on the device of `x`, in any mode.
        x: two images or more to try it on, `(B, ch, H, W)`, contiguous: of one image some views are possible in either order.
    """
    model.to(memory_format=torch.channels_last)
    if not _runs(model, x):
        model.to(memory_format=torch.contiguous_format)
    return model


def _runs(model: nn.Module, x: Tensor) -> bool:
    """Whether a copy gets through, in both modes: the model's statistics and the random streams stay as they are."""
    try:
        with torch.no_grad(), torch.random.fork_rng([x.device] if x.device.type == "cuda" else []):
            trial = copy.deepcopy(model)
            for training in (True, False):
                trial.train(training)(x)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError):  # of a copy, of views, of layers that need more than two images
        return False
    return True
