"""One model trained by all ranks: each computes the gradient of its part of the batch, and DDP averages them.

A step is that of one process with the whole batch, but for the order of floating-point sums. Layers that see the whole batch do so
over ranks: batch norm in training mode takes its statistics from all rows (by sums that can be differentiated twice, as the input
gradients of alignment need; torch's SyncBatchNorm cannot), and dropout draws for the whole batch. On a GPU a single process draws
dropout in another order than several do.

A loss takes input gradients by `torch.autograd.grad(create_graph=True)`, and there is one `backward()` a step: in it DDP averages.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from pag.machine.ranks import Share, share, size

__all__ = ["Together"]


class Together:
    """A model on every rank, of the same weights; with one rank, the model as it is.

    Attributes:
        model: the model itself: for passes that no `backward()` follows, an attack's.
        network: what a loss is computed with; it has the model's weights.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model, self.network, self._share = model, model, share(size())
        if size() == 1:
            return
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.forward = partial(self._batch_norm, module, module.forward)  # type: ignore[method-assign]
            elif isinstance(module, nn.Dropout):
                module.forward = partial(self._dropout, module)  # type: ignore[method-assign]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # from torch 2.15 on the argument has another name
            # Buffers are the same everywhere already, and to overwrite them between forward and backward would be an error.
            self.network = DistributedDataParallel(model, broadcast_buffers=False)
        for parameter in model.parameters():
            if parameter.requires_grad and 1 in parameter.shape:
                parameter.register_hook(partial(_laid_out_like, parameter))
        _settle_buckets(self.network)

    def share(self, total: int) -> Share:
        """This rank's part of the step's batch of `total` examples."""
        self._share = share(total)
        return self._share

    def drawn(self, draw: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """This rank's rows of what `draw` makes for the step's whole batch of examples like those of `x`, `(b, *)`.

        `draw` may look at the shape, type and device of what it is given, but not at its values.
        """
        if size() == 1:
            return draw(x)
        return draw(x.new_empty((self._share.total, *x.shape[1:])))[self._share.rows]

    def weighted(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means over this rank's rows, scaled so that their mean over ranks is the mean over the batch."""
        weight = self._share.weight
        return dict(parts) if weight == 1 else {name: weight * part for name, part in parts.items()}

    def _batch_norm(self, module: _BatchNorm, forward: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        """`x` `(b, C, *)` normalised by the statistics of the whole batch `(B, C, *)`."""
        if not module.training or (count := self._share.total * x[0, 0].numel()) == 1:
            return forward(x)  # type: ignore[no-any-return]  # of one value a channel there are no statistics: torch raises
        axes, shape = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
        mean = _sum_over_ranks(x.sum(axes)) / (self._share.copies * count)
        centred = x - mean.reshape(shape)
        variance = _sum_over_ranks(centred.square().sum(axes)) / (self._share.copies * count)
        _update_running(module, mean.detach(), variance.detach() * (count / (count - 1)))
        y = centred * (variance + module.eps).rsqrt().reshape(shape)
        return y * module.weight.reshape(shape) + module.bias.reshape(shape) if module.affine else y

    def _dropout(self, module: nn.Dropout, x: Tensor) -> Tensor:
        """`x` `(b, *)`, masked by its rows of the mask that one process would draw for `(B, *)`."""
        if not module.training or module.p == 0:
            return x
        kept = 1 - module.p
        mask = _empty_like(x, self._share.total).bernoulli_(kept)
        return x * mask[self._share.rows].div(kept)


def _empty_like(x: Tensor, size: int) -> Tensor:
    """A batch of so many examples in the order of memory of `x`, in which torch draws."""
    last = x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if last else torch.contiguous_format
    return torch.empty((size, *x.shape[1:]), dtype=x.dtype, device=x.device, memory_format=order)


def _settle_buckets(network: DistributedDataParallel) -> None:
    """Takes a backward pass of no use: after the first one DDP lays its buckets out anew, once and for all.

    A gradient's place in its bucket decides in which order three ranks or more sum it up, so that a resumed run would have another
    order in its first step than one that was not interrupted.
    """
    model = network.module
    trained = [p for p in model.parameters() if p.requires_grad]
    model.forward = lambda: sum(p.sum() for p in trained)
    network().backward()
    del model.forward
    for p in trained:
        p.grad = None


def _laid_out_like(parameter: nn.Parameter, gradient: Tensor) -> Tensor:
    """The gradient with the parameter's strides: a dimension of size one can have any, and DDP warns of those that differ."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter, requires_grad=False).copy_(gradient)


def _update_running(module: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    if module.running_mean is None or module.running_var is None or module.num_batches_tracked is None:
        return
    module.num_batches_tracked.add_(1)
    momentum = 1 / float(module.num_batches_tracked) if module.momentum is None else module.momentum
    module.running_mean.lerp_(mean, momentum)
    module.running_var.lerp_(variance, momentum)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over ranks. Its derivative is the same sum, and so has one itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        total = x.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401
        return _sum_over_ranks(gradients[0])


def _sum_over_ranks(x: Tensor) -> Tensor:
    return _Sum.apply(x)  # type: ignore[no-any-return]
