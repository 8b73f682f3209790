"""A loss of input-gradients, and what it is drawn from: what tests of cheap second derivatives compare with torch's own."""

from contextlib import nullcontext

import torch

from pag.alignment.double_backward import CheapDoubleBackward
from pag.base.randomness import torch_stream


def draw(*shape, index=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch_stream(0, "test", index), dtype=dtype)


def loss_of_input_gradients(model, x, cheap, k=2):
    """Of the first k outputs' input-gradients and of the outputs; by `CheapDoubleBackward`, or all by torch."""
    with CheapDoubleBackward() if cheap else nullcontext() as mode:
        y = model(x)
    with mode.differentiating_inputs() if cheap else nullcontext():
        gradients = [torch.autograd.grad(y[:, i].sum(), x, create_graph=True)[0] for i in range(k)]
    return sum((g.sin() * draw(*g.shape, index=i)).sum() for i, g in enumerate(gradients)) + y.square().sum()
