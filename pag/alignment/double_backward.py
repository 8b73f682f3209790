"""Layers whose input-gradients are cheap to differentiate: what an alignment step (section 3) spends its time on.

A loss of an input-gradient is differentiated through that gradient's own computation. torch can do that for any layer; for the two
that take most of the time there are shorter ways than its own, with the same values and derivatives but for their last bits.

Convolution. torch makes the weights' gradient there by a convolution with batch and channels exchanged and whole feature maps as
kernels. But it is an ordinary gradient of weights: where a forward pass has `y = conv(x, w)`, its input-gradient is
`gx = convᵀ(gy, w)`, and `⟨v, gx⟩ = ⟨conv(v, w), gy⟩` for every v of x's shape. So what a plain backward pass has for the weights
serves, with v for x.

Batch norm in training mode. torch composes the second derivative of some thirty operations. With `x̂ = (x − mean) r`, where r is one
over the standard deviation, and with `P(u) = u − mean(u) − x̂ mean(u x̂)`, which is its own adjoint, the input-gradient is
`gx = γ r P(gy)`, and `dx̂ = r P(dx)`. So the derivative of `⟨v, gx⟩` with respect to gy is `γ r P(v)`, a plain backward pass of v,
and with respect to x a combination of gy, v and x, with one number each a channel.

These ways hold where a layer's weights are parameters, which depend on no input, and where the backward pass reads just what the
forward pass has saved. Elsewhere (weights that are computed, of the input perhaps; activations that are made again, as
`torch.utils.checkpoint` does, or are kept elsewhere) a layer is torch's own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.autograd.graph import disable_saved_tensors_hooks
from torch.nn import functional
from torch.nn.modules.utils import _pair
from torch.overrides import TorchFunctionMode

__all__ = ["CheapDoubleBackward"]

ConvOptions = tuple[Any, Any, Any, int]  # stride, padding, dilation, groups, as torch takes them


class CheapDoubleBackward(TorchFunctionMode):
    """A `with` block in which torch's functional layers are such that their input-gradients are cheap to differentiate once more.

    It is for one network's forward pass, after which inputs are differentiated in `differentiating_inputs()`. Of the derivatives
    after the second, those of convolutions are exact, and those of batch norm in training mode raise RuntimeError.

    Args:
        parameters: tensors that depend on no input, beside those that are an `nn.Parameter`: what stands for parameters when a pass
            is compiled.
    """

    def __init__(self, parameters: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.inputs_alone = False
        self._parameters = {id(parameter) for parameter in parameters}
        self._layers: Mapping[Callable[..., Any], Callable[..., Any]] = {
            functional.conv2d: self._conv2d, functional.batch_norm: self._batch_norm,
        }  # fmt: skip

    @contextmanager
    def differentiating_inputs(self) -> Iterator[None]:
        """In this block only inputs' gradients are asked for: nothing is computed for parameters, which get none."""
        self.inputs_alone = True
        try:
            yield
        finally:
            self.inputs_alone = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        return self._layers.get(func, func)(*args, **(kwargs or {}))

    def _holds(self, *weights: Tensor | None) -> bool:
        """Whether a layer of these weights can be differentiated the shorter way."""
        given = (w for w in weights if w is not None and w.requires_grad)
        return all(isinstance(w, nn.Parameter) or id(w) in self._parameters for w in given) and not _saved_elsewhere()

    def _conv2d(
        self,
        input: Tensor,  # torch's names, by which arguments may be passed
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,  # noqa: ANN401
        padding: Any = 0,  # noqa: ANN401
        dilation: Any = 1,  # noqa: ANN401
        groups: int = 1,
    ) -> Tensor:
        if isinstance(padding, str) or input.ndim != 4 or not self._holds(weight, bias):
            return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)
        x, w, b = _autocast(input), _autocast(weight), None if bias is None else _autocast(bias)
        return _Conv2d.apply(x, w, b, (stride, padding, dilation, groups), self)  # type: ignore[no-any-return]

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        one_value = input.numel() == input.shape[1]  # a channel: no statistics, and torch raises
        if not training or one_value or weight is None or bias is None or not self._holds(weight, bias):
            return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        statistics = running_mean, running_var, momentum
        return _BatchNorm.apply(input, weight, bias, statistics, eps, self)  # type: ignore[no-any-return]


def _saved_elsewhere() -> bool:
    """Whether what a layer saves goes through hooks, as in `torch.utils.checkpoint`: torch does not let them be disabled then."""
    try:
        with disable_saved_tensors_hooks("no hooks"):
            return False
    except RuntimeError:
        return True


def _autocast(x: Tensor) -> Tensor:
    """`x` in the type that a convolution would have it in."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


class _Conv2d(torch.autograd.Function):
    """`y = conv(x, w) + b`."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        w: Tensor,
        b: Tensor | None,
        options: ConvOptions,
        mode: CheapDoubleBackward,
    ) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.options, ctx.mode = options, mode
        return functional.conv2d(x, w, b, *options)

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, w = ctx.saved_tensors
        of_x, of_w, of_b, *_ = ctx.needs_input_grad
        of_w, of_b = of_w and not ctx.mode.inputs_alone, of_b and not ctx.mode.inputs_alone
        return (
            _ConvInputGradient.apply(gy, w, x.detach(), ctx.options) if of_x else None,
            _conv_gradient(gy, x, w, ctx.options, of_w=True) if of_w else None,
            gy.sum((0, 2, 3)) if of_b else None,
            None,
            None,
        )


