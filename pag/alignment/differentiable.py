"""Input-gradients that a loss can be taken of: what an alignment step (section 3) is trained by.

Their values are those of `pag.alignment.gradients`; `pag.alignment.double_backward` makes them cheap to differentiate once more.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from pag.alignment.double_backward import CheapDoubleBackward
from pag.alignment.gradients import class_sums
from pag.base.vocabulary import GradientOf

__all__ = ["differentiable_gradients"]


def differentiable_gradients(
    network: Callable[[Tensor], Tensor],
    x: Tensor,
    classes: Tensor,
    of: GradientOf,
    parameters: Iterable[Tensor] = (),
) -> tuple[Tensor, Tensor]:
    """As `pag.alignment.gradients.input_gradients`, but gradients `(B, k, *)` and logits `(B, C)` carry a graph to the parameters.

    Parameters receive nothing from the k backward passes themselves, only from that of the loss. What stands for them in a pass
    that is compiled is given as `parameters`.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        with CheapDoubleBackward(parameters) as cheap:
            logits = network(x)
        sums = class_sums(logits, classes, of)
        with cheap.differentiating_inputs():
            columns = [torch.autograd.grad(s, x, create_graph=True)[0] for s in sums]
    return torch.stack(columns, dim=1), logits
