"""Input-gradients that a loss can be taken of: what an alignment step (section 3) is trained by.

Their values are those of `pag.alignment.gradients`; `pag.alignment.double_backward` makes them cheap to differentiate once more.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from pag.alignment.double_backward import CheapDoubleBackward
from pag.alignment.gradients import class_sums
from pag.alignment.rivals import margins_over, rivals
from pag.base.vocabulary import GradientOf

__all__ = ["differentiable_gradients", "differentiable_margins"]

Passes = Callable[[Tensor], Tensor]


def differentiable_gradients(
    network: Passes, x: Tensor, classes: Tensor, of: GradientOf, parameters: Iterable[Tensor] = ()
) -> tuple[Tensor, Tensor]:
    """As `pag.alignment.gradients.input_gradients`, but gradients `(B, k, *)` and logits `(B, C)` carry a graph to the parameters.

    Parameters receive nothing from the k backward passes themselves, only from that of the loss. What stands for them in a pass
    that is compiled is given as `parameters`.
    """
    return _gradients(network, x, lambda logits: class_sums(logits, classes, of), parameters)


def differentiable_margins(
    network: Passes,
    x: Tensor,
    labels: Tensor,
    noise: Tensor,
    temperature: float,
    k: int,
    parameters: Iterable[Tensor] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the margins over k rivals, which are drawn by the logits of the same forward pass.

    Args:
        network: `(B, *)` to logits `(B, C)`.
        x: inputs `(B, *)`; detached from whatever made them.
        labels: `(B,)` int64.
        noise, temperature, k: of the draw (`pag.alignment.rivals`).
        parameters: as in `differentiable_gradients`.

    Returns:
        `∇_x m_c(x)` `(B, k, *)` and the logits `(B, C)`, with a graph to the parameters, and the rivals c, `(B, k)` int64.
    """
    drawn: list[Tensor] = []

    def sums(logits: Tensor) -> Tensor:
        drawn.append(rivals(logits, noise, temperature, k))
        return margins_over(logits, labels, drawn[0]).sum(dim=0)

    return *_gradients(network, x, sums, parameters), drawn[0]


def _gradients(
    network: Passes, x: Tensor, sums: Callable[[Tensor], Tensor], parameters: Iterable[Tensor]
) -> tuple[Tensor, Tensor]:
    """Gradients `(B, k, *)` of the k sums over the batch that are made of its logits `(B, C)`, and these logits."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        with CheapDoubleBackward(parameters) as cheap:
            logits = network(x)
        of_logits = sums(logits)
        with cheap.differentiating_inputs():
            columns = [torch.autograd.grad(s, x, create_graph=True)[0] for s in of_logits]
    return torch.stack(columns, dim=1), logits