class _ConvInputGradient(torch.autograd.Function):
    """`gx = convᵀ(gy, w)`; of x only the shape matters."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        gy: Tensor,
        w: Tensor,
        x: Tensor,
        options: ConvOptions,
    ) -> Tensor:
        ctx.save_for_backward(gy, w)
        ctx.options = options
        return _conv_gradient(gy, x, w, options, of_w=False)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        gy, w = ctx.saved_tensors
        of_gy, of_w, *_ = ctx.needs_input_grad
        return (
            functional.conv2d(v, w, None, *ctx.options) if of_gy else None,
            _conv_gradient(gy, v, w, ctx.options, of_w=True) if of_w else None,
            None,
            None,
        )


def _conv_gradient(gy: Tensor, x: Tensor, w: Tensor, options: ConvOptions, of_w: bool) -> Tensor:
    """The gradient of `⟨gy, conv(x, w)⟩` with respect to w, or to x.

    `torch.nn.grad` has both, but makes up a tensor where only its shape matters, and copying that costs as much as the product.
    """
    stride, padding, dilation, groups = options
    gradients = torch.ops.aten.convolution_backward(
        gy, x, w, None, _pair(stride), _pair(padding), _pair(dilation), False, [0, 0], groups, [not of_w, of_w, False]
    )
    return gradients[1 if of_w else 0]  # type: ignore[no-any-return]


class _BatchNorm(torch.autograd.Function):
    """`y = γ x̂ + β` over a batch `(B, C, *)`."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        statistics: tuple[Tensor | None, Tensor | None, float],
        eps: float,
        mode: CheapDoubleBackward,
    ) -> Tensor:
        running_mean, running_var, momentum = statistics
        y, mean, r = torch.native_batch_norm(x, gamma, beta, running_mean, running_var, True, momentum, eps)
        ctx.save_for_backward(x, gamma, beta, mean, r)
        ctx.eps, ctx.mode = eps, mode
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, gamma, beta, mean, r = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return *_batch_norm_gradients(gy, x, gamma, mean, r, ctx.eps), None, None, None
        if ctx.mode.inputs_alone:
            return _BatchNormInputGradient.apply(gy, x, gamma, mean, r, ctx.eps), None, None, None, None, None
        y = functional.batch_norm(x, None, None, gamma, beta, training=True, eps=ctx.eps)
        return *torch.autograd.grad(y, (x, gamma, beta), gy, create_graph=True), None, None, None


class _BatchNormInputGradient(torch.autograd.Function):
    """`gx = γ r P(gy)`."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        gy: Tensor,
        x: Tensor,
        gamma: Tensor,
        mean: Tensor,
        r: Tensor,
        eps: float,
    ) -> Tensor:
        gx, sum_gy_x, sum_gy = _batch_norm_gradients(gy, x, gamma, mean, r, eps)
        ctx.save_for_backward(gy, x, gamma, mean, r, sum_gy_x, sum_gy)
        ctx.eps = eps
        return gx

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        gy, x, gamma, mean, r, sum_gy_x, sum_gy = ctx.saved_tensors
        of_gy, sum_v_x, sum_v = _batch_norm_gradients(v, x, gamma, mean, r, ctx.eps)
        count = x.numel() // x.shape[1]
        products = sum_v_x * sum_gy_x
        v_p_gy = (v * gy).sum((0, *range(2, x.ndim)), dtype=r.dtype)  # becomes ⟨v, P(gy)⟩
        v_p_gy.sub_(torch.addcmul(products, sum_v, sum_gy), alpha=1 / count)
        scale = (gamma * r.square()).div_(-count)
        by_gy, by_v = scale * sum_v_x, scale * sum_gy_x
        by_x = torch.sub(v_p_gy, products, alpha=2 / count).mul_(scale).mul_(r)
        by_1 = torch.addcmul(by_gy * sum_gy, by_v, sum_v).div_(-count).addcmul_(by_x, mean, value=-1)
        shape = (1, -1, *[1] * (x.ndim - 2))
        of_x = (by_gy.view(shape) * gy).add_(by_1.view(shape))
        of_x.addcmul_(by_v.view(shape), v).addcmul_(by_x.view(shape), x)
        return of_gy, of_x.to(x.dtype), v_p_gy.mul_(r), None, None, None


def _batch_norm_gradients(
    gy: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, r: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of `⟨gy, γ x̂ + β⟩` with respect to x, γ and β: `γ r P(gy)`, `Σ gy x̂` and `Σ gy`."""
    return torch.ops.aten.native_batch_norm_backward(  # type: ignore[no-any-return]
        gy, x, gamma, None, None, mean, r, True, eps, [True, True, True]
    )
