"""How well a classifier's input-gradients agree with target gradients: `cos(∇_x f_θ(x)_c, g(x, c))`, eqs. (4) and (5).

The gradients here are for measuring; those that a loss is taken of are in `pag.alignment.differentiable`.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from pag.base.vocabulary import GradientOf

__all__ = ["alignment", "class_sums", "cosine", "input_gradients"]

_FUNCTIONS: Mapping[GradientOf, Callable[[Tensor], Tensor]] = {
    "log_softmax": lambda logits: functional.log_softmax(logits, dim=1),
    "logit": lambda logits: logits,
}


def class_sums(logits: Tensor, classes: Tensor, of: GradientOf) -> Tensor:
    """For each column of `classes` `(B, k)` the sum over the batch of that class's output, `(k,)`.

    The gradient of such a sum with respect to the inputs is every example's own, as long as examples do not mix.

    Args:
        logits: `(B, C)`.
        classes: `(B, k)` int64, in [0, C).
        of: the function of the logits, see `input_gradients`.
    """
    return _FUNCTIONS[of](logits).gather(1, classes).sum(dim=0)


def input_gradients(model: nn.Module, x: Tensor, classes: Tensor, of: GradientOf) -> tuple[Tensor, Tensor]:
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

    Returns:
        The gradients `(B, k, *)` and the logits `(B, C)`, both detached.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = model(x)
        columns = [torch.autograd.grad(s, x, retain_graph=True)[0] for s in class_sums(logits, classes, of)]
    return torch.stack(columns, dim=1), logits.detach()


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
    gradients, _ = input_gradients(model, x.to(device), classes.to(device), of)
    return cosine(gradients, targets.to(device)).mean(dim=1).cpu()
