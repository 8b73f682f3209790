"""A convolution's gradient with respect to its weights; of small feature maps and wide weights it is one product a backward pass.

Let `cols(x)` be x unfolded: a column of `ch·h·w` inputs for each place of the output. The gradient of `⟨gy, conv(x, w)⟩` with
respect to w is `gy cols(x)ᵀ`, summed over the batch. A backward pass through k input-gradients (`pag.double_backward`) has 1 + k
such terms for each layer. Where maps are small, it is not the products that take the time, but writing gradients of the weights'
size and adding them up; so there the terms are collected, set side by side, and multiplied at once.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.utils import _pair

__all__ = ["ConvOptions", "Terms", "collected", "conv_gradient", "weight_gradient"]

ConvOptions = tuple[Any, Any, Any, int]  # stride, padding, dilation, groups, as torch takes them

SMALL = 1 / 32  # of the weights' size; on the CPU, larger inputs are faster by torch's own way
AT_ONCE = 16  # terms, so that they take no more memory than the weights


class Terms:
    """What one layer's gradient of the weights is the sum of, in the backward pass that is under way."""

    def __init__(self, kernel: torch.Size, options: ConvOptions) -> None:
        self._kernel, self._options = kernel, options
        self._backward = -1  # which pass the terms belong to
        self._terms: list[tuple[Tensor, Tensor]] = []
        self._sum: Tensor | None = None

    def add(self, gy: Tensor, x: Tensor) -> None:
        """Takes in a term: output-gradients `(B, ch', H', W')` and inputs `(B, ch, H, W)`."""
        backward = torch._C._current_graph_task_id()
        if backward != self._backward:  # a pass that asked for other gradients alone leaves its terms behind
            self._backward, self._terms, self._sum = backward, [], None
        self._terms.append((gy, x))
        if len(self._terms) == AT_ONCE:
            self._sum = self.take()

    def take(self) -> Tensor | None:
        """The sum of all terms, `(ch', ch, h, w)`, or None where there are none; they are forgotten."""
        total, self._sum = self._sum, None
        if self._terms:
            product = self._product(*(torch.cat(parts) for parts in zip(*self._terms, strict=True)))
            self._terms = []
            total = product if total is None else total.add_(product)
        return total

    def _product(self, gy: Tensor, x: Tensor) -> Tensor:
        stride, padding, dilation, _ = self._options
        columns = functional.unfold(x, self._kernel, dilation, padding, stride)
        product = torch.tensordot(gy.flatten(2), columns, dims=([0, 2], [0, 2]))
        return product.view(gy.shape[1], x.shape[1], *self._kernel)  # type: ignore[no-any-return]


def collected(x: Tensor, w: Tensor, options: ConvOptions) -> tuple[Tensor, Terms | None]:
    """The weights for a layer to use, and where it collects the terms of their gradient; None: nowhere, for it does not pay."""
    *_, groups = options
    if w.device.type != "cpu" or groups != 1 or x.numel() > SMALL * w.numel():
        return w, None
    terms = Terms(w.shape[2:], options)
    return _Weights.apply(w, terms), terms


class _Weights(torch.autograd.Function):
    """The weights as they are. In a backward pass it comes after all that uses them, and so has all terms of their gradient."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, terms: Terms) -> Tensor:  # noqa: ANN401
        ctx.set_materialize_grads(False)
        ctx.terms = terms
        return w.view_as(w)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None]:  # noqa: ANN401
        return ctx.terms.take() if gradients[0] is None else gradients[0], None


def weight_gradient(gy: Tensor, x: Tensor, w: Tensor, options: ConvOptions, terms: Terms | None) -> Tensor | None:
    """The gradient of `⟨gy, conv(x, w)⟩` with respect to w; None where it is left to `terms`, which cannot be differentiated."""
    if terms is None or torch.is_grad_enabled():
        return conv_gradient(gy, x, w, options, of_w=True)
    terms.add(gy, x)
    return None


def conv_gradient(gy: Tensor, x: Tensor, w: Tensor, options: ConvOptions, of_w: bool) -> Tensor:
    """The gradient of `⟨gy, conv(x, w)⟩` with respect to w, or to x, by torch's own way.

    `torch.nn.grad` has both, but makes up a tensor where only its shape matters, and copying that costs as much as the product.
    """
    stride, padding, dilation, groups = options
    gradients = torch.ops.aten.convolution_backward(
        gy, x, w, None, _pair(stride), _pair(padding), _pair(dilation), False, [0, 0], groups, [not of_w, of_w, False]
    )
    return gradients[1 if of_w else 0]  # type: ignore[no-any-return]
