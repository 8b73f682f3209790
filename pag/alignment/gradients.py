"""How well a classifier's input-gradients agree with target gradients: `cos(∇_x f_θ(x)_c, g(x, c))`, eqs. (4) and (5).

Training (`pag.training.objectives`) and evaluation share these functions.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pag.alignment.double_backward import CheapDoubleBackward

__all__ = ["GradientOf", "alignment", "cosine", "input_gradients"]

GradientOf = Literal["log_softmax", "logit"]

_FUNCTIONS: Mapping[GradientOf, Callable[[Tensor], Tensor]] = {
    "log_softmax": lambda logits: functional.log_softmax(logits, dim=1),
    "logit": lambda logits: logits,
}


def input_gradients(
    model: nn.Module, x: Tensor, classes: Tensor, of: GradientOf, create_graph: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of the selected classes' outputs with respect to the input (section 3), from one forward pass.

    Each of the k columns of `classes` costs one backward pass of the sum over the batch. That is every example's own
    gradient as long as examples do not mix: in evaluation mode, or without batch norm. Batch norm in training mode mixes
    them: what comes out is then the gradient of the batch's sum, each example's influence on the others included.

    Args:
        model: `(B, *)` to logits `(B, C)`; it runs in the mode that the caller has set.
        x: inputs `(B, *)`; detached from whatever made them.
        classes: `(B, k)` int64, in [0, C), k ≥ 1.
        of: the function that is differentiated: `"log_softmax"` (what the score ∇ log p(y|x) is) or `"logit"` (eq. 4 as
            written).
        create_graph: whether the gradients (and logits) shall be differentiable with respect to the parameters.

    Returns:
        The gradients `(B, k, *)` and the logits `(B, C)`; both detached without `create_graph`.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        with CheapDoubleBackward() if create_graph else nullcontext() as cheap:
            logits = model(x)
        sums = _FUNCTIONS[of](logits).gather(1, classes).sum(dim=0)
        with nullcontext() if cheap is None else cheap.differentiating_inputs():
            columns = [torch.autograd.grad(s, x, retain_graph=True, create_graph=create_graph)[0] for s in sums]
        gradients = torch.stack(columns, dim=1)
    return gradients, logits if create_graph else logits.detach()


def cosine(u: Tensor, v: Tensor, eps: float = 1e-12) -> Tensor:
    """The cosine of eq. (5), `uᵀv / max(‖u‖ ‖v‖, ε)`, over all axes after the second.

    Its first and second derivatives are finite everywhere, zero vectors included: `max` stands under the root.

    Args:
        u, v: `(B, k, *)`, of one shape.
        eps: ε > 0.

    Returns:
        `(B, k)` in [-1, 1], in the wider of the two types.
    """
    dtype = torch.promote_types(u.dtype, v.dtype)
    u, v = u.flatten(2).to(dtype), v.flatten(2).to(dtype)
    squares = u.square().sum(dim=2) * v.square().sum(dim=2)
    return (u * v).sum(dim=2) / squares.clamp_min(eps**2).sqrt()


def alignment(model: nn.Module, x: Tensor, classes: Tensor, targets: Tensor, of: GradientOf) -> Tensor:
    """The mean over classes of the cosine between a classifier's input-gradients and target gradients.

    Args:
        model: a classifier, usually in evaluation mode.
        x: images `(B, *)`.
        classes: `(B, m)` int64, of which there are targets.
        targets: target gradients g(x, c) of those, `(B, m, *)`.
        of: which gradient, see `input_gradients`.

    Returns:
        `(B,)`, on the CPU.
    """
    device = next(model.parameters()).device
    gradients, _ = input_gradients(model, x.to(device), classes.to(device), of, create_graph=False)
    return cosine(gradients, targets.to(device)).mean(dim=1).cpu()
