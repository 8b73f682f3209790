"""Which mode a network's layers run in: evaluation mode for a while, and batch norm's statistics in training.

In training batch norm normalises by the mean and variance of the batch, and keeps running averages of them for evaluation. A
network whose input gradients are aligned on the batch's statistics is another function once the running ones take their place, and
loses part of its alignment. For the last part of a run the statistics can be frozen: its batch norm then runs in evaluation mode,
on running averages that stay as they are, while its scale and shift go on learning.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["evaluating", "train_with_statistics"]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for all layers; afterwards each has its own mode back (`model.train()` would thaw frozen ones)."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def train_with_statistics(model: nn.Module, frozen: bool) -> None:
    """Training mode, but for batch norm (of any number of dimensions) where its statistics are frozen."""
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.train(not frozen)
