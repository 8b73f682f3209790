"""The network under test, in the form that attacks need: on its device, with outputs whose input gradient can be asked for."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from pag.machine.memory_format import laid_out_channels_last

__all__ = ["Connected", "attackable", "channels_last", "device_of", "weights_digest"]


def device_of(model: nn.Module) -> torch.device:
    """Where a network's parameters or buffers are; the CPU where it has neither."""
    tensor = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers with their names, wherever and in whatever order of memory they lie."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            digest.update(repr((name, value.dtype, tuple(value.shape))).encode())
            plain = (value.detach() if value.layout is torch.strided else value.detach().to_dense()).cpu()
            plain = plain.resolve_conj().resolve_neg().contiguous()
            digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
        else:  # what a module keeps beside tensors
            digest.update(repr((name, value)).encode())
    return digest.hexdigest()


class Connected(nn.Module):
    """A network with the same outputs, which autograd sees to depend on the input: by a gradient of zero, where by no other.

    Args:
        network: `(B, *)` to logits `(B, C)`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.network(x)
        return outputs + 0 * x.flatten(1).sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class _Connected:
    """Loads a network and connects it; picklable where the loader is."""

    load: Callable[[], nn.Module]

    def __call__(self) -> nn.Module:
        return Connected(self.load()).eval()


def attackable(load: Callable[[], nn.Module], x: Tensor) -> Callable[[], nn.Module]:
    """A loader of a network whose input gradients can be asked for: `load` itself, unless its outputs are cut off from the input.

    Attacks would end in an error of autograd there, though the zero gradient that they find instead is what they should report.

    Args:
        load: gives the network.
        x: an image or more to try it on, `(B, ch, H, W)`.
    """
    model = load()
    with torch.enable_grad():
        x = x[:1].to(device_of(model)).requires_grad_()
        outputs = model(x).sum()
        reached = outputs.requires_grad and torch.autograd.grad(outputs, x, allow_unused=True)[0] is not None
    return load if reached else _Connected(load)


@dataclass(frozen=True)
class _ChannelsLast:
    """Loads a network and lays its weights out anew; picklable where the loader is."""

    load: Callable[[], nn.Module]
    x: Tensor

    def __call__(self) -> nn.Module:
        model = self.load()
        return laid_out_channels_last(model, self.x.to(device_of(model)))


def channels_last(load: Callable[[], nn.Module], x: Tensor) -> Callable[[], nn.Module]:
    """A loader of a network whose four-dimensional weights, and so its activations, are channels last, as attacks run it fastest.

    They take forward passes and input gradients alone (`pag.machine.memory_format`).

    Args:
        load: gives the network in evaluation mode, which is laid out in place.
        x: images, two of which it is tried on, `(B, ch, H, W)`.
    """
    return _ChannelsLast(load, x[:2].clone())
